//! The connections that a server has, and the word to stop.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::sender::Sender;

/// The connections that a server has.
#[derive(Debug, Default)]
pub(super) struct Clients {
    shared: Mutex<Shared>,
    /// Told when it is stopped, and when the last connection has gone.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: bool,
    /// How many places are taken, by connections and by handshakes that were judged good.
    places: usize,
    next: u64,
    senders: HashMap<u64, Sender>,
}

/// A place among a server's connections, given up when dropped.
#[derive(Debug)]
pub(super) struct Place {
    clients: Arc<Clients>,
    id: u64,
}

impl Clients {
    /// Takes one of so many places; `None` if there is none left, or once stopped.
    pub(super) fn enter(self: &Arc<Self>, most: usize) -> Option<Place> {
        let mut shared = self.lock();
        if shared.stopped || shared.places >= most {
            return None;
        }
        shared.places += 1;
        let id = shared.next;
        shared.next += 1;
        Some(Place { clients: Arc::clone(self), id })
    }

    pub(super) fn senders(&self) -> Vec<Sender> {
        self.lock().senders.values().cloned().collect()
    }

    /// Lets nobody in any more.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_waiters();
    }

    /// Waits for the word to stop.
    pub(super) async fn stopped(&self) {
        self.wait(|shared| shared.stopped).await;
    }

    /// Waits until there is no connection, and nobody about to be one.
    pub(super) async fn gone(&self) {
        self.wait(|shared| shared.places == 0).await;
    }

    async fn wait(&self, done: impl Fn(&Shared) -> bool) {
        loop {
            let changed = self.changed.notified();
            if done(&self.lock()) {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The connection is open. `false` if the word to stop has come meanwhile: whoever closes all connections then may have
    /// missed this one.
    pub(super) fn open(&self, sender: Sender) -> bool {
        let mut shared = self.clients.lock();
        shared.senders.insert(self.id, sender);
        !shared.stopped
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shared = self.clients.lock();
        shared.senders.remove(&self.id);
        shared.places -= 1;
        if shared.places == 0 {
            drop(shared);
            self.clients.changed.notify_waiters();
        }
    }
}
