//! The places for opening handshakes on a server's own ports. If all are taken, a client that has sent nothing loses
//! its place. Times are left to `exchange`.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

#[cfg(unix)]
use crate::event_loop::Mailbox;

/// The handshakes of a server, over all its ports.
#[derive(Debug)]
pub(super) struct Handshakes {
    most: usize,
    shared: Mutex<Shared>,
    /// Notified when a client has gone.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Shared {
    /// Places that are taken: at most `most`.
    taken: usize,
    /// Clients that have a place, and clients that have lost theirs and are not gone yet. They are at most twice
    /// `most`; otherwise sockets would pile up in front of an event loop that is late.
    present: usize,
    /// The number of the next client.
    next: u64,
    /// Clients that have sent nothing yet, the oldest first, and the way to notify each.
    silent: BTreeMap<u64, Option<Caller>>,
}

/// The way to tell a client that it has lost its place.
#[derive(Debug)]
pub(super) enum Caller {
    Task(Waker),
    #[cfg(unix)]
    Loop(Arc<Mailbox>, usize),
}

/// A client's place. Dropping this frees the place.
#[derive(Debug)]
pub(super) struct Handshaking {
    handshakes: Arc<Handshakes>,
    number: u64,
    state: State,
}

/// ```text
///   Silent ── a byte ──► Heard
///      └── all places are taken, and it is the oldest ── a byte ──► Late
/// ```
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Has sent nothing so far. It has a place while it is in [`Shared::silent`].
    Silent,
    /// Has a place that it cannot lose.
    Heard,
    /// Has sent something after it lost its place. It continues without one.
    Late,
}

impl Handshakes {
    pub(super) fn new(most: usize) -> Self {
        Self { most, shared: Mutex::default(), freed: Notify::new() }
    }

    /// Waits for a place. If all are taken, the oldest client that has sent nothing loses its own.
    pub(super) async fn enter(self: &Arc<Self>) -> Handshaking {
        loop {
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            if let Some(place) = self.try_enter() {
                return place;
            }
            freed.await;
        }
    }

    fn try_enter(self: &Arc<Self>) -> Option<Handshaking> {
        let mut shared = self.lock();
        let mut oldest = None;
        if shared.taken < self.most {
            shared.taken += 1;
        } else if shared.present < self.most.saturating_mul(2) {
            // The new client takes over its place.
            oldest = Some(shared.silent.pop_first()?);
        } else {
            return None;
        }
        shared.present += 1;
        let number = shared.next;
        shared.next += 1;
        shared.silent.insert(number, None);
        drop(shared);
        match oldest {
            Some((_, Some(Caller::Task(waker)))) => waker.wake(),
            #[cfg(unix)]
            Some((_, Some(Caller::Loop(mailbox, key)))) => mailbox.call(key),
            // A client that has had no turn yet notices it in its first turn.
            Some((_, None)) | None => {}
        }
        Some(Handshaking { handshakes: Arc::clone(self), number, state: State::Silent })
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handshaking {
    /// Notes that the client has sent something.
    pub(super) fn heard(&mut self) {
        if self.state == State::Silent {
            let caller = self.handshakes.lock().silent.remove(&self.number);
            self.state = if caller.is_some() { State::Heard } else { State::Late };
        }
    }

    /// Whether the client has sent nothing and lost its place.
    pub(super) fn is_lost(&self) -> bool {
        self.state == State::Silent && !self.handshakes.lock().silent.contains_key(&self.number)
    }

    /// Sets the way to notify it.
    pub(super) fn set_caller(&self, caller: Caller) {
        let mut shared = self.handshakes.lock();
        let old = shared.silent.get_mut(&self.number).and_then(|known| known.replace(caller));
        drop(shared);
        drop(old);
    }

    /// Waits until the place is lost. Never returns if the client has sent something.
    pub(super) async fn lost(&self) {
        poll_fn(|cx| self.poll_lost(cx)).await;
    }

    fn poll_lost(&self, cx: &Context<'_>) -> Poll<()> {
        self.set_caller(Caller::Task(cx.waker().clone()));
        if self.is_lost() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Handshaking {
    fn drop(&mut self) {
        let mut shared = self.handshakes.lock();
        let caller = shared.silent.remove(&self.number);
        shared.present -= 1;
        if caller.is_some() || self.state == State::Heard {
            shared.taken -= 1;
        }
        drop(shared);
        drop(caller);
        self.handshakes.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_all_places_are_taken_the_oldest_that_has_sent_nothing_goes() {
        let handshakes = Arc::new(Handshakes::new(3));
        let enter = || handshakes.try_enter().expect("a place");
        let (mut first, second, third) = (enter(), enter(), enter());
        first.heard();
        let fourth = enter();
        assert_eq!([&first, &second, &third, &fourth].map(Handshaking::is_lost), [false, true, false, false]);
        // A place that was lost is not freed a second time.
        drop(second);
        let mut fifth = enter();
        assert!(third.is_lost() && !fourth.is_lost());
        fifth.heard();
        drop(first);
        let sixth = enter();
        assert!(!fourth.is_lost() && !sixth.is_lost(), "there was a place");
    }

    #[test]
    fn a_client_that_has_sent_something_stays() {
        let handshakes = Arc::new(Handshakes::new(2));
        let mut places = [(); 2].map(|()| handshakes.try_enter().expect("a place"));
        places.iter_mut().for_each(Handshaking::heard);
        assert!(handshakes.try_enter().is_none());
        drop(places);
        assert!(handshakes.try_enter().is_some());
    }

    #[test]
    fn dropped_handshakes_are_awaited_before_there_are_too_many() {
        let handshakes = Arc::new(Handshakes::new(2));
        let mut places: Vec<_> = (0..4).map(|_| handshakes.try_enter().expect("a place")).collect();
        assert!(handshakes.try_enter().is_none(), "two of four are lost and not gone");
        assert!(places[1].is_lost());
        // A client that has sent something in the meantime continues without a place, so it has none to free.
        places[1].heard();
        assert!(!places[1].is_lost());
        places.truncate(2);
        places.clear();
        let shared = handshakes.lock();
        assert_eq!((shared.taken, shared.present), (0, 0));
    }

    #[tokio::test]
    async fn a_waiting_handshake_gets_the_place_of_one_that_ends() {
        let handshakes = Arc::new(Handshakes::new(1));
        let mut first = handshakes.enter().await;
        first.heard();
        let waiting = tokio::spawn({
            let handshakes = Arc::clone(&handshakes);
            async move { handshakes.enter().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn a_task_is_told_that_its_place_is_lost() {
        let handshakes = Arc::new(Handshakes::new(1));
        let first = handshakes.enter().await;
        let waiting = tokio::spawn(async move { first.lost().await });
        tokio::task::yield_now().await;
        let second = handshakes.enter().await;
        waiting.await.unwrap();
        assert!(!second.is_lost());
    }
}
