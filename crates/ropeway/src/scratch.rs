//! The buffers of a thread, shared by all its connections: a connection at rest owns none.

use std::cell::Cell;

use ropeway_proto::{Message, Spare};

use crate::command::Asked;
use crate::traffic::MAX_SPARE_COMMANDS;

/// One read takes this much at most. Large enough that a burst is one system call, small enough to stay in a core's
/// second-level cache.
pub(crate) const SIZE: usize = 128 * 1024;

/// The buffer begins in the middle of a page of memory, as the memory of large messages does in the core, and for the same
/// reason.
const PAGE: usize = 4 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static SPARE: Cell<Spare> = Cell::default();
    static COMMANDS: Cell<Vec<Asked>> = const { Cell::new(Vec::new()) };
    static MESSAGES: Cell<Option<Batch>> = const { Cell::new(None) };
}

/// Lends the thread's memory for what is to be sent.
pub(crate) fn with_spare<R>(use_it: impl FnOnce(&mut Spare) -> R) -> R {
    let mut spare = SPARE.take();
    let result = use_it(&mut spare);
    SPARE.set(spare);
    result
}

/// Lends the thread's list for commands, which is empty and has to be again.
pub(crate) fn with_commands(use_it: impl FnOnce(&mut Vec<Asked>)) {
    let mut commands = COMMANDS.take();
    use_it(&mut commands);
    if commands.capacity() <= MAX_SPARE_COMMANDS {
        COMMANDS.set(commands);
    }
}

/// A list of messages in one word.
pub(crate) type Batch = Box<Vec<Message>>;

/// Takes the thread's list for messages.
#[expect(clippy::unnecessary_box_returns, reason = "each connection has room for one word")]
pub(crate) fn take_messages() -> Batch {
    MESSAGES.take().unwrap_or_default()
}

/// Gives it back, empty.
pub(crate) fn keep_messages(messages: Batch) {
    debug_assert!(messages.is_empty(), "messages belong to one connection");
    MESSAGES.set(Some(messages));
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
