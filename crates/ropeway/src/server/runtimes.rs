//! The runtimes that serve a server's ports: clients are dealt out among them, whichever accepted them.
//!
//! Where several runtimes wait for one port, the one that wakes first accepts all clients that are there, and would carry them all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;

/// The runtimes that serve, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Runtimes {
    shared: Mutex<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// One for each port that is being served: a runtime that serves two has two shares.
    handles: Vec<Handle>,
    next: usize,
}

/// The current runtime's part in serving; it ends when this is dropped.
pub(super) struct Part {
    runtimes: Arc<Runtimes>,
    handle: Handle,
}

impl Runtimes {
    /// The current runtime serves from now on.
    pub(super) fn join(self: &Arc<Self>) -> Part {
        let handle = Handle::current();
        self.lock().handles.push(handle.clone());
        Part { runtimes: Arc::clone(self), handle }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    /// Which runtime is to have the next client.
    pub(super) fn next(&self) -> Handle {
        let mut shared = self.runtimes.lock();
        // This part is one of them.
        let index = shared.next % shared.handles.len().max(1);
        shared.next = index + 1;
        shared.handles.get(index).unwrap_or(&self.handle).clone()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut shared = self.runtimes.lock();
        if let Some(index) = shared.handles.iter().position(|handle| handle.id() == self.handle.id()) {
            shared.handles.remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_dealt_out_in_turn_among_those_who_serve() {
        let runtimes = Arc::<Runtimes>::default();
        let rts = [(); 2].map(|()| tokio::runtime::Builder::new_current_thread().build().expect("a runtime"));
        let parts = rts.each_ref().map(|rt| rt.block_on(async { runtimes.join() }));
        let ids = rts.each_ref().map(|rt| rt.handle().id());
        let [first, second] = parts;
        assert_eq!([first.next().id(), second.next().id(), second.next().id()], [ids[0], ids[1], ids[0]]);
        drop(first);
        assert_eq!([second.next().id(), second.next().id()], [ids[1], ids[1]]);
    }
}
