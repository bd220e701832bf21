//! From parts of data frames to whole messages: the rules of RFC 6455 section 5.4, the limits, and the text
//! check. A message that came whole is lent on; only an unfinished one is stored, by the bytes that really came.

use std::sync::Arc;
use std::time::Instant;

use bytestring::ByteString;

use super::decoder::{Decoder, Part};
use super::storage::Storage;
use crate::buffers::Buffers;
use crate::config::Config;
use crate::deflate::{InflateError, Inflater};
use crate::error::Violation;
use crate::frame::Opcode;
use crate::message::{MessageRef, Payload, Text};
use crate::utf8::Utf8;

/// From how many missing bytes on they are read to where they stay. What that saves is a copy of them, what it costs is a read
/// of its own for what follows.
const READ_IN_PLACE_FROM: u64 = 16 * 1024;

/// How much is read in place at once: what is still in a core's second-level cache when it is unmasked.
const READ_IN_PLACE_AT_ONCE: usize = 128 * 1024;

/// What is unfinished. At rest it holds nothing.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    message: Option<Box<Unfinished>>,
}

/// A message of which a part has come.
#[derive(Debug)]
struct Unfinished {
    /// When its clock was started; only where there is a limit to its time.
    since: Option<Instant>,
    is_text: bool,
    compressed: bool,
    /// The payload so far, inflated.
    payload: Storage,
    /// How far a text's payload has been checked.
    utf8: Utf8,
    fragments: u32,
}

impl Assembler {
    /// Whether nothing of a message has come that is unfinished.
    pub(crate) const fn is_at_rest(&self) -> bool {
        self.message.is_none()
    }

    /// How many bytes have come of the message that is unfinished, inflated.
    pub(crate) fn len(&self) -> usize {
        self.message.as_ref().map_or(0, |message| message.payload.len())
    }

    /// Starts the clock of an unfinished message, if it does not run.
    pub(crate) fn start_clock(&mut self, now: Instant) {
        if let Some(message) = &mut self.message {
            message.since.get_or_insert(now);
        }
    }

    /// Starts the clock of an unfinished message anew, if it runs.
    pub(crate) fn restart_clock(&mut self, now: Instant) {
        if let Some(Unfinished { since: Some(since), .. }) = self.message.as_deref_mut() {
            *since = now;
        }
    }

    /// When the clock of the unfinished message was started.
    pub(crate) fn unfinished_since(&self) -> Option<Instant> {
        self.message.as_ref()?.since
    }

    /// Forgets what is unfinished.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes the next part. `inflater` is there when permessage-deflate was negotiated.
    #[inline]
    pub(crate) fn push<'a>(
        &mut self,
        part: &Part<'a>,
        config: &Config,
        inflater: Option<&mut Inflater>,
    ) -> Result<Option<MessageRef<'a>>, Violation> {
        if part.first {
            self.check_start(part, config)?;
            if part.left == 0 && part.header.fin && self.message.is_none() && !part.header.compressed {
                return lend(part.payload, part.header.opcode == Opcode::Text).map(Some);
            }
        }
        self.push_data(part, config, inflater)
    }

    /// Room to read the next bytes of an unfinished message to where they stay, of which the frame has `left`. There is none
    /// for a message that has to be inflated, and none for a few bytes: those may as well come with what is behind them. And room
    /// grows by what came: at the beginning of a message there is more in the driver's own buffer, unless this one's was used before.
    pub(crate) fn room(&mut self, left: u64, config: &Config) -> Option<&mut [u8]> {
        let message = self.message.as_mut().filter(|message| !message.compressed && left >= READ_IN_PLACE_FROM)?;
        if message.payload.len() < READ_IN_PLACE_FROM as usize && !message.payload.has_room() {
            return None;
        }
        Some(message.payload.room(left, READ_IN_PLACE_AT_ONCE, config.buffers.as_deref()))
    }

    /// Takes what was read into [`Assembler::room`]: the first `count` bytes of it.
    pub(crate) fn push_in_place(
        &mut self,
        count: usize,
        decoder: &mut Decoder,
        config: &Config,
    ) -> Result<Option<MessageRef<'static>>, Violation> {
        let Some(message) = &mut self.message else { return Ok(None) };
        let before = message.payload.len();
        message.payload.note_read(count);
        let Some(part) = decoder.next_in_place(message.payload.bytes_mut_from(before)) else { return Ok(None) };
        let finished = part.left == 0 && part.header.fin;
        message.check_text(before)?;
        if finished { self.finish(config) } else { Ok(None) }
    }

    /// What a data frame's header alone can break: its place among the frames, and the limits.
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
            (Some(_), _) => return Err(Violation::MessageUnfinished),
            (None, _) => (!part.header.compressed).then_some(0),
        };
        // A compressed message is measured by what it inflates to; of its bytes on the wire nothing is kept.
        if so_far.is_some_and(|so_far| part.header.length > (config.max_payload.saturating_sub(so_far)) as u64) {
            return Err(Violation::MessageTooBig(config.max_payload));
        }
        Ok(())
    }

    fn push_data<'a>(
        &mut self,
        part: &Part<'a>,
        config: &Config,
        inflater: Option<&mut Inflater>,
    ) -> Result<Option<MessageRef<'a>>, Violation> {
        let message = self.message.get_or_insert_with(|| {
            Box::new(Unfinished {
                since: None,
                is_text: part.header.opcode == Opcode::Text,
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
                message.payload.extend(part.payload, part.left, finished, config.buffers.as_deref());
                Ok(())
            }
        };
        // What came out before the fault is judged before the fault, so that the cuts of the network make no difference.
        message.check_text(before)?;
        inflated.map_err(|error| match error {
            InflateError::TooBig => Violation::MessageTooBig(config.max_payload),
            InflateError::Corrupt(_) => Violation::CorruptDeflate,
        })?;
        if !finished {
            return Ok(None);
        }
        self.finish(config)
    }

    /// The message that has come whole.
    fn finish<'a>(&mut self, config: &Config) -> Result<Option<MessageRef<'a>>, Violation> {
        self.message.take().map(|message| message.finish(config.buffers.as_ref())).transpose()
    }
}

impl Unfinished {
    /// Checks what has come of a text since there were `before` bytes.
    fn check_text(&mut self, before: usize) -> Result<(), Violation> {
        if self.is_text {
            self.utf8.push(&self.payload.bytes()[before..]).map_err(|_| Violation::NotUtf8)?;
        }
        Ok(())
    }

    fn finish<'a>(self, buffers: Option<&Arc<Buffers>>) -> Result<MessageRef<'a>, Violation> {
        let payload = self.payload.into_payload(buffers);
        if !self.is_text {
            return Ok(MessageRef::Binary(Payload::Owned(payload)));
        }
        self.utf8.finish().map_err(|_| Violation::NotUtf8)?;
        // Checked piece by piece already; the type asks once more, which costs a fraction of having received it.
        let text = ByteString::try_from(payload).map_err(|_| Violation::NotUtf8)?;
        Ok(MessageRef::Text(Text::Owned(text)))
    }
}

/// A message that lies whole in the input.
#[inline]
pub(crate) fn lend(payload: &[u8], is_text: bool) -> Result<MessageRef<'_>, Violation> {
    Ok(if is_text {
        MessageRef::Text(Text::Lent(simdutf8::basic::from_utf8(payload).map_err(|_| Violation::NotUtf8)?))
    } else {
        MessageRef::Binary(Payload::Lent(payload))
    })
}
