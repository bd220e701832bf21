//! Callbacks: closures for the events of one connection, as a [`Handler`].

use std::fmt;
use std::ops::Deref;

use ropeway_proto::{Closed, MessageRef};

use crate::connection::{Connection, Handler};
use crate::error::Error;
use crate::handle::Handle;
use crate::handshake::Handshake;

type OnMessage = Box<dyn FnMut(&mut Connection<'_>, MessageRef<'_>) + Send>;
type OnControl = Box<dyn FnMut(&mut Connection<'_>, &[u8]) + Send>;
type OnError = Box<dyn FnMut(&mut Connection<'_>, &Error) + Send>;
type OnClose = Box<dyn FnOnce(&mut Connection<'_>, &Closed) + Send>;

/// A connection that has just opened, to be listened to. It has all methods of its [`Handle`], and
/// [`handle`](Listeners::handle) gives one to keep.
///
/// Callbacks are called one at a time, where the connection is driven; they must not block. Nothing that comes is missed: delivery
/// starts once the listeners are there.
pub struct Listeners {
    handle: Handle,
    listeners: Callbacks,
}

impl Listeners {
    /// Calls `listener` with each message. It is lent; [`MessageRef::into_owned`] keeps it.
    pub fn on_message(
        &mut self,
        listener: impl FnMut(&mut Connection<'_>, MessageRef<'_>) + Send + 'static,
    ) -> &mut Self {
        add(&mut self.listeners.message, Box::new(listener));
        self
    }

    /// Calls `listener` with each ping's payload. Pings are answered already, unless `auto_pong` is off.
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

    /// A handle to keep, to clone and to send with from anywhere.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Deref for Listeners {
    type Target = Handle;

    fn deref(&self) -> &Handle {
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
    /// Nothing where all listen to messages alone.
    others: Option<Box<Others>>,
}

/// Callbacks to what happens more rarely.
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

/// Adds a listener. Mostly it stays the only one of its kind, and a vector that grows by itself takes room for four.
fn add<L>(listeners: &mut Vec<L>, listener: L) {
    if listeners.is_empty() {
        listeners.reserve_exact(1);
    }
    listeners.push(listener);
}

/// Lets `F` put listeners on each connection.
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
