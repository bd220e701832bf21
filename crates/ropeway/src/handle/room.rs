//! The connection's side of the messages of topics that wait for room.

use ropeway_proto::Prepared;

use super::link::Link;
use super::shared::Shared;
use super::sync::{MutexGuard, Ordering};
use crate::topic::Post;

impl Link {
    /// Whether messages of topics wait for room. A message that another thread adds may be
    /// seen late here, but not in [`park`](Link::park).
    #[inline]
    pub(crate) fn has_waiting(&self) -> bool {
        self.has_waiting.load(Ordering::Relaxed)
    }

    /// Messages that wait are queued while fewer bytes than this are in the queue. It is half of the room, so that
    /// messages to the connection alone find room too, and so that messages can still be replaced.
    pub(crate) fn room_for_waiting(&self) -> usize {
        (self.max_buffered as usize).div_ceil(2)
    }

    /// Whether messages of the topic of this number wait for room.
    #[cfg(unix)]
    pub(crate) fn waits_for_room(&self, topic: u64) -> bool {
        self.lock().waits_for_room(topic)
    }

    /// Lets a message of a topic wait for room.
    #[cfg(unix)]
    pub(crate) fn keep_waiting(&self, post: &Post<'_>) {
        self.keep_waiting_in(self.lock(), post);
    }

    #[cold]
    pub(super) fn keep_waiting_in(&self, mut shared: MutexGuard<'_, Shared>, post: &Post<'_>) {
        let waiting = shared.traffic().seldom().waiting.get_or_insert_default();
        let dropped = waiting.add(post, post.overflow(self.overflow()), self.max_buffered as usize);
        self.has_waiting.store(true, Ordering::Relaxed);
        // The payloads may hold values of the user's, so they are dropped after the lock is released.
        self.note_dropped_in(shared, dropped.len());
    }

    /// Takes the message that has waited longest. Returns `None` if commands have come, since one of them may be an
    /// earlier message of the same topic.
    pub(crate) fn take_waiting(&self) -> Option<Prepared> {
        let mut shared = self.lock();
        let traffic = shared.traffic.as_mut().filter(|traffic| traffic.commands.is_empty())?;
        let waiting = traffic.seldom.as_mut()?.waiting.as_mut()?;
        let message = waiting.take_first();
        if waiting.is_empty() {
            self.forget_waiting_in(shared);
        }
        message
    }

    /// Drops and counts the messages that wait, as the connection is closing.
    pub(crate) fn drop_waiting(&self) {
        let mut shared = self.lock();
        let Some(traffic) = &mut shared.traffic else { return };
        let waiting = traffic.seldom.as_mut().and_then(|seldom| seldom.waiting.take());
        traffic.forget_seldom();
        self.has_waiting.store(false, Ordering::Relaxed);
        self.note_dropped_in(shared, waiting.as_ref().map_or(0, |waiting| waiting.len()));
        drop(waiting);
    }

    fn forget_waiting_in(&self, mut shared: MutexGuard<'_, Shared>) {
        self.has_waiting.store(false, Ordering::Relaxed);
        if let Some(traffic) = &mut shared.traffic
            && let Some(seldom) = &mut traffic.seldom
        {
            // It is empty, so nothing of the user's is dropped.
            seldom.waiting = None;
            traffic.forget_seldom();
        }
    }
}
