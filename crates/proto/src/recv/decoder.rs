//! From bytes to unmasked parts of frames, whichever way the network cut them. What the frames mean is the assembler's.

use crate::error::Violation;
use crate::frame::header::Rules;
use crate::frame::{Header, MAX_HEADER, mask};
use crate::input::Input;

/// A part of a frame: all of it, or what of it has come.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) header: Header,
    /// Whether the frame begins with this part.
    pub(crate) first: bool,
    /// The next bytes of the frame's payload, unmasked.
    pub(crate) payload: &'a [u8],
    /// How much of the frame's payload is still to come.
    pub(crate) left: u64,
}

/// ```text
///             header whole, payload not
///   Header ───────────────────────────────► Payload
///     ▲ │ frame whole                          │
///     └─┴──────────────────────────────────────┘
///                     payload whole
/// ```
#[derive(Debug)]
enum State {
    /// Between frames, or within a header of which `stash[..held]` has come.
    Header { stash: [u8; MAX_HEADER], held: u8 },
    /// Within a frame's payload, `done` bytes of which were handed on; less than there are.
    Payload { header: Header, done: u64 },
}

const BETWEEN_FRAMES: State = State::Header { stash: [0; MAX_HEADER], held: 0 };

/// Where in the stream of frames the next byte belongs.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
}

impl Decoder {
    pub(crate) const fn new() -> Self {
        Self { state: BETWEEN_FRAMES }
    }

    /// The next part, or `None` once the input is used up.
    #[inline]
    pub(crate) fn next<'a>(&mut self, input: &mut Input<'a>, rules: Rules) -> Result<Option<Part<'a>>, Violation> {
        let (header, first, done) = match &mut self.state {
            State::Header { held: 0, .. } => {
                let Some((header, size)) = Header::parse(input.remaining(), rules)? else {
                    self.stash(input);
                    return Ok(None);
                };
                input.take(size);
                (header, true, 0)
            }
            State::Header { stash, held } => {
                let before = usize::from(*held);
                let more = input.remaining().len().min(MAX_HEADER - before);
                stash[before..before + more].copy_from_slice(&input.remaining()[..more]);
                if let Some((header, size)) = Header::parse(&stash[..before + more], rules)? {
                    input.take(size - before);
                    (header, true, 0)
                } else {
                    *held += more as u8;
                    input.take(more);
                    return Ok(None);
                }
            }
            State::Payload { header, done } => {
                if input.is_empty() {
                    return Ok(None);
                }
                (*header, false, *done)
            }
        };

        let left = header.length - done;
        let here = left.min(input.remaining().len() as u64);
        let payload = input.take(here as usize);
        if let Some(key) = header.mask {
            mask::apply(payload, key, done);
        }
        let left = left - here;
        self.state = if left == 0 { BETWEEN_FRAMES } else { State::Payload { header, done: done + here } };
        Ok(Some(Part { header, first, payload, left }))
    }

    /// Within a data frame's payload: how much of it is still to come.
    #[inline]
    pub(crate) fn data_left(&self) -> Option<u64> {
        match &self.state {
            State::Payload { header, done } if !header.opcode.is_control() => Some(header.length - done),
            _ => None,
        }
    }

    /// Unmasks the next bytes of a data frame's payload, which were read to where they stay. Gives what
    /// [`Decoder::next`] gives, or nothing outside of such a payload.
    pub(crate) fn next_in_place<'a>(&mut self, payload: &'a mut [u8]) -> Option<Part<'a>> {
        let State::Payload { header, done } = &mut self.state else { return None };
        let (header, before) = (*header, *done);
        if let Some(key) = header.mask {
            mask::apply(payload, key, before);
        }
        *done += payload.len() as u64;
        let left = header.length - *done;
        if left == 0 {
            self.state = BETWEEN_FRAMES;
        }
        Some(Part { header, first: false, payload, left })
    }

    /// Keeps the beginning of a header, which is shorter than any header is long.
    fn stash(&mut self, input: &mut Input<'_>) {
        let bytes = input.take_all();
        let mut stash = [0; MAX_HEADER];
        stash[..bytes.len()].copy_from_slice(bytes);
        self.state = State::Header { stash, held: bytes.len() as u8 };
    }
}
