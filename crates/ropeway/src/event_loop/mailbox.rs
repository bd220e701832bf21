//! What reaches an event loop from elsewhere: newcomers, and calls to connections that have commands. One short lock.

use std::fmt;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::Drive;
use crate::topic::Publication;

/// Where to leave what an event loop has to know.
#[derive(Default)]
pub(crate) struct Mailbox {
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    mail: Mail,
    /// The loop, where it waits.
    waiting: Option<Waker>,
    /// The loop is over.
    is_closed: bool,
}

/// What was left.
#[derive(Default)]
pub(super) struct Mail {
    pub(super) newcomers: Vec<Box<dyn Drive>>,
    /// Keys of connections that have commands. One of a connection that is gone calls another in vain.
    pub(super) called: Vec<usize>,
    /// Messages for the subscribers of topics.
    pub(super) published: Vec<Publication>,
}

impl Mail {
    fn is_empty(&self) -> bool {
        self.newcomers.is_empty() && self.called.is_empty() && self.published.is_empty()
    }
}

/// Everybody's side.
impl Mailbox {
    /// Hands a connection over. If the loop is over it is dropped.
    pub(crate) fn adopt(&self, newcomer: Box<dyn Drive>) {
        self.leave(|mail| mail.newcomers.push(newcomer));
    }

    /// Has a connection look for commands.
    pub(crate) fn call(&self, key: usize) {
        self.leave(|mail| mail.called.push(key));
    }

    /// Sends a message to those of the loop's connections that subscribed.
    pub(crate) fn publish(&self, publication: Publication) {
        self.leave(|mail| mail.published.push(publication));
    }

    fn leave(&self, put: impl FnOnce(&mut Mail)) {
        let mut inside = self.lock();
        if inside.is_closed {
            return;
        }
        put(&mut inside.mail);
        let waiting = inside.waiting.take();
        drop(inside);
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailbox")
    }
}

/// The loop's side.
impl Mailbox {
    /// What was left since last time.
    pub(super) fn take(&self) -> Mail {
        mem::take(&mut self.lock().mail)
    }

    /// Has the next one who leaves something wake the loop, unless something is there already; then it is `false`.
    pub(super) fn sleep(&self, waker: &Waker) -> bool {
        let mut inside = self.lock();
        if !inside.mail.is_empty() {
            return false;
        }
        if !inside.waiting.as_ref().is_some_and(|waiting| waiting.will_wake(waker)) {
            inside.waiting = Some(waker.clone());
        }
        true
    }

    /// Takes nothing any more; gives what nobody will read.
    pub(super) fn close(&self) -> Mail {
        let mut inside = self.lock();
        inside.is_closed = true;
        inside.waiting = None;
        mem::take(&mut inside.mail)
    }
}
