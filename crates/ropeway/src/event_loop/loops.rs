//! The event loops of each tokio runtime: as many as it has threads, each started when it is first needed.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::runtime::{Handle, Id};

use super::last::LAST;
use super::{EventLoop, Mailbox};

/// The loops of a runtime, and whose turn it is to get a connection.
#[derive(Default)]
struct Loops {
    mailboxes: Vec<Arc<Mailbox>>,
    next: usize,
    /// The runtime ends, and this is how long its loops may take for that.
    ends: Option<Instant>,
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

/// Forgets a loop that is over. Gives until when it may take to end, which is the same time for all loops of a runtime.
pub(super) fn forget(mailbox: &Arc<Mailbox>) -> Instant {
    let mut deadline = Instant::now() + LAST;
    lock().retain(|_, loops| {
        if loops.mailboxes.iter().any(|known| Arc::ptr_eq(known, mailbox)) {
            deadline = *loops.ends.get_or_insert(deadline);
            loops.mailboxes.retain(|known| !Arc::ptr_eq(known, mailbox));
        }
        !loops.mailboxes.is_empty()
    });
    deadline
}

fn lock() -> MutexGuard<'static, HashMap<Id, Loops>> {
    LOOPS.lock().unwrap_or_else(PoisonError::into_inner)
}
