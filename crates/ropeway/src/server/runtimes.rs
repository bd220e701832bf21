//! The runtimes that serve a server's ports. Clients are spread over them, whichever runtime accepted them.
//!
//! If several runtimes wait for one port, the one that wakes first accepts all clients that are there, and would get
//! all of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;

/// The runtimes that serve, and which of them gets the next client.
#[derive(Debug, Default)]
pub(super) struct Runtimes {
    shared: Mutex<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// One entry for each port that is being served: a runtime that serves two ports gets two shares.
    handles: Vec<Handle>,
    next: usize,
}

/// The current runtime's part in serving. It ends when this is dropped.
pub(super) struct Part {
    runtimes: Arc<Runtimes>,
    handle: Handle,
}

impl Runtimes {
    /// Adds the current runtime.
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
    /// Returns the runtime that gets the next client.
    pub(super) fn next(&self) -> Handle {
        let mut shared = self.runtimes.lock();
        // This part is one of them, so there is at least one.
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
    fn clients_go_to_the_serving_runtimes_in_turn() {
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
