//! The list of a server's connections, and of the pull handlers that run for them; and the server's signal to stop.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ropeway_proto::CloseFrame;
use slab::Slab;
use tokio::sync::Notify;

use super::panics;
use crate::handle::Handle;

/// The connections of a server, and its state of shutting down.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    shared: Mutex<Shared>,
    /// Notified when the server is stopped, when the last connection and the last pull handler have gone, and when a
    /// shutdown is done.
    changed: Notify,
}

/// ```text
///   stop = None ── a shutdown begins ──► Some(its close frame) ── it is done ──► is_done
/// ```
#[derive(Debug, Default)]
struct Shared {
    /// The close frame of the latest shutdown. If it is set, no more places are given.
    stop: Option<CloseFrame>,
    /// Whether a shutdown is done. Connections may be left then.
    is_done: bool,
    /// Places that are taken: by connections, and by accepted handshakes, which have no handle yet.
    places: Slab<Option<Handle>>,
    /// The number of pull handlers that are running.
    handlers: usize,
}

tokio::task_local! {
    /// The server whose pull handler is running in this task.
    static WITHIN: Arc<Clients>;
}

/// Marks a pull handler as running, until this is dropped, and logs its panic.
struct Running {
    clients: Arc<Clients>,
}

/// A place among a server's connections. Dropping this frees the place.
#[derive(Debug)]
pub(crate) struct Place {
    /// `None` once the connection has to leave by itself: see [`Place::keep`].
    clients: Option<Arc<Clients>>,
    key: u32,
}

impl Clients {
    /// Takes one of `most` places. Returns `None` if none is left, or if the server is stopped.
    pub(crate) fn enter(self: &Arc<Self>, most: usize) -> Option<Place> {
        let mut shared = self.lock();
        if shared.stop.is_some() || shared.places.len() >= most {
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
        self.tell_if_last(shared);
        drop(handle);
    }

    /// Runs a pull handler as a task that a shutdown waits for.
    pub(crate) fn run(self: &Arc<Self>, handler: impl Future<Output = ()> + Send + 'static) {
        self.lock().handlers += 1;
        let running = Running { clients: Arc::clone(self) };
        let watched = async {
            handler.await;
            drop(running);
        };
        tokio::spawn(WITHIN.scope(Arc::clone(self), watched));
    }

    /// The number of its pull handlers that the caller is in: 1 or 0.
    pub(crate) fn callers(self: &Arc<Self>) -> usize {
        let is_within = WITHIN.try_with(|clients| Arc::ptr_eq(clients, self));
        usize::from(is_within.unwrap_or(false))
    }

    pub(crate) fn handles(&self) -> Vec<Handle> {
        self.lock().places.iter().filter_map(|(_, handle)| handle.clone()).collect()
    }

    /// The number of pull handlers that are running.
    pub(crate) fn handlers(&self) -> usize {
        self.lock().handlers
    }

    /// Stops the server: no more places are given. A connection whose handshake is under way gets the close frame as it
    /// opens.
    pub(crate) fn stop(&self, frame: CloseFrame) {
        let mut shared = self.lock();
        shared.is_done = false;
        let old = shared.stop.replace(frame);
        drop(shared);
        drop(old);
        self.changed.notify_waiters();
    }

    /// Whether the word to stop has come.
    #[cfg(feature = "axum")]
    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().stop.is_some()
    }

    /// Waits until the server is stopped.
    pub(crate) async fn stopped(&self) {
        self.wait(|shared| shared.stop.is_some()).await;
    }

    /// Notes that a shutdown is done.
    pub(crate) fn set_done(&self) {
        self.lock().is_done = true;
        self.changed.notify_waiters();
    }

    /// Waits until a shutdown is done, or has nothing left to do.
    pub(crate) async fn done(&self) {
        self.wait(|shared| shared.is_done || shared.stop.is_some() && shared.is_empty(0)).await;
    }

    /// Waits until there is no connection, no handshake that is about to become one, and at most `handlers` pull
    /// handlers.
    pub(crate) async fn gone(&self, handlers: usize) {
        self.wait(|shared| shared.is_empty(handlers)).await;
    }

    /// Waits until at most `handlers` pull handlers run.
    pub(crate) async fn handled(&self, handlers: usize) {
        self.wait(|shared| shared.handlers <= handlers).await;
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

    /// Wakes the tasks that wait for the last connection or handler, if that may have gone now. A shutdown within a
    /// pull handler does not wait for that handler.
    fn tell_if_last(&self, shared: MutexGuard<'_, Shared>) {
        let is_last = shared.stop.is_some() && (shared.places.is_empty() || shared.handlers <= 1);
        drop(shared);
        if is_last {
            self.changed.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn is_empty(&self, handlers: usize) -> bool {
        self.places.is_empty() && self.handlers <= handlers
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            panics::log_pull_handler();
        }
        let mut shared = self.clients.lock();
        shared.handlers -= 1;
        self.clients.tell_if_last(shared);
    }
}

impl Place {
    /// Notes that the connection is open. Returns its close frame if the server was stopped in the meantime: the
    /// shutdown that closes all connections may have missed this one.
    pub(crate) fn open(&self, handle: Handle) -> Option<CloseFrame> {
        let clients = self.clients.as_ref()?;
        let mut shared = clients.lock();
        shared.places[self.key as usize] = Some(handle);
        shared.stop.clone()
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tracing::{Event, Metadata, Subscriber, span};

    use super::*;

    /// Counts the lines that are errors.
    #[derive(Clone, Default)]
    struct Errors(Arc<AtomicUsize>);

    impl Subscriber for Errors {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() == tracing::Level::ERROR
        }

        fn event(&self, _event: &Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

        fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

        fn enter(&self, _span: &span::Id) {}

        fn exit(&self, _span: &span::Id) {}
    }

    #[tokio::test]
    async fn a_pull_handler_that_panics_is_logged_and_has_ended() {
        let (clients, errors) = (Arc::new(Clients::default()), Errors::default());
        let _subscribed = tracing::subscriber::set_default(errors.clone());
        clients.run(async { panic!("a handler's") });
        clients.run(async {});
        // Only a server that was stopped waits for its handlers.
        clients.stop(CloseFrame::new(1001, ""));
        let ended = tokio::time::timeout(Duration::from_secs(60), clients.handled(0)).await;
        ended.expect("both handlers count as ended");
        assert_eq!(errors.0.load(Ordering::Relaxed), 1);
    }
}
