//! Where a connection leaves messages for its user.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use ropeway_proto::Message;

/// How many bytes of messages wait for a user who does not ask for them, before the peer is made to wait. As many as may wait
/// for a peer that does not read, by default: a ping or close frame that comes behind some thousand messages is still seen.
pub(crate) const INBOX_FULL: usize = 1024 * 1024;

/// A message's share of the inbox besides its payload, so that empty messages fill it too.
pub(super) const MESSAGE_COST: usize = 64;

/// The room for messages that is kept while there are none: enough not to ask for it message by message. So many are handed over
/// at once, too.
pub(super) const KEPT: usize = 16;

/// Where the connection leaves messages for the user.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) messages: VecDeque<Message>,
    /// The cost of the messages, see [`INBOX_FULL`].
    pub(super) cost: usize,
    /// The user, waiting for a message.
    pub(super) waiting: Option<Waker>,
    /// Nobody will ask any more.
    pub(super) deaf: bool,
    /// Whether a message has ever come.
    pub(super) is_used: bool,
    /// The peer has closed, or ended its half, and gets its answer once the messages are taken.
    pub(super) is_unanswered: bool,
    /// Nothing more will come: the connection's link knows how it ended.
    pub(super) is_over: bool,
    /// The user was told of the end.
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
