//! The event loops of each tokio runtime: as many as it has threads, each started when it is first needed.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use tokio::runtime::{Handle, Id};

use super::{EventLoop, Mailbox};

/// The loops of a runtime, and whose turn it is to get a connection.
#[derive(Default)]
struct Loops {
    mailboxes: Vec<Arc<Mailbox>>,
    next: usize,
}

static LOOPS: LazyLock<Mutex<HashMap<Id, Loops>>> = LazyLock::new(Mutex::default);

/// Where to hand over the next connection of a runtime.
pub(crate) fn next_mailbox(runtime: &Handle) -> io::Result<Arc<Mailbox>> {
    let mut all = lock();
    let loops = all.entry(runtime.id()).or_default();
    let threads = runtime.metrics().num_workers();
    let index = loops.next % threads;
    if let Some(mailbox) = loops.mailboxes.get(index) {
        loops.next = index + 1;
        return Ok(Arc::clone(mailbox));
    }
    let mailbox = Arc::new(Mailbox::default());
    let event_loop = {
        let _context = runtime.enter();
        EventLoop::new(Arc::clone(&mailbox))?
    };
    loops.mailboxes.push(Arc::clone(&mailbox));
    loops.next = index + 1;
    drop(all);
    // A runtime that is shutting down drops it at once, and it is forgotten.
    runtime.spawn(event_loop);
    Ok(mailbox)
}

/// Forgets a loop that is over.
pub(super) fn forget(mailbox: &Arc<Mailbox>) {
    lock().retain(|_, loops| {
        loops.mailboxes.retain(|known| !Arc::ptr_eq(known, mailbox));
        !loops.mailboxes.is_empty()
    });
}

fn lock() -> MutexGuard<'static, HashMap<Id, Loops>> {
    LOOPS.lock().unwrap_or_else(PoisonError::into_inner)
}
