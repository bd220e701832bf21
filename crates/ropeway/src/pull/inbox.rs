//! The inbox of a connection: messages that wait until the user asks for them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use ropeway_proto::Message;

/// The bytes of messages that wait for a slow user before the peer is made to wait. It is as much as may wait for a
/// slow peer by default. So a ping or close frame behind some thousand messages is still seen.
pub(crate) const INBOX_FULL: usize = 1024 * 1024;

/// The bytes that a message counts for in the inbox besides its payload, so that empty messages fill it too.
pub(super) const MESSAGE_COST: usize = 64;

/// The room for messages that is kept while there are none, so that memory is not asked for with each message. At most
/// this many are passed on at once, too.
pub(super) const KEPT: usize = 16;

/// The inbox of a connection, as both of its ends have it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    inbox: Mutex<Inbox>,
    /// How often the user has asked for a message. Only the user's end counts, so a load and a store are enough.
    asked: AtomicU32,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    pub(super) fn note_asked(&self) {
        self.asked.store(self.asked().wrapping_add(1), Ordering::Relaxed);
    }

    pub(super) fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Messages of a connection that wait for its user.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) messages: VecDeque<Message>,
    /// The cost of the messages, see [`INBOX_FULL`].
    pub(super) cost: usize,
    /// The waker of the user's task that waits for a message.
    pub(super) waiting: Option<Waker>,
    /// Whether no task will ask for messages any more.
    pub(super) deaf: bool,
    /// Whether the connection was closed as a sink.
    pub(super) is_closed: bool,
    /// Whether a message has ever come.
    pub(super) is_used: bool,
    /// The peer has closed, or ended its half. It is answered once the messages are taken.
    pub(super) is_unanswered: bool,
    /// No more messages will come. The connection's link knows how it ended.
    pub(super) is_over: bool,
    /// Whether the user was told of the end.
    pub(super) is_told: bool,
}
