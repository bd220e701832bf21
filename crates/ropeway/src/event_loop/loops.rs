//! The event loops of each tokio runtime: one for each of its threads, started when it is first needed.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Id};

use super::mailbox::Mailbox;
use super::rounds::EventLoop;

/// How long connections that have bytes to write may delay the end of their runtime, for all of its loops together.
const LAST: Duration = Duration::from_secs(1);

/// The loops of a runtime, and which of them gets the next connection.
#[derive(Default)]
struct Loops {
    mailboxes: Vec<Arc<Mailbox>>,
    next: usize,
    /// Set when the runtime ends: the time by which its loops must have ended.
    ends: Option<Instant>,
}

static LOOPS: LazyLock<Mutex<HashMap<Id, Loops>>> = LazyLock::new(Mutex::default);

/// Returns the mailbox of the loop that gets the next connection of a runtime.
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
        Listed(EventLoop::new(Arc::clone(&mailbox))?)
    };
    loops.mailboxes.push(Arc::clone(&mailbox));
    loops.next = index + 1;
    drop(all);
    // A runtime that is shutting down drops the loop at once, which removes it from the list.
    runtime.spawn(event_loop);
    Ok(mailbox)
}

/// A loop that is in the list of its runtime. It is dropped when the runtime ends.
struct Listed(EventLoop);

impl Future for Listed {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let deadline = forget(&self.0.connections.mailbox);
        self.0.end(deadline);
    }
}

/// Removes a loop that is over. Returns the time until which it may take to end, which is the same for all loops of a
/// runtime.
fn forget(mailbox: &Arc<Mailbox>) -> Instant {
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
