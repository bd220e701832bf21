//! The way to an event loop from other threads: new connections, calls of connections that have commands, and
//! publications, all under one short lock.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;
use std::{fmt, io, mem};

use mio::{Registry, Token};

use super::backlog::Backlog;
use super::publication::{Publication, Subscriber};
use crate::io::{Readiness, Turn};

/// A loop with at least this much [work](Publication::work) is behind, and its publishers wait. It is 10 to 30 ms of a
/// loop's time.
const BEHIND: usize = 1 << 20;

/// The most work that may wait for a loop if its publishers cannot be made to wait.
const MOST_WORK: usize = 8 << 20;

/// The most payload bytes that may wait for a loop, from all publishers.
const MOST_BYTES: usize = 64 << 20;

/// A connection as the loop sees it, independent of its handler; or a client whose handshake is not done yet.
pub(crate) trait Drive: Send {
    /// Registers the socket with the loop's poller.
    fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()>;
    /// Tells the entry that the loop of this mailbox drives it, under this key.
    fn settle(&self, mailbox: &Arc<Mailbox>, key: usize);
    /// Notes that the socket has become ready.
    fn note(&mut self, readiness: Readiness);
    /// Runs commands, reads and writes, until nothing is left to do or the entry has done as much as one turn may. In
    /// the second case it returns [`Turn::Again`]. If `is_due`, the entry's deadline has come, and is acted on first.
    fn turn(&mut self, is_due: bool, cx: &mut Context<'_>, now: Instant) -> Turn<Box<dyn Drive>>;
    /// Sends a subscriber the messages of a topic that are for it.
    fn publish(&mut self, publications: &[Publication], to: Subscriber, cx: &mut Context<'_>, now: Instant);
    /// Called when the runtime ends. Runs the commands that wait and writes, without waiting for the socket. Returns
    /// whether to call it again when the socket is ready. Work such as compression stops at the deadline.
    fn last_turn(&mut self, is_first: bool, deadline: Instant) -> bool;
    /// Whether the deadline may be sooner than the last one that it returned.
    fn is_due_sooner(&self) -> bool;
    /// Returns the time at which the entry needs a turn even if nothing comes.
    fn next_deadline(&mut self) -> Option<Instant>;
}

/// A place for messages to an event loop.
pub(crate) struct Mailbox {
    /// The number of the loop. No other loop has it.
    id: u64,
    inside: Mutex<Inside>,
    /// Publications that the loop has taken and not yet sent to all of its connections. Only the loop's thread locks
    /// it.
    backlog: Mutex<Backlog>,
    /// The number of the last publication that was put in.
    published: AtomicU64,
    /// The number of the last publication that was sent to all of the loop's connections.
    delivered: AtomicU64,
    /// The work of all publications between those two, and their payload bytes.
    work: AtomicUsize,
    bytes: AtomicUsize,
}

#[derive(Default)]
struct Inside {
    mail: Mail,
    /// The waker of the loop, while it waits.
    waiting: Option<Waker>,
    /// Publishers that wait until the loop is no longer behind.
    publishers: Vec<Waker>,
    /// Whether the loop is over.
    is_closed: bool,
}

/// The messages to a loop.
#[derive(Default)]
pub(crate) struct Mail {
    pub(super) newcomers: Vec<Box<dyn Drive>>,
    /// Keys of connections that have commands. If one of them is gone, another connection with its key gets a needless
    /// turn.
    pub(super) called: Vec<usize>,
    /// Messages for the subscribers of topics.
    published: Vec<Publication>,
}

impl Mail {
    fn is_empty(&self) -> bool {
        self.newcomers.is_empty() && self.called.is_empty() && self.published.is_empty()
    }
}

/// For other threads.
impl Mailbox {
    /// The number of the loop.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Passes a connection to the loop. If the loop is over, the connection is dropped.
    pub(crate) fn adopt(&self, newcomer: Box<dyn Drive>) {
        self.leave(|mail| mail.newcomers.push(newcomer));
    }

    /// Tells a connection that it has commands.
    pub(crate) fn call(&self, key: usize) {
        self.leave(|mail| mail.called.push(key));
    }

    /// Sends a message to those of the loop's connections that have subscribed.
    pub(crate) fn publish(&self, mut publication: Publication) {
        self.leave(|mail| {
            // The number is taken under the lock, so that numbers are in the order of the list.
            let sequence = self.published.load(Ordering::Relaxed) + 1;
            publication.sequence = sequence;
            self.work.fetch_add(publication.work, Ordering::Relaxed);
            self.bytes.fetch_add(publication.message.message().len(), Ordering::Relaxed);
            mail.published.push(publication);
            self.published.store(sequence, Ordering::Release);
        });
    }

    /// The number of the last publication that was put in. A command that a connection gets from now on comes behind
    /// it.
    pub(crate) fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// The number of the last publication that was sent to all of the loop's connections.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Acquire)
    }

    /// Whether the loop is behind, so that publishers should wait.
    pub(crate) fn is_behind(&self) -> bool {
        self.work.load(Ordering::Relaxed) >= BEHIND
    }

    /// Whether the loop accepts no more publications. A publisher that `waits` while the loop is behind may finish its
    /// message.
    pub(crate) fn is_full(&self, waits: bool) -> bool {
        self.bytes.load(Ordering::Relaxed) >= MOST_BYTES || (!waits && self.work.load(Ordering::Relaxed) >= MOST_WORK)
    }

    /// Wakes the publisher once the loop is no longer behind. If it is not behind now, returns `true` and does not.
    pub(crate) fn wait_for_room(&self, publisher: &Waker) -> bool {
        let mut inside = self.lock();
        if inside.is_closed || !self.is_behind() {
            return true;
        }
        if !inside.publishers.iter().any(|known| known.will_wake(publisher)) {
            inside.publishers.push(publisher.clone());
        }
        false
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

impl Default for Mailbox {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            inside: Mutex::default(),
            backlog: Mutex::default(),
            published: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            work: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailbox")
    }
}

/// For the loop.
impl Mailbox {
    /// Takes all that was put in since the last call. Publications go to the backlog.
    pub(crate) fn take(&self) -> Mail {
        let mut mail = mem::take(&mut self.lock().mail);
        if !mail.published.is_empty() {
            self.backlog().extend(mail.published.drain(..));
        }
        mail
    }

    /// Fills in the next messages to send, and the subscribers to send them to. Both lists are empty if nothing waits.
    pub(crate) fn next_slice(&self, publications: &mut Vec<Publication>, subscribers: &mut Vec<Subscriber>) {
        let mut backlog = self.backlog();
        let done = backlog.next_slice(self.id, publications, subscribers);
        drop(backlog);
        if let Some(last) = done.last() {
            self.delivered.store(last.sequence, Ordering::Release);
            let work: usize = done.iter().map(|publication| publication.work).sum();
            let bytes: usize = done.iter().map(|publication| publication.message.message().len()).sum();
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            if self.work.fetch_sub(work, Ordering::Relaxed) - work < BEHIND / 2 {
                let publishers = mem::take(&mut self.lock().publishers);
                publishers.into_iter().for_each(Waker::wake);
            }
        }
    }

    /// Whether publications wait that have not been sent to all connections.
    pub(super) fn has_backlog(&self) -> bool {
        !self.backlog().is_empty()
    }

    /// Returns the publications up to a number that `hears` accepts and that a connection of the loop has not been sent
    /// yet.
    pub(crate) fn missed(&self, key: u32, up_to: u64, hears: impl FnMut(&Publication) -> bool) -> Vec<Publication> {
        let published = mem::take(&mut self.lock().mail.published);
        let mut backlog = self.backlog();
        backlog.extend(published.into_iter());
        backlog.missed(key, up_to, hears)
    }

    /// Stores the loop's waker for the next message. If a message is there already, returns `false` and does not.
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

    /// Closes the mailbox: nothing is accepted any more. Returns the last messages. Publishers no longer wait.
    pub(super) fn close(&self) -> Mail {
        let mut inside = self.lock();
        inside.is_closed = true;
        inside.waiting = None;
        let publishers = mem::take(&mut inside.publishers);
        drop(inside);
        publishers.into_iter().for_each(Waker::wake);
        self.take()
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
