//! The rounds of an event loop: all that it does each time its task is polled.

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use mio::{Events, Token};
use slab::Slab;
use tokio::io::Interest as TokioInterest;
use tokio::io::unix::AsyncFd;

use super::again::Again;
use super::backlog::Running;
use super::deadlines::Deadlines;
use super::mailbox::{Drive, Mailbox};
use super::publication::{Publication, Subscriber};
use crate::io::{Readiness, Turn, go_on_later};
use crate::log::{guarded, log_unwatched};

/// The batch size, both for ready sockets and for connections that have commands. After one batch, and after those that
/// came with its last part, other tasks of the runtime get their turn.
const EVENTS: usize = 256;

/// The most connections with work left that get a turn in one round, before the sockets of all others are looked at.
/// Each turn may take as long as 256 KiB take, about 200 µs for an echo.
const GO_ON: usize = 16;

/// If at least this many sockets were ready, others become ready while they are handled. The loop's poller is then
/// asked again directly, which saves a wake-up through tokio.
const BUSY: usize = 4;

/// The task that carries connections.
pub(super) struct EventLoop {
    pub(super) poll: AsyncFd<mio::Poll>,
    pub(super) events: Events,
    pub(super) connections: Connections,
    /// A slice of the backlog. The vectors are kept for their memory.
    publications: Vec<Publication>,
    subscribers: Vec<Subscriber>,
}

/// The connections by key, and their deadlines.
pub(super) struct Connections {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) entries: Slab<Box<dyn Drive>>,
    deadlines: Deadlines,
    again: Again,
}

impl EventLoop {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "its successor is an unsafe fn; a `Poll` owns its descriptor until it is dropped"
        )]
        let poll = AsyncFd::with_interest(mio::Poll::new()?, TokioInterest::READABLE)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS),
            connections: Connections {
                mailbox,
                entries: Slab::new(),
                deadlines: Deadlines::new(),
                again: Again::default(),
            },
            publications: Vec::new(),
            subscribers: Vec::new(),
        })
    }

    /// Takes in new connections, sends a slice of the backlog, and gives each connection that has commands a turn.
    fn read_mail(&mut self, cx: &mut Context<'_>, now: Instant) {
        let mail = self.connections.mailbox.take();
        for newcomer in mail.newcomers {
            self.adopt(newcomer, cx, now);
        }
        self.send_published(cx, now);
        for (count, key) in mail.called.into_iter().enumerate() {
            if count < EVENTS {
                self.connections.call(key, cx, now);
            } else {
                self.connections.call_later(key);
            }
        }
    }

    /// Sends the next slice of the backlog.
    pub(super) fn send_published(&mut self, cx: &mut Context<'_>, now: Instant) {
        let Self { connections, publications, subscribers, .. } = self;
        connections.mailbox.next_slice(publications, subscribers);
        for subscriber in subscribers.drain(..) {
            connections.publish(subscriber, publications, cx, now);
        }
        publications.clear();
        Running::note(connections.mailbox.has_backlog());
    }

    fn adopt(&mut self, mut newcomer: Box<dyn Drive>, cx: &mut Context<'_>, now: Instant) {
        let entry = self.connections.entries.vacant_entry();
        let key = entry.key();
        if let Err(error) = newcomer.watch(self.poll.get_ref().registry(), Token(key)) {
            // Dropping it tells its handles.
            return log_unwatched(&error);
        }
        newcomer.settle(&self.connections.mailbox, key);
        entry.insert(newcomer);
        self.connections.turn(key, false, cx, now);
    }

    /// Gives each connection whose socket is ready a turn. Returns whether more sockets may be ready.
    fn read_events(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut left = EVENTS;
        loop {
            // An error means that the runtime ends, which drops this task.
            let Poll::Ready(Ok(mut guard)) = self.poll.poll_read_ready_mut(cx) else { return false };
            if let Err(error) = guard.get_inner_mut().poll(&mut self.events, Some(Duration::ZERO)) {
                guarded(|| tracing::debug!(%error, "polling sockets was interrupted"));
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
                // There were no more events. The next call of `poll_read_ready_mut` stores this task's waker.
                guard.clear_ready();
            }
        }
    }
}

