//! The deadlines of connections: keepalive and timeouts. They take one timer for all connections, and four bytes for
//! each.
//!
//! Most deadlines move later with every byte that comes, so they are not sorted. The loop keeps one time before which
//! no connection is due. When that has come, it looks at all of them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep_until};

/// A time in milliseconds since the loop's start. It wraps around after 49 days.
type Tick = u32;

/// The tick of a connection that has no deadline.
const NEVER: Tick = 0;

/// How far ahead a tick may be, 12 days: one that is much further ahead would look like a tick in the past. A
/// connection that is due later gets a turn at this time, in which nothing happens.
const HORIZON: Duration = Duration::from_millis(1 << 30);

/// How long the deadlines are left alone after they were all looked at, and the additional time for each of them.
/// Looking at one takes a nanosecond or less, so this is at most a hundredth of the time.
const PAUSE: Duration = Duration::from_millis(5);
const PAUSE_EACH: Duration = Duration::from_nanos(100);

/// The deadlines of a loop's connections, by key.
pub(super) struct Deadlines {
    start: Instant,
    ticks: Vec<Tick>,
    clock: Pin<Box<Sleep>>,
    /// When all deadlines have to be looked at. The timer is never set to a later time than this.
    next: Option<Instant>,
    /// The time from which on they may be looked at again.
    rested: Instant,
}

impl Deadlines {
    pub(super) fn new() -> Self {
        let start = tokio::time::Instant::now();
        Self {
            start: start.into_std(),
            ticks: Vec::new(),
            clock: Box::pin(sleep_until(start)),
            next: None,
            rested: start.into_std(),
        }
    }

    /// Stores a connection's deadline, which replaces the one before.
    #[inline]
    pub(super) fn note(&mut self, key: usize, deadline: Option<Instant>, now: Instant) {
        let deadline = deadline.map(|deadline| deadline.min(now + HORIZON));
        if self.ticks.len() <= key {
            self.ticks.resize(key + 1, NEVER);
        }
        self.ticks[key] = deadline.map_or(NEVER, |deadline| self.tick_of(deadline));
        if let Some(deadline) = deadline
            && self.next.is_none_or(|next| deadline < next)
        {
            self.set_clock(deadline);
        }
    }

    /// Removes a connection.
    pub(super) fn remove(&mut self, key: usize) {
        if let Some(tick) = self.ticks.get_mut(key) {
            *tick = NEVER;
        }
    }

    /// Waits until a connection may be due.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.next.is_none() {
            return Poll::Pending;
        }
        ready!(self.clock.as_mut().poll(cx));
        self.next = None;
        Poll::Ready(())
    }

    /// Returns the keys of the connections that are due. The caller stores the next deadline of each.
    pub(super) fn due(&mut self, now: Instant) -> Vec<usize> {
        let now_tick = self.tick_at(now);
        let mut due = Vec::new();
        let mut soonest = HORIZON.as_millis() as Tick;
        for (key, tick) in self.ticks.iter_mut().enumerate().filter(|(_, tick)| **tick != NEVER) {
            let ahead = tick.wrapping_sub(now_tick);
            if ahead == 0 || ahead > Tick::MAX / 2 {
                *tick = NEVER;
                due.push(key);
            } else {
                soonest = soonest.min(ahead);
            }
        }
        let pause = PAUSE + PAUSE_EACH * u32::try_from(self.ticks.len()).unwrap_or(u32::MAX);
        self.rested = now + pause;
        self.set_clock(now + Duration::from_millis(u64::from(soonest)));
        due
    }

    fn set_clock(&mut self, deadline: Instant) {
        let next = deadline.max(self.rested);
        self.next = Some(next);
        self.clock.as_mut().reset(next.into());
    }

    /// The first tick at which a deadline has passed.
    fn tick_of(&self, deadline: Instant) -> Tick {
        let ahead = deadline.saturating_duration_since(self.start);
        let tick = ahead.as_secs().wrapping_mul(1_000).wrapping_add(u64::from(ahead.subsec_millis())) as Tick;
        tick.wrapping_add(1).max(NEVER + 1)
    }

    /// The last tick that has passed.
    fn tick_at(&self, now: Instant) -> Tick {
        self.tick_of(now).wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const DAY: Duration = Duration::from_secs(24 * 3_600);

    #[tokio::test(start_paused = true)]
    async fn only_connections_whose_time_has_come_are_due() {
        let mut deadlines = Deadlines::new();
        let start = deadlines.start;
        deadlines.note(0, Some(start + SECOND), start);
        deadlines.note(1, Some(start + 3 * SECOND), start);
        deadlines.note(2, None, start);
        deadlines.note(3, Some(start + 2 * SECOND), start);
        deadlines.note(4, Some(start + 2 * SECOND), start);
        deadlines.remove(4);
        assert!(deadlines.due(start).is_empty());
        assert_eq!(deadlines.due(start + SECOND + 2 * PAUSE), [0]);
        assert_eq!(deadlines.due(start + 4 * SECOND), [1, 3]);
        assert!(deadlines.due(start + 5 * SECOND).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_wakes_for_the_soonest_even_if_it_is_noted_last() {
        let mut deadlines = Deadlines::new();
        let start = deadlines.start;
        deadlines.note(0, Some(start + 60 * SECOND), start);
        deadlines.note(1, Some(start + 2 * SECOND), start);
        std::future::poll_fn(|cx| deadlines.poll(cx)).await;
        let now = tokio::time::Instant::now().into_std();
        assert!(now >= start + 2 * SECOND && now < start + 3 * SECOND, "{:?}", now - start);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moved_later_costs_a_look_and_comes_in_its_time() {
        let mut deadlines = Deadlines::new();
        let start = deadlines.start;
        deadlines.note(0, Some(start + SECOND), start);
        deadlines.note(0, Some(start + 9 * SECOND), start);
        let due = std::future::poll_fn(|cx| {
            loop {
                std::task::ready!(deadlines.poll(cx));
                let now = tokio::time::Instant::now().into_std();
                let due = deadlines.due(now);
                if !due.is_empty() {
                    return Poll::Ready((due, now));
                }
            }
        });
        let (due, now) = due.await;
        assert_eq!(due, [0]);
        assert!(now >= start + 9 * SECOND && now < start + 10 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_hundred_days_deadlines_are_told_from_the_past_as_on_the_first() {
        let mut deadlines = Deadlines::new();
        let later = deadlines.start + 100 * DAY;
        deadlines.note(0, Some(later + 2 * SECOND), later);
        deadlines.note(1, Some(later), later);
        assert_eq!(deadlines.due(later + SECOND), [1]);
        assert_eq!(deadlines.due(later + 3 * SECOND), [0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_in_months_is_not_taken_for_overdue() {
        let mut deadlines = Deadlines::new();
        let start = deadlines.start;
        for days in [13, 30, 60] {
            deadlines.note(0, Some(start + days * DAY), start);
            assert!(deadlines.due(start + SECOND).is_empty(), "{days} days");
            assert_eq!(deadlines.due(start + HORIZON + SECOND), [0], "it is asked again after 12 days");
        }
    }
}
