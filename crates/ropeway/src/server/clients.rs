//! The connections that a server has, and the word to stop.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::sender::Sender;

/// The connections that a server has.
#[derive(Debug, Default)]
pub(super) struct Clients {
    open: Mutex<Open>,
    count: AtomicUsize,
    stopped: AtomicBool,
    /// Told when it is stopped, and when the last connection has gone.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    senders: HashMap<u64, Sender>,
}

/// A connection's place, given up when dropped.
#[derive(Debug)]
pub(super) struct Place {
    clients: Arc<Clients>,
    id: u64,
}

impl Clients {
    /// Takes a place; `None` once stopped.
    pub(super) fn enter(self: &Arc<Self>, sender: Sender) -> Option<Place> {
        let mut open = self.lock();
        // Asked under the lock: whoever stops and then looks at the senders misses none.
        if self.is_stopped() {
            return None;
        }
        let id = open.next;
        open.next += 1;
        open.senders.insert(id, sender);
        self.count.store(open.senders.len(), Ordering::Relaxed);
        Some(Place { clients: Arc::clone(self), id })
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn senders(&self) -> Vec<Sender> {
        self.lock().senders.values().cloned().collect()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Lets nobody in any more.
    pub(super) fn stop(&self) {
        let open = self.lock();
        self.stopped.store(true, Ordering::Relaxed);
        drop(open);
        self.changed.notify_waiters();
    }

    /// Waits for the word to stop.
    pub(super) async fn stopped(&self) {
        self.wait(|| self.is_stopped()).await;
    }

    /// Waits until there is no connection.
    pub(super) async fn gone(&self) {
        self.wait(|| self.count() == 0).await;
    }

    async fn wait(&self, done: impl Fn() -> bool) {
        loop {
            let changed = self.changed.notified();
            if done() {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.clients.lock();
        open.senders.remove(&self.id);
        self.clients.count.store(open.senders.len(), Ordering::Relaxed);
        if open.senders.is_empty() {
            drop(open);
            self.clients.changed.notify_waiters();
        }
    }
}
