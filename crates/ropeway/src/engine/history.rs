//! How much of a topic is kept for subscribers that come back.

use std::time::Duration;

/// How much of a topic is kept: the last messages, for at most some time. Without [`History::for_at_most`] it is five
/// minutes.
///
/// ```
/// use std::time::Duration;
/// use ropeway::History;
///
/// let history = History::last(100).for_at_most(Duration::from_secs(300));
/// # assert_eq!(history.count(), 100);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    count: u32,
    time: Duration,
}

impl History {
    /// The last messages, at least one.
    pub const fn last(count: u32) -> Self {
        Self { count: if count == 0 { 1 } else { count }, time: Duration::from_secs(300) }
    }

    /// Sets the time after which a message is forgotten. A topic to which nothing was published for so long is
    /// forgotten whole.
    #[must_use]
    pub const fn for_at_most(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// The number of messages that are kept.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The time for which a message is kept.
    pub const fn time(&self) -> Duration {
        self.time
    }
}
