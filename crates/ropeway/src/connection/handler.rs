//! The event API's base: one handler for many connections, with a small state for each.

use ropeway_proto::{Closed, MessageRef};

use super::in_event::Connection;
use crate::error::Error;
use crate::handshake::Handshake;

/// What happens on the connections of a server, or of a client.
///
/// One handler is shared by all its connections; what belongs to one connection is its [`State`](Handler::State). Methods
/// are called one at a time for a connection. They must not block, as many connections share a thread: what takes long belongs
/// in a task, with [`Connection::handle`] to answer from there.
///
/// If a method panics, the connection is closed with 1011 and its state dropped, without a close event; others do not notice.
/// What must be undone in any case belongs in the state's `Drop`.
///
/// If the runtime ends before a connection, its close event is told while the runtime is dropped: tasks that are spawned there do not
/// run.
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
/// `T` is the type of the value that [`Route::authorize`](crate::Route::authorize) hands over: `()` where it does not.
pub trait Handler<T = ()>: Send + Sync + 'static {
    /// What is kept for each connection.
    type State: Send + 'static;

    /// A connection is open. A client has not been given its handle yet: what is sent here goes ahead of all that is sent with it.
    fn on_open(&self, ws: &mut Connection<'_>, handshake: Handshake<T>) -> Self::State;

    /// A message came. It is lent; [`MessageRef::into_owned`] keeps it.
    fn on_message(&self, ws: &mut Connection<'_>, state: &mut Self::State, message: MessageRef<'_>) {
        let _ = (ws, state, message);
    }

    /// A read was handled, with all messages that it brought, if any; what was sent meanwhile is written after this. For what is
    /// better done once for many messages: one answer to all of them, one lock, one look at the clock. Unlike an answer in
    /// [`Handler::on_message`], what is sent here may find no room.
    fn on_read_complete(&self, ws: &mut Connection<'_>, state: &mut Self::State) {
        let _ = (ws, state);
    }

    /// A ping came. It is answered already, unless `auto_pong` is off.
    fn on_ping(&self, ws: &mut Connection<'_>, state: &mut Self::State, payload: &[u8]) {
        let _ = (ws, state, payload);
    }

    /// A pong came. A round-trip time that somebody awaits, see [`Handle::ping`](crate::Handle::ping), is told besides.
    fn on_pong(&self, ws: &mut Connection<'_>, state: &mut Self::State, payload: &[u8]) {
        let _ = (ws, state, payload);
    }

    /// The peer has closed, or has ended its half of the transport: nothing more will come. The default answers at once.
    ///
    /// A handler that does not can still send. It answers with [`Connection::answer_close`] or [`Connection::close`], or
    /// [`Handle::close`](crate::Handle::close) from elsewhere, and until then the ready state is OPEN; after `close_timeout` the
    /// peer is answered in any case. It is not called where this side has closed first.
    fn on_peer_close(&self, ws: &mut Connection<'_>, state: &mut Self::State) {
        let _ = state;
        ws.answer_close();
    }

    /// The connection fails: the peer broke the protocol or a limit ([`Error::Violation`]), or the connection was lost
    /// ([`Error::Lost`]), which is every end without the peer's close frame that this side did not ask for with
    /// [`terminate`](Connection::terminate). It is called once, and [`Handler::on_close`] follows.
    fn on_error(&self, ws: &mut Connection<'_>, state: &mut Self::State, error: &Error) {
        let _ = (ws, state, error);
    }

    /// The connection is closed. It is called once, last, and for every connection that was opened, unless a method has panicked.
    fn on_close(&self, ws: &mut Connection<'_>, state: Self::State, closed: &Closed) {
        let _ = (ws, state, closed);
    }
}
