//! The bytes of an unfinished message, in memory that is initialised ahead so that it can be read into.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use crate::append::append;
use crate::buffers::{Buffers, LARGE};
use crate::config::Config;

/// The size of a page of memory. A large message starts in the middle of one. Most buffers that the kernel copies from
/// and to start near the beginning of a page. If source and target have nearly the same offset in their pages, `rep
/// movsb` is several times slower on some processors (AMD's Zen 4; glibc bug 30994): an echo of 1 MiB messages took
/// twice the time.
const PAGE: usize = 4 * 1024;

/// The bytes of a message that have come. Its memory is at most twice as large, or [`Config::reserve_ahead`] larger,
/// plus the offset of up to a page that a large message starts at. A buffer that was used before may be larger; a
/// server keeps only a few of those.
#[derive(Debug, Default)]
pub(super) struct Storage {
    /// All of it is initialised. Only the bytes in `start..end` have a meaning.
    memory: Vec<u8>,
    start: usize,
    end: usize,
}

impl Storage {
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    /// The bytes that have come.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    /// The bytes that have come from a position on, to be unmasked.
    pub(super) fn bytes_mut_from(&mut self, from: usize) -> &mut [u8] {
        &mut self.memory[self.start + from..self.end]
    }

    /// Whether there is initialised room already, as in a buffer that was used before.
    pub(super) fn has_room(&self) -> bool {
        self.memory.len() > self.end
    }

    /// Appends bytes that came; `announced` more follow in the same frame. `is_end` says that these are the last of the
    /// message.
    pub(super) fn extend(&mut self, bytes: &[u8], announced: u64, is_end: bool, config: &Config) {
        if self.memory.len() == self.end {
            self.begin(bytes.len() as u64 + announced, config);
        }
        let (into_memory, behind_it) = bytes.split_at(bytes.len().min(self.memory.len() - self.end));
        self.memory[self.end..][..into_memory.len()].copy_from_slice(into_memory);
        if !behind_it.is_empty() {
            if announced == 0 && !is_end {
                // This is the end of a fragment. Many short ones may follow, so the memory grows in larger steps.
                self.memory.reserve(behind_it.len());
            } else if self.memory.capacity() - self.memory.len() < behind_it.len() {
                self.reserve(behind_it.len(), announced, config);
            }
            append(&mut self.memory, behind_it);
        }
        self.end += bytes.len();
    }

    /// Returns room for the next of `announced` bytes, at most `most`, to be read into.
    pub(super) fn room(&mut self, announced: u64, most: usize, config: &Config) -> &mut [u8] {
        if self.memory.len() == self.end {
            self.begin(announced, config);
        }
        if self.memory.len() == self.end {
            self.reserve(0, announced, config);
            let ahead = (self.memory.capacity() - self.end).min(announced as usize);
            self.memory.resize(self.end + ahead, 0);
        }
        let room = (self.memory.len() - self.end).min(announced as usize).min(most);
        &mut self.memory[self.end..self.end + room]
    }

    /// Notes that `count` bytes were read into the room that was returned last.
    pub(super) fn note_read(&mut self, count: usize) {
        self.end = self.memory.len().min(self.end + count);
    }

