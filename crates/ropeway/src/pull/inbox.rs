//! The inbox of a connection: messages that wait for its user.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use ropeway_proto::Message;

/// The bytes of messages that wait for a slow user before the peer is made to wait. It is as much as may wait for a
/// slow peer by default. So a ping or close frame behind some thousand messages is still seen.
pub(crate) const INBOX_FULL: usize = 1024 * 1024;

/// What a message counts for in the inbox besides its payload, so that empty messages fill it too.
pub(super) const MESSAGE_COST: usize = 64;

/// The room for messages that is kept while there are none, so that memory is not asked for with each message. At most
/// this many are passed on at once, too.
pub(super) const KEPT: usize = 16;

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
    /// Whether a message has ever come.
    pub(super) is_used: bool,
    /// The peer has closed, or ended its half. It is answered once the messages are taken.
    pub(super) is_unanswered: bool,
    /// No more messages will come. The connection's link knows how it ended.
    pub(super) is_over: bool,
    /// Whether the user was told of the end.
    pub(super) is_told: bool,
}

pub(super) fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn wake(waiting: Option<Waker>) {
    if let Some(waker) = waiting {
        waker.wake();
    }
}
