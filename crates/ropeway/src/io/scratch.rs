//! The buffers of a thread, shared by all its connections. A connection at rest has none.

use std::cell::Cell;

use ropeway_proto::Spare;

/// The most that one read takes. It is large enough for a burst to be one system call, and small enough to stay in a
/// core's second-level cache.
pub(crate) const SIZE: usize = 128 * 1024;

/// The size of a page of memory. The buffer begins in the middle of a page, for the same reason as the memory of large
/// messages in the core.
const PAGE: usize = 4 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static SPARE: Cell<Spare> = Cell::default();
}

/// Lends the thread's memory for outgoing frames.
pub(crate) fn with_spare<R>(use_it: impl FnOnce(&mut Spare) -> R) -> R {
    let mut spare = SPARE.take();
    let result = use_it(&mut spare);
    SPARE.set(spare);
    result
}

/// Lends the thread's buffer to read into. It is zeroed only once, and still holds the bytes of its last user.
pub(crate) fn with<R>(use_it: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buffer = SCRATCH.take();
    if buffer.is_empty() {
        buffer = vec![0; PAGE + SIZE];
    }
    let start = (PAGE + PAGE / 2 - buffer.as_ptr().addr() % PAGE) % PAGE;
    let result = use_it(&mut buffer[start..start + SIZE]);
    SCRATCH.set(buffer);
    result
}
