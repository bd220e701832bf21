//! Compressing a large message a slice at a time, and the sends that wait behind it. The driver decides when the next
//! slice is compressed.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;

use crate::deflate::{Compressing, Compressor};
use crate::frame::Opcode;
use crate::message::{Message, Payload};

use super::prepared::Prepared;

/// A large message on its way to the queue, and the sends behind it.
#[derive(Debug)]
pub(crate) struct Job {
    opcode: Opcode,
    payload: Bytes,
    stage: Stage,
    behind: Line,
}

/// ```text
///             has_work() and a codec may be taken
///   Waiting ─────────────────────────────────────► Begun ── last slice ──► done, compressed
///      │ │                                          │ ▲
///      │ │                                take_work │ │ return_work
///      │ │               take_work                  ▼ │
///      │ └────────────────────────────────────────► Away
///      └── no codec may be taken ──► done, as it is
/// ```
///
/// A codec is held by a job that has begun, or by the work that is away once it runs.
#[derive(Debug)]
enum Stage {
    Waiting,
    /// With the compressed payload so far.
    Begun(Compressing, Vec<u8>),
    /// The work that is taken back has this ticket.
    Away(Arc<()>),
}

/// A large message that is compressed outside of its connection, on any thread. It takes a codec of about 265 KiB when it
/// is [run](Work::run), if it has none, so many of them may wait for a thread.
#[derive(Debug)]
pub struct Work {
    /// Tells it from all other work, also from that of another connection which sends the same bytes.
    ticket: Arc<()>,
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
        Self { opcode, payload, stage: Stage::Waiting, behind: Line::default() }
    }

    /// The bytes that wait: the part that is not compressed yet, the output for the rest, and the sends behind it.
    pub(crate) fn len(&self) -> usize {
        let payload = match &self.stage {
            Stage::Begun(compressing, compressed) => self.payload.len() - compressing.taken() + compressed.len(),
            Stage::Waiting | Stage::Away(_) => self.payload.len(),
        };
        payload + self.behind.bytes
    }

    pub(crate) fn push(&mut self, behind: Behind) {
        self.behind.push(behind);
    }

    pub(crate) const fn is_away(&self) -> bool {
        matches!(self.stage, Stage::Away(_))
    }

    pub(crate) const fn has_begun(&self) -> bool {
        matches!(self.stage, Stage::Begun(..))
    }

    /// Returns the work, for another thread to do. Returns `None` if the work is already away.
    pub(crate) fn take_work(&mut self, compressor: &mut Compressor) -> Option<Work> {
        if self.is_away() {
            return None;
        }
        let ticket = Arc::new(());
        let (compressing, compressed) = match mem::replace(&mut self.stage, Stage::Away(Arc::clone(&ticket))) {
            Stage::Begun(compressing, compressed) => (compressing, compressed),
            Stage::Waiting | Stage::Away(_) => (compressor.begin_later(&self.payload), Vec::new()),
        };
        Some(Work { ticket, payload: self.payload.clone(), compressing, compressed })
    }

    /// Takes the work back. Returns `false` if it is not this job's.
    pub(crate) fn put_back(&mut self, work: Work) -> bool {
        let is_ours = matches!(&self.stage, Stage::Away(ticket) if Arc::ptr_eq(ticket, &work.ticket));
        if is_ours {
            self.stage = Stage::Begun(work.compressing, work.compressed);
        }
        is_ours
    }

    /// Puts a whole line behind this job, which must have nothing behind it.
    pub(crate) fn set_behind(&mut self, behind: Line) {
        debug_assert!(self.behind.entries.is_empty(), "nothing is lost");
        self.behind = behind;
    }

    /// Breaks compressing off, so that the message is sent uncompressed.
    pub(crate) fn give_up(&mut self) {
        self.stage = Stage::Waiting;
    }

    /// Compresses the next slice and returns whether the job is done. If it has not begun and may not begin, it is done
    /// at once, and the message is sent uncompressed.
    pub(crate) fn step(&mut self, compressor: &mut Compressor, may_begin: bool) -> bool {
        if let Stage::Waiting = self.stage {
            if !may_begin {
                return true;
            }
            self.stage = Stage::Begun(compressor.begin(&self.payload), Vec::new());
        }
        match &mut self.stage {
            Stage::Begun(compressing, compressed) => compressing.step(&self.payload, compressed),
            Stage::Waiting | Stage::Away(_) => false,
        }
    }

    pub(crate) fn finish(self) -> Done {
        let (is_compressed, payload) = match self.stage {
            Stage::Begun(_, compressed) => (true, compressed.into()),
            Stage::Waiting | Stage::Away(_) => (false, self.payload),
        };
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
