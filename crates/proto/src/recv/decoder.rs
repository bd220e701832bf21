//! From bytes to unmasked parts of frames, whichever way the network cut them. What the frames mean is the assembler's.

use crate::error::Violation;
use crate::frame::header::{PlainHeader, Rules};
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
    /// Within a header of which `stash[..held]` has come: at least one byte.
    Header { stash: [u8; MAX_HEADER], held: u8 },
    /// Within a frame's payload, `done` bytes of which were handed on; less than there are.
    Payload { header: Header, done: u64 },
}

/// Where in the stream of frames the next byte belongs.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// `None` between frames, where a connection mostly is: one word then.
    midway: Option<Box<State>>,
}

impl Decoder {
    /// The next part, or `None` once the input is used up.
    #[inline]
    pub(crate) fn next<'a>(&mut self, input: &mut Input<'a>, rules: Rules) -> Result<Option<Part<'a>>, Violation> {
        if self.midway.is_some() {
            return self.go_on(input, rules);
        }
        let Some((header, size)) = Header::parse(input.remaining(), rules)? else {
            self.stash(input);
            return Ok(None);
        };
        input.take(size);
        Ok(Some(self.part(input, header, 0)))
    }

    /// The next frame, if it is as most are: whole, and a message by itself of at most `limit` bytes. Gives its payload,
    /// unmasked, and whether it is text. `None` says nothing but that [`Decoder::next`] has to be asked.
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

    /// The next part of what was begun before.
    fn go_on<'a>(&mut self, input: &mut Input<'a>, rules: Rules) -> Result<Option<Part<'a>>, Violation> {
        match self.midway.as_deref_mut() {
            Some(State::Payload { header, done }) => {
                if input.is_empty() {
                    return Ok(None);
                }
                let (header, done) = (*header, *done);
                Ok(Some(self.part(input, header, done)))
            }
            Some(State::Header { stash, held }) => {
                let before = usize::from(*held);
                let more = input.remaining().len().min(MAX_HEADER - before);
                stash[before..before + more].copy_from_slice(&input.remaining()[..more]);
                let Some((header, size)) = Header::parse(&stash[..before + more], rules)? else {
                    *held += more as u8;
                    input.take(more);
                    return Ok(None);
                };
                input.take(size - before);
                Ok(Some(self.part(input, header, 0)))
            }
            None => Ok(None),
        }
    }

    /// What has come of a frame's payload behind its first `done` bytes.
    #[inline]
    fn part<'a>(&mut self, input: &mut Input<'a>, header: Header, done: u64) -> Part<'a> {
        let left = header.length - done;
        let here = left.min(input.remaining().len() as u64);
        let payload = input.take(here as usize);
        if let Some(key) = header.mask {
            mask::apply(payload, key, done);
        }
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

    /// Within a data frame's payload: how much of it is still to come.
    #[inline]
    pub(crate) fn data_left(&self) -> Option<u64> {
        match self.midway.as_deref() {
            Some(State::Payload { header, done }) if !header.opcode.is_control() => Some(header.length - done),
            _ => None,
        }
    }

    /// Unmasks the next bytes of a data frame's payload, which were read to where they stay. Gives what
    /// [`Decoder::next`] gives, or nothing outside of such a payload.
    pub(crate) fn next_in_place<'a>(&mut self, payload: &'a mut [u8]) -> Option<Part<'a>> {
        let Some(State::Payload { header, done }) = self.midway.as_deref_mut() else { return None };
        let (header, before) = (*header, *done);
        if let Some(key) = header.mask {
            mask::apply(payload, key, before);
        }
        *done += payload.len() as u64;
        let left = header.length - *done;
        if left == 0 {
            self.midway = None;
        }
        Some(Part { header, first: false, payload, left })
    }

    /// Keeps the beginning of a header, which is shorter than any header is long.
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
