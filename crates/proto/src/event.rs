//! The events that a connection reports to its user.

use crate::close::CloseFrame;
use crate::error::Violation;
use crate::message::{MessageRef, Payload};

/// An event of a connection, to be passed on to the user.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A whole message.
    Message(MessageRef<'a>),
    /// A ping. It has been answered already, unless [`auto_pong`](crate::Config::auto_pong) is off.
    Ping(Payload<'a>),
    /// A pong.
    Pong(Payload<'a>),
    /// The peer's close frame. The answer is queued, unless [`auto_close`](crate::Config::auto_close) is off. The
    /// connection is closed only when [`outcome`](crate::Connection::outcome) returns something.
    Close(Option<CloseFrame>),
    /// The peer broke the protocol or a limit. A close frame with the violation's code is queued, and nothing more will
    /// be received.
    Violation(Violation),
}
