//! Keepalive: when to ping a silent peer, and when to give it up.

use std::time::{Duration, Instant};

use crate::config::Config;

/// ```text
///            silent for ping_interval: ping
///   Heard ──────────────────────────────────► Asked ──silent for ping_timeout──► the peer is gone
///     ▲                                         │
///     └───────────── any byte ──────────────────┘
/// ```
#[derive(Debug)]
pub(crate) struct Keepalive {
    /// The instant that the other times are counted from. It is moved forward before the others overflow `u32`.
    base: Instant,
    /// When something was last heard. It is later than `asked` if it was heard after the ping. A read changes this
    /// field alone; deadlines are computed from it only when they are asked for.
    heard: Ticks,
    /// When the ping was sent that has not been answered, or [`NEVER`].
    asked: Ticks,
    /// The number of pings sent so far. Each ping carries its number, so that its pong can be told from others.
    pings: u32,
    /// The round-trip time of the newest ping that was answered, or [`NEVER`].
    latency: Ticks,
}

/// A time in four bytes, to keep connections small: tenths of a millisecond since the base, which itself is 1.
type Ticks = u32;

const TICK: Duration = Duration::from_micros(100);

const NEVER: Ticks = 0;
const BASE: Ticks = 1;

/// The base is moved forward after two and a half days, which is half of the range.
const LATE: Ticks = Ticks::MAX / 2;

/// The thing to do at a deadline.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing yet.
    Nothing,
    /// Send a ping with this payload.
    Ping([u8; 4]),
    /// Give the peer up.
    Gone,
}

