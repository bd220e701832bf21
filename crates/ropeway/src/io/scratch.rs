//! The buffers of a thread, shared by all its connections: a connection at rest owns none.

use std::cell::Cell;

use ropeway_proto::Spare;

/// One read takes this much at most. Large enough that a burst is one system call, small enough to stay in a core's
/// second-level cache.
pub(crate) const SIZE: usize = 128 * 1024;

/// The buffer begins in the middle of a page of memory, as the memory of large messages does in the core, and for the same
/// reason.
const PAGE: usize = 4 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static SPARE: Cell<Spare> = Cell::default();
}

/// Lends the thread's memory for what is to be sent.
pub(crate) fn with_spare<R>(use_it: impl FnOnce(&mut Spare) -> R) -> R {
    let mut spare = SPARE.take();
    let result = use_it(&mut spare);
    SPARE.set(spare);
    result
}

/// Lends the thread's buffer to read into. It is zeroed once in its life; what it holds is whatever the last user left.
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