impl Future for EventLoop {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let _running = Running::new(this.connections.mailbox.has_backlog());
        let now = tokio::time::Instant::now().into_std();
        for key in this.connections.again.take(GO_ON) {
            this.connections.turn(key, false, cx, now);
        }
        this.read_mail(cx, now);
        let has_more = this.read_events(cx, now);
        this.connections.expire(cx);
        // Messages that those connections have sent to one another are written at once.
        this.read_mail(cx, now);
        let mailbox = &this.connections.mailbox;
        if has_more || !this.connections.again.is_empty() || mailbox.has_backlog() || !mailbox.sleep(cx.waker()) {
            go_on_later(cx);
        }
        Poll::Pending
    }
}

impl Connections {
    fn ready(&mut self, key: usize, readiness: Readiness, cx: &mut Context<'_>, now: Instant) {
        if let Some(connection) = self.entries.get_mut(key) {
            connection.note(readiness);
            self.call(key, cx, now);
        }
    }

    /// Gives a connection a turn, unless it has to wait for the next round anyway.
    fn call(&mut self, key: usize, cx: &mut Context<'_>, now: Instant) {
        if !self.again.contains(key) {
            self.turn(key, false, cx, now);
        }
    }

    /// Gives a connection a turn in one of the next rounds.
    fn call_later(&mut self, key: usize) {
        if self.entries.contains(key) {
            self.again.insert(key);
        }
    }

    fn publish(&mut self, to: Subscriber, publications: &[Publication], cx: &mut Context<'_>, now: Instant) {
        let key = to.key as usize;
        let Some(connection) = self.entries.get_mut(key) else { return };
        if catch_unwind(AssertUnwindSafe(|| connection.publish(publications, to, cx, now))).is_err() {
            return self.drop_entry(key);
        }
        // If it had no room, it may be closing now, and then has a new deadline.
        if connection.is_due_sooner() {
            self.deadlines.note(key, connection.next_deadline(), now);
        }
    }

    /// Gives each connection whose deadline has come a turn.
    fn expire(&mut self, cx: &mut Context<'_>) {
        while self.deadlines.poll(cx).is_ready() {
            // The work before this took time. With the old `now` the timer would be set to a time in the past.
            let now = tokio::time::Instant::now().into_std();
            for key in self.deadlines.due(now) {
                self.turn(key, true, cx, now);
            }
        }
    }

    fn turn(&mut self, key: usize, is_due: bool, cx: &mut Context<'_>, now: Instant) {
        let Some(connection) = self.entries.get_mut(key) else { return };
        // A handler's panic is caught closer to the handler. A panic that comes this far must not end other
        // connections.
        match catch_unwind(AssertUnwindSafe(|| connection.turn(is_due, cx, now))).unwrap_or(Turn::Over) {
            Turn::Over => return self.drop_entry(key),
            Turn::Become(successor) => {
                successor.settle(&self.mailbox, key);
                *connection = successor;
                return self.turn(key, false, cx, now);
            }
            Turn::Again => self.again.insert(key),
            Turn::Parked => {}
        }
        // A deadline that has come is no longer stored, so the next one has to be.
        if is_due || connection.is_due_sooner() {
            self.deadlines.note(key, connection.next_deadline(), now);
        }
    }

