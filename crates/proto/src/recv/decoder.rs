//! From bytes to unmasked control frames and parts of data frames, however the network cut the bytes. The meaning of
//! the parts is left to the assembler.

use bytes::Bytes;

use crate::error::Violation;
use crate::frame::header::{MAX_CONTROL_PAYLOAD, PlainHeader, Rules};
use crate::frame::{Header, MAX_HEADER, Opcode, mask};
use crate::input::Input;
use crate::message::Payload;

/// The longest part of a payload that may have to be inflated. Inflated it is up to 1,032 times as long, a mebibyte,
/// which takes a millisecond.
const INFLATED_AT_ONCE: u64 = 1024;

/// The next item of the input.
#[derive(Debug)]
pub(crate) enum Decoded<'a> {
    Part(Part<'a>),
    /// A whole control frame. RFC 6455 section 5.4 lets it "be injected in the middle of a fragmented message".
    Control(Opcode, Payload<'a>),
}

/// A part of a data frame: the bytes of it that have come, up to all of it.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) header: Header,
    /// Whether the frame begins with this part.
    pub(crate) first: bool,
    /// The next bytes of the frame's payload, unmasked.
    pub(crate) payload: &'a [u8],
    /// The number of payload bytes of the frame that are still to come.
    pub(crate) left: u64,
}

/// ```text
///             header whole, payload not
///   Header ───────────────────────────────► Payload, Control
///     ▲ │ frame whole                          │
///     └─┴──────────────────────────────────────┘
///                     payload whole
/// ```
#[derive(Debug)]
enum State {
    /// Within a header. `stash[..held]` has come, which is at least one byte.
    Header { stash: [u8; MAX_HEADER], held: u8 },
    /// Within a data frame's payload. Its first `done` bytes were passed on, and others are to come.
    Payload { header: Header, done: u64 },
    /// Within a control frame's payload. `payload[..held]` has come, still masked, and other bytes are to come.
    Control { header: Header, payload: [u8; MAX_CONTROL_PAYLOAD], held: u8 },
}

/// The position in the stream of frames.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// `None` between frames. A connection mostly is, and then this is one word.
    midway: Option<Box<State>>,
}

