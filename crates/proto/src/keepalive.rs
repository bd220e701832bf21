//! Keepalive: when to ask a silent peer whether it is there, and when to give it up.

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
    /// When something was last heard. Only this is touched for each read; deadlines are reckoned from it when asked for.
    heard: Instant,
    /// When the ping that is not answered yet was sent. Older than `heard`, it counts as answered.
    asked: Option<Instant>,
    /// How many pings were sent; each carries its number, so that its pong can be told from others.
    pings: u32,
    latency: Option<Duration>,
}

/// What a deadline asks for.
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
        Self { heard: now, asked: None, pings: 0, latency: None }
    }

    /// Something came.
    #[inline]
    pub(crate) const fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// A pong came; where it answers the newest keepalive ping it tells the round-trip time.
    pub(crate) fn pong(&mut self, payload: &[u8], now: Instant) {
        if let Some(asked) = self.asked
            && payload == self.pings.to_be_bytes()
        {
            self.latency = Some(now.saturating_duration_since(asked));
            self.asked = None;
        }
    }

    /// The round-trip time of the newest keepalive ping that was answered.
    pub(crate) const fn latency(&self) -> Option<Duration> {
        self.latency
    }

    /// When to ask [`Keepalive::due`] again.
    pub(crate) fn deadline(&self, config: &Config) -> Option<Instant> {
        let interval = config.ping_interval?;
        Some(match self.unanswered() {
            Some(asked) => asked + config.ping_timeout,
            None => self.heard + interval,
        })
    }

    /// What is to be done by now.
    pub(crate) fn due(&mut self, config: &Config, now: Instant) -> Due {
        if self.deadline(config).is_none_or(|deadline| now < deadline) {
            return Due::Nothing;
        }
        if self.unanswered().is_some() {
            return Due::Gone;
        }
        self.asked = Some(now);
        self.pings = self.pings.wrapping_add(1);
        Due::Ping(self.pings.to_be_bytes())
    }

    /// When a ping was sent since which nothing was heard.
    fn unanswered(&self) -> Option<Instant> {
        self.asked.filter(|asked| *asked >= self.heard)
    }
}

#[cfg(test)]
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
}
