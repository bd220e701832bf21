//! The end of a turn.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::task::Context;

/// The result of a turn of a connection, or of a client whose handshake is not done yet: what has to happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn<T = Infallible> {
    /// Nothing, until the stream is ready, the deadline has come, or there is a command.
    Parked,
    /// It has work left, and gets its next turn after the others.
    Again,
    /// It is over: drop it.
    Over,
    /// This takes over its stream.
    Become(T),
}

#[cfg(unix)]
impl Turn {
    /// The same result in the type for turns that may end with [`Become`](Turn::Become).
    pub(crate) fn widen<T>(self) -> Turn<T> {
        match self {
            Self::Parked => Turn::Parked,
            Self::Again => Turn::Again,
            Self::Over => Turn::Over,
        }
    }
}

/// Schedules the current task behind those that are ready, by way of [`yield_now`](tokio::task::yield_now).
///
/// A task that wakes itself would run before tokio looks at its timers and sockets, which it seldom does while tasks
/// are ready. A task that yields runs after that.
pub(crate) fn go_on_later(cx: &mut Context<'_>) {
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}
