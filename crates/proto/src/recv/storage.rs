//! The bytes of an unfinished message. Memory is initialised ahead of them, once in its life, so that it can be read into.

use std::sync::Arc;

use bytes::Bytes;

use super::buffers::{Buffers, LARGE};
use crate::append::append;

/// How far ahead of the bytes that came storage may be reserved, however much a header announces.
const RESERVE_AHEAD: usize = 64 * 1024;

/// What has come of a message. It grows with the bytes that came: at most twofold, or by [`RESERVE_AHEAD`].
#[derive(Debug, Default)]
pub(super) struct Storage {
    /// All of it is initialised; what is behind `filled` is of no meaning.
    memory: Vec<u8>,
    filled: usize,
}

impl Storage {
    pub(super) fn len(&self) -> usize {
        self.filled
    }

    /// What has come.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[..self.filled]
    }

    /// What has come from a position on, to be unmasked.
    pub(super) fn bytes_mut_from(&mut self, start: usize) -> &mut [u8] {
        &mut self.memory[start..self.filled]
    }

    /// Keeps bytes that came; so many more are announced behind them.
    pub(super) fn extend(&mut self, bytes: &[u8], announced: u64, buffers: Option<&Buffers>) {
        if self.memory.len() == self.filled {
            self.take_buffer(bytes.len() as u64 + announced, buffers);
        }
        let known = bytes.len().min(self.memory.len() - self.filled);
        let end = self.filled + known;
        self.memory[self.filled..end].copy_from_slice(&bytes[..known]);
        if known < bytes.len() {
            self.reserve(bytes.len() - known, announced);
            append(&mut self.memory, &bytes[known..]);
        }
        self.filled += bytes.len();
    }

    /// Room to read the next of `announced` bytes to where they stay, `most` at once.
    pub(super) fn room(&mut self, announced: u64, most: usize, buffers: Option<&Buffers>) -> &mut [u8] {
        if self.memory.len() == self.filled {
            self.take_buffer(announced, buffers);
        }
        if self.memory.len() == self.filled {
            self.reserve(0, announced);
            let ahead = (self.memory.capacity() - self.filled).min(announced as usize);
            self.memory.resize(self.filled + ahead, 0);
        }
        let room = (self.memory.len() - self.filled).min(announced as usize).min(most);
        &mut self.memory[self.filled..self.filled + room]
    }

    /// So many bytes were read into the room that was given last.
    pub(super) fn note_read(&mut self, count: usize) {
        self.filled = self.memory.len().min(self.filled + count);
    }

    /// Memory that inflated bytes can be appended to; what it holds then is what has come.
    pub(super) fn append_with<R>(&mut self, append: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        self.memory.truncate(self.filled);
        let result = append(&mut self.memory);
        self.filled = self.memory.len();
        result
    }

    /// The payload, whose memory goes back to where it came from.
    pub(super) fn into_payload(mut self, buffers: Option<&Arc<Buffers>>) -> Bytes {
        match buffers {
            Some(buffers) if self.memory.capacity() >= LARGE => Arc::clone(buffers).payload(self.memory, self.filled),
            _ => {
                self.memory.truncate(self.filled);
                Bytes::from(self.memory)
            }
        }
    }

    /// Uses memory that was used before, for a large message.
    fn take_buffer(&mut self, announced: u64, buffers: Option<&Buffers>) {
        if self.memory.is_empty()
            && announced >= LARGE as u64
            && let Some(buffer) = buffers.and_then(Buffers::take)
        {
            self.memory = buffer;
        }
    }

    /// Reserves for bytes that are here, and for some of those that are announced.
    fn reserve(&mut self, here: usize, announced: u64) {
        let ahead = self.filled.max(RESERVE_AHEAD) as u64;
        self.memory.reserve_exact(here + announced.min(ahead) as usize);
    }
}
