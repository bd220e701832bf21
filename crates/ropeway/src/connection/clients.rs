//! The list of a server's connections, and its signal to stop.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slab::Slab;
use tokio::sync::Notify;

use crate::handle::Handle;

/// The connections of a server, and whether it is stopped.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    shared: Mutex<Shared>,
    /// Notified when the server is stopped, and when the last connection has gone.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: bool,
    /// Places that are taken: by connections, and by accepted handshakes, which have no handle yet.
    places: Slab<Option<Handle>>,
}

/// A place among a server's connections. It is given up when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    /// `None` once something else gives the place up.
    clients: Option<Arc<Clients>>,
    key: u32,
}

impl Clients {
    /// Takes one of `most` places. Returns `None` if none is left, or if the server is stopped.
    pub(crate) fn enter(self: &Arc<Self>, most: usize) -> Option<Place> {
        let mut shared = self.lock();
        if shared.stopped || shared.places.len() >= most {
            return None;
        }
        // There are fewer open files than `u32` can count.
        let key = shared.places.insert(None) as u32;
        Some(Place { clients: Some(Arc::clone(self)), key })
    }

    /// Gives up a place that was [kept](Place::keep).
    pub(crate) fn leave(&self, key: u32) {
        let mut shared = self.lock();
        let handle = shared.places.try_remove(key as usize);
        let was_last = shared.places.is_empty();
        drop(shared);
        drop(handle);
        if was_last {
            self.changed.notify_waiters();
        }
    }

    pub(crate) fn handles(&self) -> Vec<Handle> {
        self.lock().places.iter().filter_map(|(_, handle)| handle.clone()).collect()
    }

    /// Stops the server: no more places are given.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_waiters();
    }

    /// Waits until the server is stopped.
    pub(crate) async fn stopped(&self) {
        self.wait(|shared| shared.stopped).await;
    }

    /// Waits until there is no connection, and no handshake that is about to become one.
    pub(crate) async fn gone(&self) {
        self.wait(|shared| shared.places.is_empty()).await;
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
    /// Notes that the connection is open. Returns `false` if the server was stopped in the meantime: the shutdown that
    /// closes all connections may have missed this one.
    pub(crate) fn open(&self, handle: Handle) -> bool {
        let Some(clients) = &self.clients else { return false };
        let mut shared = clients.lock();
        shared.places[self.key as usize] = Some(handle);
        !shared.stopped
    }

    /// Returns the number of the place. The caller has to [give it up](Clients::leave).
    pub(crate) fn keep(mut self) -> u32 {
        self.clients = None;
        self.key
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(clients) = &self.clients {
            clients.leave(self.key);
        }
    }
}
