//! Those who are at a path together.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    /// Lets a connection in; gives what to [`leave`](Room::leave) with, and how many there are now.
    pub(super) fn enter(&self, sender: Sender) -> (u64, usize) {
        let mut members = self.lock();
        let id = members.next;
        members.next += 1;
        members.senders.insert(id, sender);
        (id, members.senders.len())
    }

    /// Lets a connection out; gives how many remain.
    pub(super) fn leave(&self, id: u64) -> usize {
        let mut members = self.lock();
        members.senders.remove(&id);
        members.senders.len()
    }

    /// Sends a message to everyone. Who reads too slowly misses it.
    pub(super) fn say(&self, message: &Message) {
        for sender in self.lock().senders.values() {
            // One that is closing or full is no reason to keep it from the others.
            let _ = sender.send(message.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
