//! From parts of data frames to whole messages: the rules of RFC 6455 section 5.4, the limits, and the check of text. A
//! message that came whole is lent. Only an unfinished message is stored, and takes memory only for bytes that have
//! come.

use std::sync::Arc;
use std::time::Instant;

use bytestring::ByteString;

use super::decoder::{Decoder, Part};
use super::storage::Storage;
use crate::buffers::Buffers;
use crate::config::Config;
use crate::deflate::{InflateError, Inflater};
use crate::error::Violation;
use crate::event::Event;
use crate::frame::Opcode;
use crate::message::{MessageRef, Payload, Text};
use crate::utf8::Utf8;

/// If at least this many bytes of a frame are missing, they are read directly into the message. That saves copying
/// them, and costs one more read for the bytes behind the frame.
const READ_IN_PLACE_FROM: u64 = 16 * 1024;

/// The most that is read into a message at once. It is still in a core's second-level cache when it is unmasked.
const READ_IN_PLACE_AT_ONCE: usize = 128 * 1024;

/// The unfinished message. Holds no memory if there is none.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    message: Option<Box<Unfinished>>,
}

/// A message of which a part has come.
#[derive(Debug)]
struct Unfinished {
    /// When its clock was started. `None` if messages have no time limit.
    since: Option<Instant>,
    kind: Kind,
    compressed: bool,
    /// The payload so far, inflated.
    payload: Storage,
    /// The state of the UTF-8 check of a text.
    utf8: Utf8,
    fragments: u32,
}

/// The kind of a message, and whether its text is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    /// Text while [`Config::check_utf8`] is off.
    UncheckedText,
    Binary,
}

impl Kind {
    fn new(opcode: Opcode, config: &Config) -> Self {
        match (opcode, config.check_utf8) {
            (Opcode::Text, true) => Self::Text,
            (Opcode::Text, false) => Self::UncheckedText,
            _ => Self::Binary,
        }
    }
}

impl Assembler {
    /// Whether there is no unfinished message.
    pub(crate) const fn is_at_rest(&self) -> bool {
        self.message.is_none()
    }

    /// The bytes of the unfinished message that have come, inflated if it is compressed.
    pub(crate) fn len(&self) -> usize {
        self.message.as_ref().map_or(0, |message| message.payload.len())
    }

    /// Starts the clock of an unfinished message, unless it is running.
    pub(crate) fn start_clock(&mut self, now: Instant) {
        if let Some(message) = &mut self.message {
            message.since.get_or_insert(now);
        }
    }

    /// Restarts the clock of an unfinished message, if it is running.
    pub(crate) fn restart_clock(&mut self, now: Instant) {
        if let Some(Unfinished { since: Some(since), .. }) = self.message.as_deref_mut() {
            *since = now;
        }
    }

    /// When the clock of the unfinished message was started.
    pub(crate) fn unfinished_since(&self) -> Option<Instant> {
        self.message.as_ref()?.since
    }

