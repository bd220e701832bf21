//! What a connection has to say to its user.

use crate::close::CloseFrame;
use crate::error::Violation;
use crate::message::{MessageRef, Payload};

/// Something the user should know.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A message, whole.
    Message(MessageRef<'a>),
    /// A ping. It is answered already, unless [`auto_pong`](crate::Config::auto_pong) is off.
    Ping(Payload<'a>),
    /// A pong.
    Pong(Payload<'a>),
    /// The peer's close frame. The answer is queued, unless [`auto_close`](crate::Config::auto_close) is off;
    /// [`outcome`](crate::Connection::outcome) tells when all is over.
    Close(Option<CloseFrame>),
    /// The peer broke the protocol or a limit. The close frame that says so is queued, and nothing more will be received.
    Violation(Violation),
}