    fn drop_entry(&mut self, key: usize) {
        self.deadlines.remove(key);
        self.again.remove(key);
        let connection = self.entries.remove(key);
        let _ = catch_unwind(AssertUnwindSafe(move || drop(connection)));
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::{Read, Write};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use mio::net::UnixStream;
    use mio::{Interest, Registry};

    use super::*;
    use crate::connection_id::ConnectionId;
    use crate::topic::{Subscription, Topic};

    /// A connection to itself that counts its turns.
    struct Ring {
        near: UnixStream,
        far: UnixStream,
        turns: Arc<AtomicUsize>,
        /// Its actions in a turn, besides counting.
        act: fn(&mut Self) -> Turn<Box<dyn Drive>>,
    }

    impl Ring {
        fn boxed(act: fn(&mut Self) -> Turn<Box<dyn Drive>>) -> (Box<dyn Drive>, Arc<AtomicUsize>) {
            let (near, far) = UnixStream::pair().expect("a pair of sockets");
            let turns = Arc::new(AtomicUsize::new(0));
            (Box::new(Self { near, far, turns: Arc::clone(&turns), act }), turns)
        }

        /// Has work left at the end of each turn, and becomes ready again at the same time.
        fn is_never_done(&mut self) -> Turn<Box<dyn Drive>> {
            while self.near.read(&mut [0; 16]).is_ok() {}
            self.far.write_all(&[0]).expect("room for a byte");
            Turn::Again
        }
    }

    impl Drive for Ring {
        fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
            registry.register(&mut self.near, token, Interest::READABLE)
        }

        fn settle(&self, _mailbox: &Arc<Mailbox>, _key: usize) {}

        fn note(&mut self, _readiness: Readiness) {}

        fn turn(&mut self, _is_due: bool, _cx: &mut Context<'_>, _now: Instant) -> Turn<Box<dyn Drive>> {
            self.turns.fetch_add(1, Ordering::Relaxed);
            (self.act)(self)
        }

        fn publish(&mut self, _: &[Publication], _to: Subscriber, _cx: &mut Context<'_>, _now: Instant) {
            panic!("this is meant to panic");
        }

        fn last_turn(&mut self, _is_first: bool, _deadline: Instant) -> bool {
            false
        }

        fn is_due_sooner(&self) -> bool {
            false
        }

        fn next_deadline(&mut self) -> Option<Instant> {
            None
        }
    }

    fn event_loop() -> (EventLoop, Arc<Mailbox>) {
        let mailbox = Arc::new(Mailbox::default());
        (EventLoop::new(Arc::clone(&mailbox)).expect("a poller"), mailbox)
    }

    /// Polls the loop, and lets the runtime look at its sockets.
    async fn round(event_loop: &mut EventLoop) {
        poll_fn(|cx| Poll::Ready(Pin::new(&mut *event_loop).poll(cx).is_ready())).await;
        tokio::task::yield_now().await;
    }

    #[tokio::test]
    async fn a_connection_with_work_left_has_one_turn_a_round_however_much_comes() {
        let (mut event_loop, mailbox) = event_loop();
        let turns: Vec<_> = (0..2 * BUSY)
            .map(|_| {
                let (ring, turns) = Ring::boxed(Ring::is_never_done);
                mailbox.adopt(ring);
                turns
            })
            .collect();
        for rounds in 1..20 {
            round(&mut event_loop).await;
            assert!(turns.iter().all(|turns| turns.load(Ordering::Relaxed) == rounds), "{turns:?} in {rounds} rounds");
        }
    }

    #[tokio::test]
    async fn a_panic_that_reaches_the_loop_ends_one_connection() {
        let (mut event_loop, mailbox) = event_loop();
        let (fine, turns) = Ring::boxed(Ring::is_never_done);
        let (panics_in_its_turn, turns_of_it) = Ring::boxed(|_| panic!("this is meant to panic"));
        let (panics_at_a_message, _) = Ring::boxed(|_| Turn::Parked);
        for ring in [fine, panics_in_its_turn, panics_at_a_message] {
            mailbox.adopt(ring);
        }
        round(&mut event_loop).await;
        let topic = Topic::new();
        let _subscriptions =
            [1, 2].map(|key| Subscription::on_loop(topic.table(), ConnectionId::next(), &mailbox, key));
        topic.publish("a connection that is sent this is lost").expect("room");
        round(&mut event_loop).await;
        assert_eq!(event_loop.connections.entries.len(), 1);
        assert_eq!((turns.load(Ordering::Relaxed), turns_of_it.load(Ordering::Relaxed)), (2, 1));
    }

    /// The runtime's other sockets, and its timers, are looked at between rounds.
    #[tokio::test]
    async fn a_loop_that_is_never_done_leaves_the_runtime_its_sockets() {
        let (event_loop, mailbox) = event_loop();
        let (ring, turns) = Ring::boxed(Ring::is_never_done);
        mailbox.adopt(ring);
        let event_loop = tokio::spawn(event_loop);
        let (near, far) = tokio::net::UnixStream::pair().expect("a pair of sockets");
        for rounds in 1..20 {
            far.try_write(&[0]).expect("room for a byte");
            near.readable().await.expect("it is readable");
            near.try_read(&mut [0; 16]).expect("a byte");
            // The test itself is polled first, so this may be off by a turn.
            assert!(turns.load(Ordering::Relaxed) <= 2 * rounds, "{turns:?} turns, {rounds} bytes");
        }
        event_loop.abort();
    }
}
