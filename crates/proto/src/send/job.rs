//! Compressing a large message a slice at a time, and the sends that wait behind it. The driver decides when the next
//! slice is compressed.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::deflate::{Compressing, Compressor};
use crate::frame::Opcode;
use crate::message::{Message, Payload};

use super::prepared::Prepared;

/// ```text
///             has_work() and a codec may be taken
///   Waiting ─────────────────────────────────────► Begun ── last slice ──► done, compressed
///      └── no codec may be taken ──► done, as it is
/// ```
///
/// Only a job that has begun holds a codec.
#[derive(Debug)]
pub(crate) struct Job {
    opcode: Opcode,
    payload: Bytes,
    /// `None` until it begins.
    compressing: Option<Compressing>,
    /// The compressed payload so far.
    compressed: Vec<u8>,
    /// Whether the two above are elsewhere, as a [`Work`].
    is_away: bool,
    behind: Line,
}

/// A large message that is compressed outside of its connection, on any thread. It takes a codec of about 265 KiB when it
/// is [run](Work::run), if it has none, so many of them may wait for a thread.
#[derive(Debug)]
pub struct Work {
    payload: Bytes,
    compressing: Compressing,
    compressed: Vec<u8>,
}

impl Work {
    /// Compresses all of the message. 64 KiB take about a millisecond.
    pub fn run(&mut self) {
        while !self.compressing.step(&self.payload, &mut self.compressed) {}
    }
}

/// The sends that wait behind a job, in order.
#[derive(Debug, Default)]
pub(crate) struct Line {
    entries: VecDeque<Behind>,
    /// The sum of [`Behind::len`].
    bytes: usize,
}

/// One send that waits for a message to be compressed.
#[derive(Debug)]
pub(crate) enum Behind {
    Message(Message),
    Prepared(Prepared),
    Fragment {
        part: Message,
        first: bool,
        last: bool,
    },
    /// A ping or a pong, where these do not go ahead.
    Control(Opcode, Vec<u8>),
    Close(Vec<u8>),
}

/// A job that is done: its payload, and the sends to be queued behind it.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) opcode: Opcode,
    pub(crate) is_compressed: bool,
    pub(crate) payload: Payload<'static>,
    pub(crate) behind: Line,
}

impl Job {
    pub(crate) fn new(opcode: Opcode, payload: Bytes) -> Self {
        Self { opcode, payload, compressing: None, compressed: Vec::new(), is_away: false, behind: Line::default() }
    }

    /// The bytes that wait: the part that is not compressed yet, the output for the rest, and the sends behind it.
    pub(crate) fn len(&self) -> usize {
        let taken = self.compressing.as_ref().map_or(0, Compressing::taken);
        self.payload.len() - taken + self.compressed.len() + self.behind.bytes
    }

    pub(crate) fn push(&mut self, behind: Behind) {
        self.behind.push(behind);
    }

    pub(crate) const fn is_away(&self) -> bool {
        self.is_away
    }

    pub(crate) const fn has_begun(&self) -> bool {
        self.compressing.is_some()
    }

    /// Returns the work, for another thread to do. Returns `None` if the work is already away.
    pub(crate) fn take_work(&mut self, compressor: &mut Compressor) -> Option<Work> {
        if self.is_away {
            return None;
        }
        let compressing = self.compressing.take().unwrap_or_else(|| compressor.begin_later(&self.payload));
        self.is_away = true;
        Some(Work { payload: self.payload.clone(), compressing, compressed: std::mem::take(&mut self.compressed) })
    }

    /// Takes the work back. Returns `false` if it is another message's.
    pub(crate) fn put_back(&mut self, work: Work) -> bool {
        if !self.is_away || work.payload.as_ptr() != self.payload.as_ptr() {
            return false;
        }
        self.compressing = Some(work.compressing);
        self.compressed = work.compressed;
        self.is_away = false;
        true
    }

    /// Puts a whole line behind this job, which must have nothing behind it.
    pub(crate) fn set_behind(&mut self, behind: Line) {
        debug_assert!(self.behind.entries.is_empty(), "nothing is lost");
        self.behind = behind;
    }

    /// Breaks compressing off, so that the message is sent uncompressed.
    pub(crate) fn give_up(&mut self) {
        self.compressing = None;
        self.compressed = Vec::new();
    }

    /// Compresses the next slice and returns whether the job is done. If it has not begun and may not begin, it is done
    /// at once, and the message is sent uncompressed.
    pub(crate) fn step(&mut self, compressor: &mut Compressor, may_begin: bool) -> bool {
        if self.compressing.is_none() {
            if !may_begin {
                return true;
            }
            self.compressing = Some(compressor.begin(&self.payload));
        }
        self.compressing.as_mut().is_none_or(|compressing| compressing.step(&self.payload, &mut self.compressed))
    }

    pub(crate) fn finish(self) -> Done {
        let is_compressed = self.compressing.is_some();
        let payload = if is_compressed { self.compressed.into() } else { self.payload };
        Done { opcode: self.opcode, is_compressed, payload: Payload::Owned(payload), behind: self.behind }
    }
}

impl Line {
    fn push(&mut self, behind: Behind) {
        self.bytes += behind.len();
        self.entries.push_back(behind);
    }

    pub(crate) fn pop(&mut self) -> Option<Behind> {
        let behind = self.entries.pop_front()?;
        self.bytes -= behind.len();
        Some(behind)
    }
}

impl Behind {
    /// The bytes that it counts for while it waits: its payload and a constant, so that the number of empty messages is
    /// bounded too.
    fn len(&self) -> usize {
        let payload = match self {
            Self::Message(message) | Self::Fragment { part: message, .. } => message.len(),
            Self::Prepared(prepared) => prepared.message().len(),
            Self::Control(_, payload) | Self::Close(payload) => payload.len(),
        };
        payload + size_of::<Self>()
    }
}
