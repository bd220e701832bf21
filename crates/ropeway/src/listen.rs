//! Listeners: closures for the events of one connection, as a [`Handler`].

use std::fmt;

use bytestring::ByteString;
use ropeway_proto::{CloseCode, Closed, Message, MessageRef, SendError};

use crate::connection::{Connection, Handler};
use crate::error::Error;
use crate::handle::{Handle, shared_methods};
use crate::handshake::Handshake;

type OnMessage = Box<dyn FnMut(&mut Connection<'_>, MessageRef<'_>) + Send>;
type OnControl = Box<dyn FnMut(&mut Connection<'_>, &[u8]) + Send>;
type OnError = Box<dyn FnMut(&mut Connection<'_>, &Error) + Send>;
type OnClose = Box<dyn FnOnce(&mut Connection<'_>, &Closed) + Send>;

/// A connection that has just opened, for putting listeners on it. [`handle`](Listeners::handle) returns a handle to
/// keep.
///
/// Listeners are called one at a time. They must not block, because many connections share a thread. They miss no
/// message: delivery starts after they are set.
pub struct Listeners {
    handle: Handle,
    listeners: Callbacks,
}

impl Listeners {
    /// Calls `listener` with each message. The message is lent; to keep it, call [`MessageRef::into_owned`].
    pub fn on_message(
        &mut self,
        listener: impl FnMut(&mut Connection<'_>, MessageRef<'_>) + Send + 'static,
    ) -> &mut Self {
        add(&mut self.listeners.message, Box::new(listener));
        self
    }

    /// Calls `listener` with each ping's payload. Pings have been answered already, unless `auto_pong` is off.
    pub fn on_ping(&mut self, listener: impl FnMut(&mut Connection<'_>, &[u8]) + Send + 'static) -> &mut Self {
        add(&mut self.listeners.others().ping, Box::new(listener));
        self
    }

    /// Calls `listener` with each pong's payload.
    pub fn on_pong(&mut self, listener: impl FnMut(&mut Connection<'_>, &[u8]) + Send + 'static) -> &mut Self {
        add(&mut self.listeners.others().pong, Box::new(listener));
        self
    }

    /// Calls `listener` when the connection fails; the close event follows.
    pub fn on_error(&mut self, listener: impl FnMut(&mut Connection<'_>, &Error) + Send + 'static) -> &mut Self {
        add(&mut self.listeners.others().error, Box::new(listener));
        self
    }

    /// Calls `listener` when the connection is closed.
    pub fn on_close(&mut self, listener: impl FnOnce(&mut Connection<'_>, &Closed) + Send + 'static) -> &mut Self {
        add(&mut self.listeners.others().close, Box::new(listener));
        self
    }
}

/// Methods of a [`Handle`].
impl Listeners {
    shared_methods!();

    /// Queues a message, or fails at once, see [`Handle::send`].
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.handle.send(message)
    }

    /// Queues a message as soon as there is room. Cancel safe: if this is dropped before it is done, the message is not
    /// sent at all.
    pub async fn send_wait(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.handle.send_wait(message).await
    }

    /// Starts the closing handshake. The close frame goes behind all that is queued, see [`Handle::close`].
    pub fn close(&self, code: impl Into<CloseCode>, reason: impl Into<ByteString>) -> Result<(), SendError> {
        self.handle.close(code, reason)
    }

    /// Starts the closing handshake with a close frame that has neither code nor reason. The peer sees 1005.
    pub fn close_without_code(&self) {
        self.handle.close_without_code();
    }

    /// Delivers no messages until [`resume`](Listeners::resume). The peer has to wait once the buffers are full.
    pub fn pause(&self) {
        self.handle.pause();
    }

    /// Delivers messages again.
    pub fn resume(&self) {
        self.handle.resume();
    }
}

impl AsRef<Handle> for Listeners {
    fn as_ref(&self) -> &Handle {
        &self.handle
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// The listeners of one connection. Every connection has them, so they are kept small.
#[derive(Default)]
pub(crate) struct Callbacks {
    message: Vec<OnMessage>,
    /// `None` if there are only listeners for messages.
    others: Option<Box<Others>>,
}

/// Listeners for rarer events.
#[derive(Default)]
struct Others {
    ping: Vec<OnControl>,
    pong: Vec<OnControl>,
    error: Vec<OnError>,
    close: Vec<OnClose>,
}

impl Callbacks {
    fn others(&mut self) -> &mut Others {
        self.others.get_or_insert_default()
    }
}

/// Adds a listener. It mostly stays the only one of its kind, and a vector that grows by itself takes room for four.
fn add<L>(listeners: &mut Vec<L>, listener: L) {
    if listeners.is_empty() {
        listeners.reserve_exact(1);
    }
    listeners.push(listener);
}

/// A handler that calls `F` to put listeners on each connection.
pub(crate) struct Listen<F>(pub(crate) F);

impl<T, F: Fn(&mut Listeners, Handshake<T>) + Send + Sync + 'static> Handler<T> for Listen<F> {
    type State = Callbacks;

    fn on_open(&self, ws: &mut Connection<'_>, handshake: Handshake<T>) -> Callbacks {
        let mut socket = Listeners { handle: ws.handle(), listeners: Callbacks::default() };
        (self.0)(&mut socket, handshake);
        socket.listeners
    }

    fn on_message(&self, ws: &mut Connection<'_>, listeners: &mut Callbacks, message: MessageRef<'_>) {
        let Some((last, others)) = listeners.message.split_last_mut() else { return };
        for listener in others {
            listener(ws, message.reborrow());
        }
        last(ws, message);
    }

    fn on_ping(&self, ws: &mut Connection<'_>, listeners: &mut Callbacks, payload: &[u8]) {
        let Some(others) = &mut listeners.others else { return };
        others.ping.iter_mut().for_each(|listener| listener(ws, payload));
    }

    fn on_pong(&self, ws: &mut Connection<'_>, listeners: &mut Callbacks, payload: &[u8]) {
        let Some(others) = &mut listeners.others else { return };
        others.pong.iter_mut().for_each(|listener| listener(ws, payload));
    }

    fn on_error(&self, ws: &mut Connection<'_>, listeners: &mut Callbacks, error: &Error) {
        let Some(others) = &mut listeners.others else { return };
        others.error.iter_mut().for_each(|listener| listener(ws, error));
    }

    fn on_close(&self, ws: &mut Connection<'_>, listeners: Callbacks, closed: &Closed) {
        let Some(others) = listeners.others else { return };
        others.close.into_iter().for_each(|listener| listener(ws, closed));
    }
}
