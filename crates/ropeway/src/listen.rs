//! Listeners: closures for the events of one connection, as a [`Handler`].

use std::fmt;
use std::ops::Deref;

use ropeway_proto::{Closed, MessageRef};

use crate::connection::{Handler, Ws};
use crate::error::Error;
use crate::handle::Sender;
use crate::handshake::Handshake;

type OnMessage = Box<dyn FnMut(&mut Ws<'_>, MessageRef<'_>) + Send>;
type OnControl = Box<dyn FnMut(&mut Ws<'_>, &[u8]) + Send>;
type OnError = Box<dyn FnMut(&mut Ws<'_>, &Error) + Send>;
type OnClose = Box<dyn FnOnce(&mut Ws<'_>, &Closed) + Send>;

/// A connection that has just opened, to be listened to. It has all methods of its [`Sender`], and
/// [`sender`](Socket::sender) gives one to keep.
///
/// Listeners are called one at a time, where the connection is driven; they must not block. Nothing that comes is missed: delivery
/// starts once the listeners are there.
pub struct Socket {
    sender: Sender,
    listeners: Listeners,
}

impl Socket {
    /// Calls `listener` with each message. It is lent; [`MessageRef::into_owned`] keeps it.
    pub fn on_message(&mut self, listener: impl FnMut(&mut Ws<'_>, MessageRef<'_>) + Send + 'static) -> &mut Self {
        add(&mut self.listeners.message, Box::new(listener));
        self
    }

    /// Calls `listener` with each ping's payload. Pings are answered already, unless `auto_pong` is off.
    pub fn on_ping(&mut self, listener: impl FnMut(&mut Ws<'_>, &[u8]) + Send + 'static) -> &mut Self {
        add(&mut self.listeners.others().ping, Box::new(listener));
        self
    }

    /// Calls `listener` with each pong's payload.
    pub fn on_pong(&mut self, listener: impl FnMut(&mut Ws<'_>, &[u8]) + Send + 'static) -> &mut Self {
        add(&mut self.listeners.others().pong, Box::new(listener));
        self
    }

    /// Calls `listener` when the connection fails; the close event follows.
    pub fn on_error(&mut self, listener: impl FnMut(&mut Ws<'_>, &Error) + Send + 'static) -> &mut Self {
        add(&mut self.listeners.others().error, Box::new(listener));
        self
    }

    /// Calls `listener` when the connection is closed.
    pub fn on_close(&mut self, listener: impl FnOnce(&mut Ws<'_>, &Closed) + Send + 'static) -> &mut Self {
        add(&mut self.listeners.others().close, Box::new(listener));
        self
    }

    /// A handle to keep, to clone and to send with from anywhere.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }
}

impl Deref for Socket {
    type Target = Sender;

    fn deref(&self) -> &Sender {
        &self.sender
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("sender", &self.sender).finish_non_exhaustive()
    }
}

/// The listeners of one connection. Every connection has them, so they are kept small.
#[derive(Default)]
pub(crate) struct Listeners {
    message: Vec<OnMessage>,
    /// Nothing where all listen to messages alone.
    others: Option<Box<Others>>,
}

/// Listeners to what happens more rarely.
#[derive(Default)]
struct Others {
    ping: Vec<OnControl>,
    pong: Vec<OnControl>,
    error: Vec<OnError>,
    close: Vec<OnClose>,
}

impl Listeners {
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

impl<F: Fn(&mut Socket, Handshake) + Send + Sync + 'static> Handler for Listen<F> {
    type State = Listeners;

    fn on_open(&self, ws: &mut Ws<'_>, handshake: Handshake) -> Listeners {
        let mut socket = Socket { sender: ws.sender(), listeners: Listeners::default() };
        (self.0)(&mut socket, handshake);
        socket.listeners
    }

    fn on_message(&self, ws: &mut Ws<'_>, listeners: &mut Listeners, message: MessageRef<'_>) {
        let Some((last, others)) = listeners.message.split_last_mut() else { return };
        for listener in others {
            listener(ws, message.reborrow());
        }
        last(ws, message);
    }

    fn on_ping(&self, ws: &mut Ws<'_>, listeners: &mut Listeners, payload: &[u8]) {
        let Some(others) = &mut listeners.others else { return };
        others.ping.iter_mut().for_each(|listener| listener(ws, payload));
    }

    fn on_pong(&self, ws: &mut Ws<'_>, listeners: &mut Listeners, payload: &[u8]) {
        let Some(others) = &mut listeners.others else { return };
        others.pong.iter_mut().for_each(|listener| listener(ws, payload));
    }

    fn on_error(&self, ws: &mut Ws<'_>, listeners: &mut Listeners, error: &Error) {
        let Some(others) = &mut listeners.others else { return };
        others.error.iter_mut().for_each(|listener| listener(ws, error));
    }

    fn on_close(&self, ws: &mut Ws<'_>, listeners: Listeners, closed: &Closed) {
        let Some(others) = listeners.others else { return };
        others.close.into_iter().for_each(|listener| listener(ws, closed));
    }
}
