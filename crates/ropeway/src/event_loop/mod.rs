//! Many connections in one task: the event loop that carries plain TCP connections, one a runtime's thread.
//!
//! A tokio task and a socket of tokio's cost 900 bytes before anything is in them. Here a connection costs its own state and
//! an entry in a table, and what many of them send at a time costs one wake-up. The sockets are watched by a poller of the
//! loop's own, which tokio watches in turn: so everything still happens on the user's runtime, and handlers may spawn tasks.
//!
//! ```text
//!   tokio's poller ──► the loop's poller ──► readiness of sockets ──┐
//!                      mailbox: newcomers, and who has commands ────┼──► Drive::turn
//!                      deadlines ───────────────────────────────────┘
//! ```

mod deadlines;
mod loops;
mod mailbox;
mod socket;

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use mio::{Events, Registry, Token};
use slab::Slab;
use tokio::io::Interest as TokioInterest;
use tokio::io::unix::AsyncFd;

use crate::driver::{Driver, Turn};
use crate::handler::Handler;
use crate::topic::{Publication, Subscriber};
use deadlines::Deadlines;
pub(crate) use loops::next_mailbox;
pub(crate) use mailbox::Mailbox;
pub(crate) use socket::{Readiness, Socket};

/// How many sockets' readiness is taken at once. Between such batches other tasks of the runtime have their turn.
const EVENTS: usize = 256;

/// So many ready sockets take long enough to handle for others to be ready then. The loop's poller is asked again at once, which
/// spares a turn by way of tokio's.
const BUSY: usize = 4;

/// A connection as the loop sees it, whatever its handler; or who wants to become one.
pub(crate) trait Drive: Send {
    /// Has the socket watched.
    fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()>;
    /// It is driven by the loop of this mailbox, as this key.
    fn settle(&self, mailbox: &Arc<Mailbox>, key: usize);
    /// What the socket is ready for besides what it was.
    fn note(&mut self, readiness: Readiness);
    /// Does what there is to do; also what its deadline asks for, if that has come.
    fn turn(&mut self, is_due: bool, cx: &mut Context<'_>, now: Instant) -> Next;
    /// Sends messages of a topic: those with a number above `since`.
    fn publish(&mut self, publications: &[Publication], since: u64, cx: &mut Context<'_>, now: Instant);
    /// Whether the deadline may be sooner than the one that was told last.
    fn is_due_sooner(&self) -> bool;
    /// When a turn is due though nothing comes.
    fn next_deadline(&mut self) -> Option<Instant>;
}

/// What has to happen after a turn.
pub(crate) enum Next {
    /// Nothing until the socket is ready, the deadline comes or a command does.
    Parked,
    /// There is more to do; others first.
    Again,
    /// Drop it.
    Over,
    /// The same socket goes on as this.
    Become(Box<dyn Drive>),
}

impl<H: Handler> Drive for Driver<H, Socket> {
    fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.stream_mut().watch(registry, token)
    }

    fn settle(&self, mailbox: &Arc<Mailbox>, key: usize) {
        self.link().set_event_loop(mailbox, key);
    }

    fn note(&mut self, readiness: Readiness) {
        self.stream_mut().note(readiness);
    }

    fn turn(&mut self, is_due: bool, cx: &mut Context<'_>, now: Instant) -> Next {
        match self.turn(is_due, cx, now) {
            Turn::Parked => Next::Parked,
            Turn::Again => Next::Again,
            Turn::Over => Next::Over,
        }
    }

    fn publish(&mut self, publications: &[Publication], since: u64, cx: &mut Context<'_>, now: Instant) {
        let new = publications.iter().filter(|publication| publication.number > since);
        self.send_all(new.map(|publication| &publication.message), cx, now);
    }

    fn is_due_sooner(&self) -> bool {
        self.is_due_sooner()
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        self.next_deadline()
    }
}

/// The task that carries the connections.
struct EventLoop {
    poll: AsyncFd<mio::Poll>,
    events: Events,
    connections: Connections,
    /// Who is to hear a message; kept for its memory.
    subscribers: Vec<Subscriber>,
}

/// The connections, by key, and when they are due.
struct Connections {
    mailbox: Arc<Mailbox>,
    entries: Slab<Box<dyn Drive>>,
    deadlines: Deadlines,
    /// Those that had their turn and have more to do.
    again: Vec<usize>,
}

impl EventLoop {
    fn new(mailbox: Arc<Mailbox>) -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "its successor is an unsafe fn; a `Poll` owns its descriptor until it is dropped"
        )]
        let poll = AsyncFd::with_interest(mio::Poll::new()?, TokioInterest::READABLE)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS),
            connections: Connections { mailbox, entries: Slab::new(), deadlines: Deadlines::new(), again: Vec::new() },
            subscribers: Vec::new(),
        })
    }

    /// Takes in newcomers, and has those act for whom there are commands.
    fn read_mail(&mut self, cx: &mut Context<'_>, now: Instant) {
        let mail = self.connections.mailbox.take();
        for newcomer in mail.newcomers {
            self.adopt(newcomer, cx, now);
        }
        for publications in mail.published.chunk_by(Publication::is_like) {
            publications[0].subscribers(&self.connections.mailbox, &mut self.subscribers);
            for subscriber in &self.subscribers {
                self.connections.publish(subscriber, publications, cx, now);
            }
        }
        for key in mail.called {
            self.connections.turn(key, false, cx, now);
        }
    }

    fn adopt(&mut self, mut newcomer: Box<dyn Drive>, cx: &mut Context<'_>, now: Instant) {
        let entry = self.connections.entries.vacant_entry();
        let key = entry.key();
        if let Err(error) = newcomer.watch(self.poll.get_ref().registry(), Token(key)) {
            // Its senders are told as it is dropped.
            tracing::warn!(%error, "a connection cannot be watched and is dropped");
            return;
        }
        newcomer.settle(&self.connections.mailbox, key);
        entry.insert(newcomer);
        self.connections.turn(key, false, cx, now);
    }

    /// Has those act whose sockets are ready. Gives whether more of them may be.
    fn read_events(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut left = EVENTS;
        loop {
            // An error is the runtime's end, which drops this task.
            let Poll::Ready(Ok(mut guard)) = self.poll.poll_read_ready_mut(cx) else { return false };
            if let Err(error) = guard.get_inner_mut().poll(&mut self.events, Some(Duration::ZERO)) {
                tracing::debug!(%error, "polling sockets was interrupted");
                return true;
            }
            let mut count = 0;
            for event in &self.events {
                self.connections.ready(event.token().0, Readiness::from(event), cx, now);
                count += 1;
            }
            left = left.saturating_sub(count);
            if left == 0 {
                return true;
            }
            if count < BUSY {
                // Those were all. Being asked again leaves this task's waker.
                guard.clear_ready();
            }
        }
    }
}