    /// Drops the unfinished message.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes the next part. `inflater` is `Some` if permessage-deflate was negotiated.
    #[inline]
    pub(crate) fn push<'a>(
        &mut self,
        part: &Part<'a>,
        config: &Config,
        inflater: Option<&mut Inflater>,
    ) -> Result<Option<Event<'a>>, Violation> {
        if part.first {
            self.check_start(part, config)?;
            if part.left == 0 && part.header.fin && self.message.is_none() && !part.header.compressed {
                return Ok(Some(match Kind::new(part.header.opcode, config) {
                    Kind::UncheckedText => Event::UncheckedText(Payload::Lent(part.payload)),
                    kind => Event::Message(lend(part.payload, kind == Kind::Text)?),
                }));
            }
        }
        self.push_data(part, config, inflater)
    }

    /// Returns room inside the unfinished message to read the frame's next `left` bytes into. Returns `None` if the
    /// message has to be inflated, and for a few bytes, which may as well be read together with the bytes behind them.
    /// The room grows with the bytes that came: at the beginning of a message the driver's own buffer is larger, unless
    /// the message's buffer was used before.
    pub(crate) fn room(&mut self, left: u64, config: &Config) -> Option<&mut [u8]> {
        let message = self.message.as_mut().filter(|message| !message.compressed && left >= READ_IN_PLACE_FROM)?;
        if message.payload.len() < READ_IN_PLACE_FROM as usize && !message.payload.has_room() {
            return None;
        }
        Some(message.payload.room(left, READ_IN_PLACE_AT_ONCE, config))
    }

    /// Takes the first `count` bytes of [`Assembler::room`], which the driver has read into it.
    pub(crate) fn push_in_place(
        &mut self,
        count: usize,
        decoder: &mut Decoder,
        config: &Config,
    ) -> Result<Option<Event<'static>>, Violation> {
        let Some(message) = &mut self.message else { return Ok(None) };
        let before = message.payload.len();
        message.payload.note_read(count);
        let Some(part) = decoder.next_in_place(message.payload.bytes_mut_from(before)) else { return Ok(None) };
        let finished = part.left == 0 && part.header.fin;
        message.check_text(before)?;
        if finished { self.finish(config) } else { Ok(None) }
    }

    /// Checks all that the header of a data frame can violate by itself: its place among the frames, and the limits.
    #[inline]
    fn check_start(&mut self, part: &Part<'_>, config: &Config) -> Result<(), Violation> {
        let so_far = match (&mut self.message, part.header.opcode) {
            (None, Opcode::Continuation) => return Err(Violation::NothingToContinue),
            (Some(message), Opcode::Continuation) => {
                message.fragments += 1;
                if message.fragments > config.max_fragments {
                    return Err(Violation::TooManyFragments(config.max_fragments));
                }
                if message.compressed { None } else { Some(message.payload.len()) }
            }
            (Some(_), opcode) => return Err(Violation::MessageUnfinished(opcode as u8)),
            (None, _) => (!part.header.compressed).then_some(0),
        };
        // The limit of a compressed message is for its inflated length. Its bytes on the wire are not kept and not
        // limited.
        if so_far.is_some_and(|so_far| part.header.length > (config.max_payload.saturating_sub(so_far)) as u64) {
            let announced = Some(part.header.length);
            return Err(Violation::too_big(config.max_payload, announced));
        }
        Ok(())
    }

    fn push_data<'a>(
        &mut self,
        part: &Part<'a>,
        config: &Config,
        inflater: Option<&mut Inflater>,
    ) -> Result<Option<Event<'a>>, Violation> {
        let message = self.message.get_or_insert_with(|| {
            Box::new(Unfinished {
                since: None,
                kind: Kind::new(part.header.opcode, config),
                compressed: part.header.compressed,
                payload: Storage::default(),
                utf8: Utf8::default(),
                fragments: 1,
            })
        });
        let finished = part.left == 0 && part.header.fin;
        let before = message.payload.len();
        let inflated = match inflater {
            Some(inflater) if message.compressed => {
                let result = message.payload.append_with(|out| inflater.inflate(part.payload, out, config.max_payload));
                if finished { result.and_then(|()| inflater.finish(message.payload.bytes())) } else { result }
            }
            _ => {
                message.payload.extend(part.payload, part.left, finished, config);
                Ok(())
            }
        };
        // Text that was inflated before the fault is checked first, so that the result does not depend on how the
        // network cut the bytes.
        message.check_text(before)?;
        inflated.map_err(|error| match error {
            InflateError::TooBig => Violation::too_big(config.max_payload, None),
            InflateError::Corrupt(_) => Violation::CorruptDeflate,
        })?;
        if !finished {
            return Ok(None);
        }
        self.finish(config)
    }

    /// Returns the message, whose last part has come.
    fn finish<'a>(&mut self, config: &Config) -> Result<Option<Event<'a>>, Violation> {
        self.message.take().map(|message| message.finish(config.buffers.as_ref())).transpose()
    }
}

impl Unfinished {
    /// Checks the text that has come since there were `before` bytes.
    fn check_text(&mut self, before: usize) -> Result<(), Violation> {
        if self.kind == Kind::Text {
            self.utf8.push(&self.payload.bytes()[before..]).map_err(|_| Violation::NotUtf8)?;
        }
        Ok(())
    }

    fn finish<'a>(self, buffers: Option<&Arc<Buffers>>) -> Result<Event<'a>, Violation> {
        let payload = self.payload.into_payload(buffers);
        match self.kind {
            Kind::Text => {}
            Kind::UncheckedText => return Ok(Event::UncheckedText(Payload::Owned(payload))),
            Kind::Binary => return Ok(Event::Message(MessageRef::Binary(Payload::Owned(payload)))),
        }
        self.utf8.finish().map_err(|_| Violation::NotUtf8)?;
        // The text is checked already, piece by piece. `ByteString` checks it again, which costs little beside
        // receiving it.
        let text = ByteString::try_from(payload).map_err(|_| Violation::NotUtf8)?;
        Ok(Event::Message(MessageRef::Text(Text::Owned(text))))
    }
}

/// Returns a message that lies whole in the input.
#[inline]
pub(crate) fn lend(payload: &[u8], is_text: bool) -> Result<MessageRef<'_>, Violation> {
    Ok(if is_text {
        MessageRef::Text(Text::Lent(simdutf8::basic::from_utf8(payload).map_err(|_| Violation::NotUtf8)?))
    } else {
        MessageRef::Binary(Payload::Lent(payload))
    })
}
