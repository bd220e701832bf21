//! The event API's base: one handler for many connections, with a small state for each.

use ropeway_proto::{Closed, MessageRef};

use super::in_event::Connection;
use crate::error::Error;
use crate::handshake::Handshake;

/// Handles the events of the connections of a server, or of a client.
///
/// All connections share one handler. Data of a single connection is in its [`State`](Handler::State). For one
/// connection the methods are called one at a time. They must not block, because many connections share a thread. Long
/// work belongs in a task, which can answer through [`Connection::handle`].
///
/// If a method panics, its connection is closed with 1011 and its state is dropped, without a close event. Other
/// connections are not affected. Work that must be done in any case belongs in the state's `Drop`.
///
/// If the runtime ends before a connection, the close event comes while the runtime is being dropped: tasks that are
/// spawned there do not run.
///
/// ```
/// use ropeway::{Handler, Handshake, MessageRef, Connection};
///
/// /// Answers each message with its number.
/// struct Count;
///
/// impl Handler for Count {
///     type State = u64;
///
///     fn on_open(&self, _ws: &mut Connection<'_>, _handshake: Handshake) -> u64 {
///         0
///     }
///
///     fn on_message(&self, ws: &mut Connection<'_>, count: &mut u64, _message: MessageRef<'_>) {
///         *count += 1;
///         ws.send(format!("message {count}")).ok();
///     }
/// }
/// ```
///
/// `T` is the type of the value that [`Route::authorize`](crate::Route::authorize) passes on, or `()` without that.
pub trait Handler<T = ()>: Send + Sync + 'static {
    /// The data that is kept for each connection.
    type State: Send + 'static;

    /// A connection is open. On a client, the caller of `connect` has no handle yet, so messages that are sent here go
    /// ahead of all that the caller sends.
    fn on_open(&self, ws: &mut Connection<'_>, handshake: Handshake<T>) -> Self::State;

    /// A message came. It is lent; to keep it, call [`MessageRef::into_owned`].
    fn on_message(&self, ws: &mut Connection<'_>, state: &mut Self::State, message: MessageRef<'_>) {
        let _ = (ws, state, message);
    }

    /// A read was handled, with all messages that it brought, if any. All messages that were sent during the read and
    /// this call are written together. Use it for work that is better done once for many messages, such as one answer
    /// to all of them. Unlike an answer in [`Handler::on_message`], a message sent here may find no room.
    fn on_read_complete(&self, ws: &mut Connection<'_>, state: &mut Self::State) {
        let _ = (ws, state);
    }

    /// A ping came. It has been answered already, unless `auto_pong` is off.
    fn on_ping(&self, ws: &mut Connection<'_>, state: &mut Self::State, payload: &[u8]) {
        let _ = (ws, state, payload);
    }

    /// A pong came. A task that awaits its round-trip time, see [`Handle::ping`](crate::Handle::ping), is told as well.
    fn on_pong(&self, ws: &mut Connection<'_>, state: &mut Self::State, payload: &[u8]) {
        let _ = (ws, state, payload);
    }

    /// The peer has closed, or has ended its half of the transport: no more messages will come. The default answers at
    /// once.
    ///
    /// A handler that does not answer at once can still send. It answers later with [`Connection::answer_close`],
    /// [`Connection::close`] or [`Handle::close`](crate::Handle::close). Until then the ready state is OPEN. After
    /// `close_timeout` the peer is answered in any case. This is not called if this side has closed first.
    fn on_peer_close(&self, ws: &mut Connection<'_>, state: &mut Self::State) {
        let _ = state;
        ws.answer_close();
    }

    /// The connection fails: the peer broke the protocol or a limit ([`Error::Violation`]), or the connection was lost
    /// ([`Error::Lost`]). A connection is lost if it ends without the peer's close frame, unless this side has called
    /// [`terminate`](Connection::terminate). This method is called at most once, and [`Handler::on_close`] follows.
    fn on_error(&self, ws: &mut Connection<'_>, state: &mut Self::State, error: &Error) {
        let _ = (ws, state, error);
    }

    /// The connection is closed. This is the last call for every connection that was opened, unless a method has
    /// panicked.
    fn on_close(&self, ws: &mut Connection<'_>, state: Self::State, closed: &Closed) {
        let _ = (ws, state, closed);
    }
}
