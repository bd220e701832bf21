//! A large message that is being compressed, a slice at a time, and what waits behind it. When the next slice is due is the
//! driver's to say.

use bytes::Bytes;

use crate::deflate::Compressing;
use crate::frame::Opcode;
use crate::message::Message;

use super::prepared::Prepared;

/// A message on its way to be a frame, and what is to be sent after it.
#[derive(Debug)]
pub(crate) struct Job {
    opcode: Opcode,
    payload: Bytes,
    compressing: Compressing,
    /// What came of it so far.
    compressed: Vec<u8>,
    behind: Vec<Behind>,
    /// The bytes of their payloads.
    behind_bytes: usize,
}

/// What waits for a message to be compressed.
#[derive(Debug)]
pub(crate) enum Behind {
    Message(Message),
    Prepared(Prepared),
    Fragment { part: Message, first: bool, last: bool },
    Close(Vec<u8>),
}

/// What is to be queued once a message has been compressed.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) opcode: Opcode,
    /// Compressed.
    pub(crate) payload: Vec<u8>,
    pub(crate) behind: Vec<Behind>,
}

impl Job {
    pub(crate) const fn new(opcode: Opcode, payload: Bytes, compressing: Compressing) -> Self {
        Self { opcode, payload, compressing, compressed: Vec::new(), behind: Vec::new(), behind_bytes: 0 }
    }

    /// Bytes that wait: those that have not been compressed, what the others came to, and what is behind.
    pub(crate) fn len(&self) -> usize {
        self.payload.len() - self.compressing.taken() + self.compressed.len() + self.behind_bytes
    }

    pub(crate) fn push(&mut self, behind: Behind) {
        self.behind_bytes += match &behind {
            Behind::Message(message) | Behind::Fragment { part: message, .. } => message.len(),
            Behind::Prepared(prepared) => prepared.message().len(),
            Behind::Close(payload) => payload.len(),
        };
        self.behind.push(behind);
    }

    /// Compresses the next slice; whether that was the last.
    pub(crate) fn step(&mut self) -> bool {
        self.compressing.step(&self.payload, &mut self.compressed)
    }

    pub(crate) fn finish(self) -> Done {
        Done { opcode: self.opcode, payload: self.compressed, behind: self.behind }
    }
}