    /// Lets `write` append inflated bytes to the memory. All that the memory holds then has come.
    pub(super) fn append_with<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        self.memory.truncate(self.end);
        let result = write(&mut self.memory);
        self.end = self.memory.len();
        result
    }

    /// Returns the payload. If its memory came from `buffers`, it returns there in the end.
    pub(super) fn into_payload(mut self, buffers: Option<&Arc<Buffers>>) -> Bytes {
        match buffers {
            Some(buffers) if self.memory.capacity() >= LARGE => {
                Arc::clone(buffers).payload(self.memory, self.start..self.end)
            }
            _ => {
                self.memory.truncate(self.end);
                let mut payload = Bytes::from(self.memory);
                payload.advance(self.start);
                payload
            }
        }
    }

    /// Begins a large message, in a buffer that was used before if there is one.
    fn begin(&mut self, announced: u64, config: &Config) {
        if self.memory.is_empty() && announced >= LARGE as u64 {
            self.memory = config.buffers.as_deref().and_then(Buffers::take).unwrap_or_default();
            let place = self.memory.as_ptr().addr() % PAGE;
            self.start = (PAGE + PAGE / 2 - place) % PAGE;
            self.end = self.start;
            if self.memory.len() < self.start {
                self.memory.resize(self.start, 0);
            }
        }
    }

    /// Reserves memory for `here` bytes that have come, and for a part of the `announced` ones.
    fn reserve(&mut self, here: usize, announced: u64, config: &Config) {
        let ahead = (self.len() + here).max(config.reserve_ahead) as u64;
        self.memory.reserve_exact(here + announced.min(ahead) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNOUNCED: u64 = 16 << 20;
    const READ: usize = 64 * 1024;

    /// Without buffers that were used before.
    fn config() -> Config {
        Config::client()
    }

    #[test]
    fn what_is_reserved_ahead_is_not_moved_as_it_comes() {
        let length = 1 << 20;
        for (reserve_ahead, grows) in [(1024, 4), (length, 1)] {
            let (mut storage, mut growths) = (Storage::default(), 0);
            for read in 1..=length / READ {
                let before = storage.memory.capacity();
                let left = length - read * READ;
                storage.extend(&vec![7; READ], left as u64, left == 0, &config().reserve_ahead(reserve_ahead));
                growths += usize::from(storage.memory.capacity() != before);
            }
            assert_eq!(growths, grows, "with {reserve_ahead} bytes ahead");
            assert!(storage.memory.capacity() <= PAGE + length);
        }
    }

    #[test]
    fn an_announced_length_costs_little_memory_until_the_bytes_come() {
        for first in [&b""[..], b"a"] {
            let mut storage = Storage::default();
            storage.extend(first, ANNOUNCED, false, &config());
            assert!(storage.memory.capacity() <= PAGE, "{} bytes", storage.memory.capacity());
            storage.room(ANNOUNCED, usize::MAX, &config());
            assert!(storage.memory.capacity() <= PAGE, "{} bytes with room", storage.memory.capacity());
        }
    }

    #[test]
    fn room_is_for_twice_of_what_came_at_most() {
        for piece in [1_usize, 700, 5_000, 100_000] {
            for in_place in [false, true] {
                let mut storage = Storage::default();
                let announced = (ANNOUNCED / 8).min(3_000 * piece as u64);
                let mut left = announced;
                while left > 0 {
                    let here = piece.min(left as usize);
                    if in_place && storage.len() > 0 {
                        let read = storage.room(left, piece, &config()).len();
                        storage.note_read(read);
                        left -= read as u64;
                    } else {
                        left -= here as u64;
                        storage.extend(&vec![7; here], left, left == 0, &config());
                    }
                    let (came, held) = (storage.len(), storage.memory.capacity());
                    assert!(held <= PAGE + 2 * came, "{held} bytes for {came} in pieces of {piece}");
                }
                assert_eq!(storage.len() as u64, announced);
            }
        }
    }

    #[test]
    fn a_message_whose_last_bytes_come_apart_takes_no_more_than_its_length() {
        for last in [1, 100, READ] {
            let mut storage = Storage::default();
            let mut left = ANNOUNCED as usize;
            while left > last {
                let here = READ.min(left - last);
                left -= here;
                storage.extend(&vec![7; here], left as u64, false, &config());
            }
            storage.extend(&vec![7; left], 0, true, &config());
            assert!(storage.memory.capacity() <= PAGE + storage.len(), "{} bytes", storage.memory.capacity());
        }
    }

    #[test]
    fn many_short_fragments_move_what_came_a_few_times_only() {
        let (mut storage, mut growths) = (Storage::default(), 0);
        for _ in 0..10_000 {
            let before = storage.memory.capacity();
            storage.extend(&[7; 100], 0, false, &config());
            growths += usize::from(storage.memory.capacity() != before);
        }
        assert!(growths < 20, "{growths} times");
        assert!(storage.memory.capacity() <= 2 * storage.len());
    }
}
