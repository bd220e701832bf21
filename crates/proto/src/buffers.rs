//! Reuse of the buffers of large messages. Asking the operating system for a megabyte of zeroed pages for each message
//! costs more than receiving the message.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers of at least this size are kept. Allocators serve smaller ones from memory that they hold already.
pub(crate) const LARGE: usize = 64 * 1024;

/// The most bytes of unused buffers that are kept.
const KEPT: usize = 4 << 20;

/// Unused buffers of large messages, shared by the connections of a server or of a thread.
#[derive(Debug, Default)]
pub struct Buffers {
    free: Mutex<Free>,
}

#[derive(Debug, Default)]
struct Free {
    buffers: Vec<Vec<u8>>,
    capacity: usize,
}

impl Buffers {
    /// Returns a buffer that was used before, if there is one. Its bytes are initialised and have no meaning.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let buffer = free.buffers.pop()?;
        free.capacity -= buffer.capacity();
        Some(buffer)
    }

    /// Makes a payload of a range of a buffer. The buffer is returned to this set when the payload's last clone is
    /// dropped.
    pub(crate) fn payload(self: Arc<Self>, buffer: Vec<u8>, bytes: Range<usize>) -> Bytes {
        Bytes::from_owner(Lent { buffer, bytes, home: self })
    }

    fn put(&self, buffer: Vec<u8>) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.capacity + buffer.capacity() <= KEPT {
            free.capacity += buffer.capacity();
            free.buffers.push(buffer);
        }
    }
}

/// A payload in a buffer that returns to its set.
struct Lent {
    buffer: Vec<u8>,
    bytes: Range<usize>,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[self.bytes.clone()]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.put(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_the_last_user_of_its_payload_is_done() {
        let buffers = Arc::new(Buffers::default());
        assert!(buffers.take().is_none());
        let payload = Arc::clone(&buffers).payload(vec![7; LARGE], 1..LARGE / 2);
        assert_eq!(payload.len(), LARGE / 2 - 1);
        let slice = payload.slice(5..10);
        drop(payload);
        assert!(buffers.take().is_none());
        drop(slice);
        let buffer = buffers.take().expect("it came back");
        assert_eq!(buffer.len(), LARGE, "all of it is still initialised");
    }

    #[test]
    fn no_more_is_kept_than_is_meant_to_be() {
        let buffers = Buffers::default();
        for _ in 0..100 {
            buffers.put(Vec::with_capacity(KEPT / 4));
        }
        buffers.put(Vec::with_capacity(KEPT + 1));
        let kept: Vec<_> = std::iter::from_fn(|| buffers.take()).collect();
        assert_eq!(kept.len(), 4);
    }
}