impl Decoder {
    /// Returns the next item, or `None` once the input is used up.
    #[inline]
    pub(crate) fn next<'a>(&mut self, input: &mut Input<'a>, rules: Rules) -> Result<Option<Decoded<'a>>, Violation> {
        if self.midway.is_some() {
            return self.go_on(input, rules);
        }
        let Some((header, size)) = Header::parse(input.remaining(), rules)? else {
            self.stash(input);
            return Ok(None);
        };
        input.take(size);
        Ok(self.payload(input, header, rules))
    }

    /// Takes the next frame if it is a whole uncompressed message of at most `limit` bytes, and all of it has come.
    /// Returns its payload, unmasked, and whether it is text. `None` means only that [`Decoder::next`] must be called.
    #[inline]
    pub(crate) fn next_plain<'a>(&self, input: &mut Input<'a>, rules: Rules, limit: usize) -> Option<(&'a [u8], bool)> {
        let header = PlainHeader::parse(input.remaining(), rules)?;
        let end = header.size + header.length;
        if self.midway.is_some() || header.length > limit || input.remaining().len() < end {
            return None;
        }
        let payload = &mut input.take(end)[header.size..];
        if let Some(key) = header.mask {
            mask::apply(payload, key, 0);
        }
        Some((payload, header.is_text))
    }

    /// Continues with the header or the payload that was begun before.
    fn go_on<'a>(&mut self, input: &mut Input<'a>, rules: Rules) -> Result<Option<Decoded<'a>>, Violation> {
        if input.is_empty() {
            return Ok(None);
        }
        match self.midway.as_deref_mut() {
            Some(State::Payload { header, done }) => {
                let (header, done) = (*header, *done);
                Ok(Some(Decoded::Part(self.part(input, header, done, rules))))
            }
            Some(State::Control { header, payload, held }) => {
                let (before, length) = (usize::from(*held), header.length as usize);
                let more = input.remaining().len().min(length - before);
                payload[before..before + more].copy_from_slice(input.take(more));
                *held += more as u8;
                if before + more < length {
                    return Ok(None);
                }
                unmask(&mut payload[..length], header, 0);
                let control =
                    Decoded::Control(header.opcode, Payload::Owned(Bytes::copy_from_slice(&payload[..length])));
                self.midway = None;
                Ok(Some(control))
            }
            Some(State::Header { stash, held }) => {
                let before = usize::from(*held);
                let more = input.remaining().len().min(MAX_HEADER - before);
                stash[before..before + more].copy_from_slice(&input.remaining()[..more]);
                let Some((header, size)) = Header::parse_outlined(&stash[..before + more], rules)? else {
                    *held += more as u8;
                    input.take(more);
                    return Ok(None);
                };
                input.take(size - before);
                Ok(self.payload(input, header, rules))
            }
            None => Ok(None),
        }
    }

    /// Returns the bytes of the payload behind this header, as far as they have come.
    #[inline]
    fn payload<'a>(&mut self, input: &mut Input<'a>, header: Header, rules: Rules) -> Option<Decoded<'a>> {
        if !header.opcode.is_control() {
            return Some(Decoded::Part(self.part(input, header, 0, rules)));
        }
        let length = header.length as usize;
        if input.remaining().len() < length {
            let bytes = input.take_all();
            // A longer one was refused when its header was parsed.
            let mut payload = [0; MAX_CONTROL_PAYLOAD];
            payload[..bytes.len()].copy_from_slice(bytes);
            self.midway = Some(Box::new(State::Control { header, payload, held: bytes.len() as u8 }));
            return None;
        }
        let payload = input.take(length);
        unmask(payload, &header, 0);
        self.midway = None;
        Some(Decoded::Control(header.opcode, Payload::Lent(payload)))
    }

    /// Returns the bytes of a data frame's payload behind its first `done` ones, as far as they have come.
    #[inline]
    fn part<'a>(&mut self, input: &mut Input<'a>, header: Header, done: u64, rules: Rules) -> Part<'a> {
        let left = header.length - done;
        let mut here = left.min(input.remaining().len() as u64);
        if rules.deflate && (header.compressed || header.opcode == Opcode::Continuation) {
            here = here.min(INFLATED_AT_ONCE);
        }
        let payload = input.take(here as usize);
        unmask(payload, &header, done);
        let first = !matches!(self.midway.as_deref(), Some(State::Payload { .. }));
        let left = left - here;
        if left > 0 {
            let midway = State::Payload { header, done: done + here };
            match &mut self.midway {
                Some(state) => **state = midway,
                none => *none = Some(Box::new(midway)),
            }
        } else if self.midway.is_some() {
            self.midway = None;
        }
        Part { header, first, payload, left }
    }

    /// Within a data frame's payload: the number of its bytes that are still to come.
    #[inline]
    pub(crate) fn data_left(&self) -> Option<u64> {
        match self.midway.as_deref() {
            Some(State::Payload { header, done }) => Some(header.length - done),
            _ => None,
        }
    }

    /// Unmasks the next bytes of a data frame's payload, which were read directly into the message. Returns the part
    /// that [`Decoder::next`] would return. Returns `None` outside of such a payload.
    pub(crate) fn next_in_place<'a>(&mut self, payload: &'a mut [u8]) -> Option<Part<'a>> {
        let Some(State::Payload { header, done }) = self.midway.as_deref_mut() else { return None };
        let header = *header;
        unmask(payload, &header, *done);
        *done += payload.len() as u64;
        let left = header.length - *done;
        if left == 0 {
            self.midway = None;
        }
        Some(Part { header, first: false, payload, left })
    }

    /// Keeps the beginning of a header of which bytes are missing.
    fn stash(&mut self, input: &mut Input<'_>) {
        let bytes = input.take_all();
        if bytes.is_empty() {
            return;
        }
        let mut stash = [0; MAX_HEADER];
        stash[..bytes.len()].copy_from_slice(bytes);
        self.midway = Some(Box::new(State::Header { stash, held: bytes.len() as u8 }));
    }
}

/// Unmasks bytes of a frame's payload. `before` is the number of its bytes that came earlier.
#[inline]
fn unmask(payload: &mut [u8], header: &Header, before: u64) {
    if let Some(key) = header.mask {
        mask::apply(payload, key, before);
    }
}
