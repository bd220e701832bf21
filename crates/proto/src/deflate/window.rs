//! The window of one direction (RFC 7692 section 7.1.2): the last bytes of its stream, which the next message may point
//! back into. A connection keeps it for context takeover, since it keeps no codec.

/// The last bytes of a stream, up to the size of the window.
#[derive(Debug)]
pub(super) struct Window {
    bytes: Vec<u8>,
    size: usize,
}

impl Window {
    /// An empty window of up to `2^bits` bytes. It takes no memory yet.
    pub(super) const fn new(bits: u8) -> Self {
        Self { bytes: Vec::new(), size: 1 << bits }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds the next bytes of the stream.
    pub(super) fn push(&mut self, next: &[u8]) {
        let next = &next[next.len().saturating_sub(self.size)..];
        let kept = self.bytes.len().min(self.size - next.len());
        self.bytes.drain(..self.bytes.len() - kept);
        let length = kept + next.len();
        if self.bytes.capacity() < length {
            // Twice the need, as a vector would reserve, but never more than the window.
            self.bytes.reserve_exact((2 * length).min(self.size) - kept);
        }
        self.bytes.extend_from_slice(next);
    }

    /// Forgets all bytes.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_holds_no_memory_before_the_first_byte_and_never_more_than_its_size() {
        let mut window = Window::new(12);
        assert_eq!(window.bytes.capacity(), 0);
        for length in [0, 1, 100, 900, 1000, 5000, 3000, 4095, 4096, 1] {
            window.push(&vec![7; length]);
            assert!(window.bytes.capacity() <= 4096);
        }
        assert_eq!(window.bytes.len(), 4096);
    }

    proptest! {
        #[test]
        fn it_has_the_last_bytes_of_all_that_was_pushed(
            pushes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..10),
        ) {
            let mut window = Window::new(8);
            for pushed in &pushes {
                window.push(pushed);
            }
            let all = pushes.concat();
            prop_assert_eq!(window.bytes(), &all[all.len().saturating_sub(256)..]);
        }
    }
}
