//! Pings whose pongs are awaited, and their round-trip times.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ropeway_proto::{ReadyState, SendError};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A ping that was sent. Awaiting it returns the time from the call of `ping` until its pong came.
///
/// The ping was sent when `ping` was called, and need not be awaited. Cancel safe: dropping this does not take the ping
/// back. Awaiting it fails if the ping could not be sent, and with [`SendError::NotOpen`] if the connection ends before
/// the pong comes. If the peer ignores pings, it waits until the connection ends, so bound the wait:
///
/// ```
/// # use std::time::Duration;
/// # async fn measure(ws: &ropeway::WebSocket) -> Result<(), Box<dyn std::error::Error>> {
/// let round_trip = tokio::time::timeout(Duration::from_secs(5), ws.ping("are you there")).await??;
/// println!("{round_trip:?}");
/// # Ok(())
/// # }
/// ```
///
/// # Which pong answers which ping
///
/// A pong has the payload of its ping. Its sender may leave out the pongs for earlier pings (RFC 6455 section 5.5.3).
/// So a pong answers each waiting ping that has its payload, and each that was sent before one of those. If pings
/// overlap, give each a payload of its own: of two with the same payload, both would count as answered by the first
/// pong.
///
/// A connection reads its pongs in order with everything else. While it is paused, or its messages are not taken, its
/// pongs wait too.
pub struct Ping(State);

enum State {
    /// The ping could not be sent.
    Refused(SendError),
    Sent(oneshot::Receiver<Duration>),
}

impl Ping {
    pub(super) fn new(sent: Result<oneshot::Receiver<Duration>, SendError>) -> Self {
        Self(sent.map_or_else(State::Refused, State::Sent))
    }

    /// Returns whether the ping was sent, for callers that do not await it.
    pub fn sent(&self) -> Result<(), SendError> {
        match &self.0 {
            State::Refused(error) => Err(error.clone()),
            State::Sent(_) => Ok(()),
        }
    }
}

impl Future for Ping {
    type Output = Result<Duration, SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Refused(error) => Poll::Ready(Err(error.clone())),
            State::Sent(answer) => Pin::new(answer).poll(cx).map_err(|_gone| SendError::NotOpen(ReadyState::Closed)),
        }
    }
}

impl fmt::Debug for Ping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state: &dyn fmt::Debug = match &self.0 {
            State::Refused(error) => error,
            State::Sent(_) => &"sent",
        };
        f.debug_tuple("Ping").field(state).finish()
    }
}

/// The pings of a connection that are awaited, in the order in which they were sent.
#[derive(Debug, Default)]
pub(super) struct Pings(Vec<Waiting>);

/// A ping whose pong has not come. Dropping it tells the awaiting future of the end.
#[derive(Debug)]
pub(super) struct Waiting {
    payload: Bytes,
    sent: Instant,
    tell: oneshot::Sender<Duration>,
}

impl Pings {
    /// Adds a ping that is sent now. Also returns pings that are no longer awaited, for the caller to drop outside of
    /// its lock: they hold wakers of the user's.
    pub(super) fn add(&mut self, payload: Bytes) -> (oneshot::Receiver<Duration>, Vec<Waiting>) {
        // They make room for others, so only futures that users hold take memory.
        let cancelled = if self.0.len() == self.0.capacity() { self.take_cancelled() } else { Vec::new() };
        let (tell, answer) = oneshot::channel();
        self.0.push(Waiting { payload, sent: Instant::now(), tell });
        (answer, cancelled)
    }

    /// Removes and returns the pings that a pong answers, and those that are no longer awaited.
    pub(super) fn answered_by(&mut self, payload: &[u8]) -> Vec<Waiting> {
        let count = self.0.iter().rposition(|ping| ping.payload == payload).map_or(0, |last| last + 1);
        let mut answered: Vec<_> = self.0.drain(..count).collect();
        answered.append(&mut self.take_cancelled());
        answered
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take_cancelled(&mut self) -> Vec<Waiting> {
        self.0.extract_if(.., |ping| ping.tell.is_closed()).collect()
    }
}

impl Waiting {
    /// Its pong has come. Wakes the future that awaits it.
    pub(super) fn tell(self, now: Instant) {
        // The future may have been dropped.
        let _ = self.tell.send(now.saturating_duration_since(self.sent));
    }
}

#[cfg(all(test, not(ropeway_loom)))]
mod tests {
    use super::*;
    use crate::handle::Link;
    use crate::overflow::Overflow;

    #[test]
    fn pings_that_nobody_awaits_any_more_make_room() {
        let mut pings = Pings::default();
        let (awaited, _) = pings.add(Bytes::from_static(b"awaited"));
        for _ in 0..10_000 {
            drop(pings.add(Bytes::new()));
        }
        assert!(pings.0.len() < 16, "{} wait", pings.0.len());
        assert!(!pings.answered_by(b"awaited").is_empty());
        assert!(pings.is_empty());
        drop(awaited);
    }

    /// A waker of the user's that uses the connection as it is dropped.
    struct Uses(std::sync::Arc<Link>);

    impl std::task::Wake for Uses {
        fn wake(self: std::sync::Arc<Self>) {}
    }

    impl Drop for Uses {
        fn drop(&mut self) {
            self.0.ready_state();
        }
    }

    #[test]
    fn what_a_cancelled_ping_holds_is_dropped_outside_of_the_lock() {
        let link = std::sync::Arc::new(Link::new(None, 100, Overflow::Refuse));
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let waker = std::sync::Arc::new(Uses(std::sync::Arc::clone(&link))).into();
            let mut answer = link.ping(Bytes::new()).expect("it is open");
            assert!(Pin::new(&mut answer).poll(&mut Context::from_waker(&waker)).is_pending());
            drop(waker);
            drop(answer);
            link.pong(b"of no ping");
            tell.send(()).expect("the test waits");
        });
        told.recv_timeout(Duration::from_mins(1)).expect("no deadlock");
    }

    #[test]
    fn a_connection_remembers_nothing_of_a_ping_that_was_answered() {
        let link = Link::new(None, 100, Overflow::Refuse);
        let answer = link.ping(Bytes::new()).expect("it is open");
        link.take_commands(u64::MAX, &mut Vec::new());
        link.report(0, ReadyState::Open);
        assert!(!link.is_idle());
        link.pong(b"");
        link.report(0, ReadyState::Open);
        assert!(link.is_idle());
        drop(answer);
    }
}
