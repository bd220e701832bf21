//! A slice: as much of a chunk as is inflated at once. The rest is taken later, so that the event loop is not held up.

use crate::memory::Memory;
use crate::socket::Socket;

/// No more of a chunk is taken at once when so many bytes of it have come out. The core looks after each part of a frame, which may
/// inflate to a mebibyte more.
const INFLATED: usize = 256 * 1024;

/// The bytes that have come out of a chunk.
pub(crate) struct Slice {
    before: Option<usize>,
}

impl Slice {
    pub(crate) fn begin(socket: &Socket, memory: &Memory) -> Self {
        Self { before: socket.may_inflate.then(|| received(socket, memory)) }
    }

    /// The bytes that have come out so far, if they may be more than went in.
    pub(crate) fn length(&self, socket: &Socket, memory: &Memory) -> usize {
        self.before.map_or(0, |before| received(socket, memory).saturating_sub(before))
    }

    /// Whether the rest of the chunk is to be taken later.
    pub(crate) fn is_over(&self, socket: &Socket, memory: &Memory) -> bool {
        self.length(socket, memory) >= INFLATED
    }
}

/// The bytes of messages that did not stay where they were read, and of the unfinished one.
fn received(socket: &Socket, memory: &Memory) -> usize {
    memory.held + socket.connection.received_amount()
}
