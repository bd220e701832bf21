//! The events that a connection reports to its user.

use crate::close::{CloseFrame, UncheckedClose};
use crate::error::Violation;
use crate::message::{MessageRef, Payload};

/// An event of a connection, to be passed on to the user.
// Each variant has one field, which is aligned to a word, so that the discriminant is a word too. If a variant had a code
// of two bytes beside its payload, the code would lie in the discriminant's word, and every event would be moved in more
// pieces: 2 % of a small message's instructions.
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
    UncheckedClose(UncheckedClose<'a>),
    /// The peer broke the protocol or a limit. A close frame with the violation's code is queued, unless
    /// [`auto_fail`](crate::Config::auto_fail) is off, and nothing more will be received.
    Violation(Violation),
}

/// It is moved at least once on its way to the user.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Option<Event<'_>>>() <= 48);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::CloseCode;

    #[test]
    fn every_variant_is_aligned_to_a_word() {
        let payload = || Payload::Lent(b"");
        for event in [
            Event::Message(MessageRef::Binary(payload())),
            Event::UncheckedText(payload()),
            Event::Ping(payload()),
            Event::Pong(payload()),
            Event::Close(None),
            Event::UncheckedClose(UncheckedClose { code: CloseCode::NORMAL, reason: payload() }),
            Event::Violation(Violation::NotUtf8),
        ] {
            let align = match &event {
                Event::Message(message) => align_of_val(message),
                Event::UncheckedText(payload) | Event::Ping(payload) | Event::Pong(payload) => align_of_val(payload),
                Event::Close(frame) => align_of_val(frame),
                Event::UncheckedClose(frame) => align_of_val(frame),
                Event::Violation(violation) => align_of_val(violation),
            };
            assert_eq!(align, align_of::<usize>(), "{event:?}");
        }
    }
}