impl Future for EventLoop {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let now = tokio::time::Instant::now().into_std();
        for key in std::mem::take(&mut this.connections.again) {
            this.connections.turn(key, false, cx, now);
        }
        this.read_mail(cx, now);
        let has_more = this.read_events(cx, now);
        this.connections.expire(cx, now);
        // What those have said to one another leaves at once.
        this.read_mail(cx, now);
        if has_more || !this.connections.again.is_empty() || !this.connections.mailbox.sleep(cx.waker()) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        loops::forget(&self.connections.mailbox);
        // Those who have just been handed over are dropped like all others.
        drop(self.connections.mailbox.close());
    }
}

impl Connections {
    fn ready(&mut self, key: usize, readiness: Readiness, cx: &mut Context<'_>, now: Instant) {
        if let Some(connection) = self.entries.get_mut(key) {
            connection.note(readiness);
            self.turn(key, false, cx, now);
        }
    }

    fn publish(&mut self, to: &Subscriber, publications: &[Publication], cx: &mut Context<'_>, now: Instant) {
        if let Some(connection) = self.entries.get_mut(to.key as usize) {
            connection.publish(publications, to.since, cx, now);
            // One that had no room may be closing now, and that has its time.
            if connection.is_due_sooner() {
                self.deadlines.note(to.key as usize, connection.next_deadline(), now);
            }
        }
    }

    /// Has the deadlines act that have come.
    fn expire(&mut self, cx: &mut Context<'_>, now: Instant) {
        while self.deadlines.poll(cx).is_ready() {
            for key in self.deadlines.due(now) {
                self.turn(key, true, cx, now);
            }
        }
    }

    fn turn(&mut self, key: usize, is_due: bool, cx: &mut Context<'_>, now: Instant) {
        let Some(connection) = self.entries.get_mut(key) else { return };
        // The handler's panics are caught closer to it. One that comes this far must not end the other connections.
        match catch_unwind(AssertUnwindSafe(|| connection.turn(is_due, cx, now))).unwrap_or(Next::Over) {
            Next::Over => {
                self.deadlines.remove(key);
                let connection = self.entries.remove(key);
                let _ = catch_unwind(AssertUnwindSafe(move || drop(connection)));
                return;
            }
            Next::Become(successor) => {
                successor.settle(&self.mailbox, key);
                *connection = successor;
                return self.turn(key, false, cx, now);
            }
            Next::Again => self.again.push(key),
            Next::Parked => {}
        }
        // A deadline that has come is forgotten, so the next one has to be noted.
        if is_due || connection.is_due_sooner() {
            self.deadlines.note(key, connection.next_deadline(), now);
        }
    }
}
