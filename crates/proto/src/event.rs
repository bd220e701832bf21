//! The events that a connection reports to its user.

use crate::close::CloseFrame;
use crate::code::CloseCode;
use crate::error::Violation;
use crate::message::{MessageRef, Payload};

/// An event of a connection, to be passed on to the user.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A whole message.
    Message(MessageRef<'a>),
    /// A whole text message that was not checked to be UTF-8. It comes instead of [`Message`](Event::Message) if
    /// [`check_utf8`](crate::Config::check_utf8) is off.
    UncheckedText(Payload<'a>),
    /// A ping. It has been answered already, unless [`auto_pong`](crate::Config::auto_pong) is off.
    Ping(Payload<'a>),
    /// A pong.
    Pong(Payload<'a>),
    /// The peer's close frame. The answer is queued, unless [`auto_close`](crate::Config::auto_close) is off. The
    /// connection is closed only when [`outcome`](crate::Connection::outcome) returns something.
    Close(Option<CloseFrame>),
    /// The peer's close frame, with a code and a reason that was not checked to be UTF-8. It comes instead of
    /// [`Close`](Event::Close) if [`check_utf8`](crate::Config::check_utf8) is off. A close frame without a code is still
    /// a `Close(None)`.
    UncheckedClose {
        /// Why the peer closes.
        code: CloseCode,
        /// The reason in words, for people and logs.
        reason: Payload<'a>,
    },
    /// The peer broke the protocol or a limit. A close frame with the violation's code is queued, unless
    /// [`auto_fail`](crate::Config::auto_fail) is off, and nothing more will be received.
    Violation(Violation),
}