impl Keepalive {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { base: now, heard: BASE, asked: NEVER, pings: 0, latency: NEVER }
    }

    /// Notes that something came from the peer.
    #[inline]
    pub(crate) fn heard(&mut self, now: Instant) {
        // At least one tick after `asked`, so that an answer in the same tick counts.
        self.heard = self.ticks(now).max(self.asked + 1);
        if self.heard > LATE {
            self.follow(now);
        }
    }

    /// The time since something was last heard.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        TICK * self.ticks(now).saturating_sub(self.heard)
    }

    /// Notes a pong. If it answers the newest keepalive ping, its round-trip time is kept.
    pub(crate) fn pong(&mut self, payload: &[u8], now: Instant) {
        if self.asked != NEVER && payload == self.pings.to_be_bytes() {
            self.latency = self.ticks(now).saturating_sub(self.asked).max(1);
            self.asked = NEVER;
        }
    }

    /// The number of the current second. No number comes twice within days.
    pub(crate) fn second(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.base).as_secs() as u32
    }

    /// The round-trip time of the newest keepalive ping that was answered.
    pub(crate) fn latency(&self) -> Option<Duration> {
        (self.latency != NEVER).then(|| TICK * self.latency)
    }

    /// When to call [`Keepalive::due`] next.
    pub(crate) fn deadline(&self, config: &Config) -> Option<Instant> {
        let interval = config.ping_interval?;
        if self.is_unanswered() {
            self.time(self.asked).checked_add(config.ping_timeout)
        } else {
            self.time(self.heard).checked_add(interval)
        }
    }

    /// Returns what has to be done at this time.
    pub(crate) fn due(&mut self, config: &Config, now: Instant) -> Due {
        if self.deadline(config).is_none_or(|deadline| now < deadline) {
            return Due::Nothing;
        }
        if self.is_unanswered() {
            return Due::Gone;
        }
        if self.ticks(now) > LATE {
            self.follow(now);
        }
        self.asked = self.ticks(now).max(self.heard);
        self.pings = self.pings.wrapping_add(1);
        Due::Ping(self.pings.to_be_bytes())
    }

    /// The same while reading is paused, when the peer's silence has no meaning: only pings are sent, and no answer is
    /// waited for.
    pub(crate) fn due_unread(&mut self, config: &Config, now: Instant) -> Due {
        if self.deadline(config).is_none_or(|deadline| now < deadline) {
            return Due::Nothing;
        }
        self.heard(now);
        self.asked = NEVER;
        self.pings = self.pings.wrapping_add(1);
        Due::Ping(self.pings.to_be_bytes())
    }

    /// Whether nothing was heard since the last ping.
    pub(crate) const fn is_unanswered(&self) -> bool {
        self.asked >= self.heard
    }

    fn time(&self, ticks: Ticks) -> Instant {
        self.base + TICK * (ticks - BASE)
    }

    #[inline]
    fn ticks(&self, time: Instant) -> Ticks {
        let ahead = time.saturating_duration_since(self.base);
        let ticks = ahead.as_secs().saturating_mul(10_000) + u64::from(ahead.subsec_micros() / 100);
        Ticks::try_from(ticks).unwrap_or(Ticks::MAX).min(Ticks::MAX - 2) + BASE
    }

    /// Moves the base to now. Times from before, which are days ago, count as now.
    #[cold]
    fn follow(&mut self, now: Instant) {
        self.base = now;
        self.heard = BASE;
        self.asked = NEVER;
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some time to begin with")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_silent_peer_is_asked_once_and_then_given_up() {
        let (config, start) = (Config::server(), Instant::now());
        let mut keepalive = Keepalive::new(start);
        assert_eq!(keepalive.due(&config, start + 19 * SECOND), Due::Nothing);
        assert_eq!(keepalive.due(&config, start + 20 * SECOND), Due::Ping([0, 0, 0, 1]));
        assert_eq!(keepalive.due(&config, start + 39 * SECOND), Due::Nothing);
        assert_eq!(keepalive.due(&config, start + 40 * SECOND), Due::Gone);
    }

    #[test]
    fn any_byte_counts_as_an_answer_and_a_pong_tells_the_latency() {
        let (config, start) = (Config::server(), Instant::now());
        let mut keepalive = Keepalive::new(start);
        assert_eq!(keepalive.due(&config, start + 20 * SECOND), Due::Ping([0, 0, 0, 1]));
        keepalive.heard(start + 21 * SECOND);
        assert_eq!(keepalive.deadline(&config), Some(start + 41 * SECOND));
        keepalive.pong(&[9], start + 21 * SECOND);
        assert_eq!(keepalive.latency(), None);
        keepalive.pong(&[0, 0, 0, 1], start + 22 * SECOND);
        assert_eq!(keepalive.latency(), Some(2 * SECOND));
    }

    #[test]
    fn a_peer_that_is_not_listened_to_is_asked_again_and_again_and_never_given_up() {
        let (config, start) = (Config::server(), Instant::now());
        let mut keepalive = Keepalive::new(start);
        assert_eq!(keepalive.due(&config, start + 20 * SECOND), Due::Ping([0, 0, 0, 1]));
        for asked in 2..10 {
            let now = start + 20 * asked * SECOND;
            assert_eq!(keepalive.due_unread(&config, now), Due::Ping(asked.to_be_bytes()));
            assert_eq!(keepalive.due_unread(&config, now + 19 * SECOND), Due::Nothing);
        }
        // The connection reads again, so the peer has the whole time to answer.
        assert_eq!(keepalive.due(&config, start + 200 * SECOND), Due::Ping([0, 0, 0, 10]));
        assert_eq!(keepalive.due(&config, start + 220 * SECOND), Due::Gone);
    }

    #[test]
    fn an_answer_within_the_same_tick_is_an_answer() {
        let (config, start) = (Config::server(), Instant::now());
        let mut keepalive = Keepalive::new(start);
        let asked = start + 20 * SECOND;
        assert_eq!(keepalive.due(&config, asked), Due::Ping([0, 0, 0, 1]));
        keepalive.heard(asked + TICK / 4);
        assert_eq!(keepalive.due(&config, start + 39 * SECOND), Due::Nothing);
        assert_eq!(keepalive.due(&config, start + 41 * SECOND), Due::Ping([0, 0, 0, 2]));
    }

    #[test]
    fn after_a_year_a_connection_is_asked_as_on_its_first_day() {
        let config = Config::server();
        let mut now = Instant::now();
        let mut keepalive = Keepalive::new(now);
        for _ in 0..365 {
            now += 24 * 3_600 * SECOND;
            keepalive.heard(now);
            assert_eq!(keepalive.due(&config, now + 19 * SECOND), Due::Nothing);
        }
        let config = config.ping_interval(30 * 24 * 3_600 * SECOND);
        now += 30 * 24 * 3_600 * SECOND;
        assert_eq!(keepalive.due(&config, now), Due::Ping([0, 0, 0, 1]));
        assert_eq!(keepalive.due(&config, now + 19 * SECOND), Due::Nothing, "though so much time has passed");
        assert_eq!(keepalive.due(&config, now + 20 * SECOND), Due::Gone);
    }
}
