//! From messages to frames: opcode, compression, mask. Waiting to be written is left to the queue.

use super::prepared::{MAX_COMPRESSED, Prepared};
use super::queue::Queue;
use crate::deflate::Compressor;
use crate::frame::{Header, Opcode};
use crate::message::{MessageRef, Payload, Text};
use crate::role::Role;

/// Makes frames of messages.
#[derive(Debug)]
pub(crate) struct Encoder {
    role: Role,
}

impl Encoder {
    pub(crate) const fn new(role: Role) -> Self {
        Self { role }
    }

    pub(crate) const fn role(&self) -> &Role {
        &self.role
    }

    /// Queues a whole message as one frame, uncompressed.
    #[inline]
    pub(crate) fn message(&self, message: MessageRef<'_>, queue: &mut Queue) {
        let (opcode, payload) = split(message);
        queue.push_data(self.header(opcode, true, false, payload.len()), payload);
    }

    /// Queues a message, compressed if its length makes that worth it.
    pub(crate) fn compressed(&self, message: MessageRef<'_>, compressor: &mut Compressor, queue: &mut Queue) {
        let (opcode, payload) = split(message);
        if !compressor.wants(payload.len()) {
            return self.frame(opcode, true, false, payload, queue);
        }
        let mut compressed = Vec::new();
        compressor.compress(&payload, &mut compressed);
        self.frame(opcode, true, true, Payload::Owned(compressed.into()), queue);
    }

    /// The same for a message that other connections send too.
    pub(crate) fn prepared(&self, prepared: &Prepared, compressor: Option<&mut Compressor>, queue: &mut Queue) {
        let message = prepared.message().as_bytes();
        let compressor =
            compressor.filter(|compressor| compressor.wants(message.len()) && message.len() <= MAX_COMPRESSED);
        let shape = compressor.map(|compressor| compressor.share(message));
        let form = prepared.form(shape);
        if let (Role::Server, Some(frame)) = (&self.role, form.frame()) {
            queue.push_frame(frame);
        } else {
            self.frame(prepared.opcode(), true, shape.is_some(), form.payload(), queue);
        }
    }

    /// Queues a fragment, uncompressed: RFC 7692 section 6 leaves the choice to the sender, message by message.
    pub(crate) fn fragment(&self, message: MessageRef<'_>, first: bool, last: bool, queue: &mut Queue) {
        let (opcode, payload) = split(message);
        let opcode = if first { opcode } else { Opcode::Continuation };
        self.frame(opcode, last, false, payload, queue);
    }

    /// Queues a ping or pong ahead of all data frames that have not started.
    pub(crate) fn control(&self, opcode: Opcode, payload: &[u8], queue: &mut Queue) {
        queue.push_control(self.header(opcode, true, false, payload.len()), payload);
    }

    /// Queues a close frame behind all data.
    pub(crate) fn close(&self, payload: &[u8], queue: &mut Queue) {
        self.frame(Opcode::Close, true, false, Payload::Lent(payload), queue);
    }

    /// Queues a frame. It is out of line on purpose, and `message` inlines its own copy for the common case.
    #[inline(never)]
    pub(crate) fn frame(&self, opcode: Opcode, fin: bool, compressed: bool, payload: Payload<'_>, queue: &mut Queue) {
        queue.push_data(self.header(opcode, fin, compressed, payload.len()), payload);
    }

    #[inline]
    fn header(&self, opcode: Opcode, fin: bool, compressed: bool, length: usize) -> Header {
        let mask = match &self.role {
            Role::Server => None,
            Role::Client { keys } => Some(keys.next()),
        };
        Header { fin, compressed, opcode, mask, length: length as u64 }
    }
}

#[inline]
pub(crate) fn split(message: MessageRef<'_>) -> (Opcode, Payload<'_>) {
    match message {
        MessageRef::Text(Text::Lent(text)) => (Opcode::Text, Payload::Lent(text.as_bytes())),
        MessageRef::Text(Text::Owned(text)) => (Opcode::Text, Payload::Owned(text.into_bytes())),
        MessageRef::Binary(payload) => (Opcode::Binary, payload),
    }
}
