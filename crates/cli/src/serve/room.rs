//! Those who are at a path together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ropeway::{Message, Sender};

/// A set of connections that hear what is said to all.
#[derive(Default)]
pub(super) struct Room {
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    next: u64,
    senders: HashMap<u64, Sender>,
}

impl Room {
    /// Lets a connection in.
    pub(super) fn enter(self: &Arc<Self>, sender: Sender) -> Member {
        let mut members = self.lock();
        let id = members.next;
        members.next += 1;
        members.senders.insert(id, sender);
        Member { room: Arc::clone(self), id }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.lock().senders.len()
    }

    /// Sends a message to everyone. Who reads too slowly misses it.
    pub(super) fn say(&self, message: &Message) {
        for sender in self.lock().senders.values() {
            // One that is closing or full is no reason to keep it from the others.
            let _ = sender.send(message.clone());
        }
    }

    fn leave(&self, id: u64) {
        self.lock().senders.remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's membership, which ends when it is dropped.
pub(super) struct Member {
    room: Arc<Room>,
    id: u64,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.room.leave(self.id);
    }
}
