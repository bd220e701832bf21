//! Counts the peer's control frames per second, because a flood of them costs the receiver more than the sender.

use std::time::Duration;

/// The number of control frames that the peer has sent within the current second.
#[derive(Debug, Default)]
pub(crate) struct ControlRate {
    /// The second that is counted, numbered from the start of the connection.
    second: u32,
    /// The control frames that came in it, minus those that may come at once after a time in which nothing was read.
    /// So it may be below 0.
    count: i32,
}

impl ControlRate {
    /// Notes a time in which nothing was read. As many frames as were allowed in it may come later, whenever that is.
    #[cold]
    pub(crate) fn allow(&mut self, time: Duration, most: u32) {
        let frames = time.as_millis() * u128::from(most) / 1000;
        self.count = self.count.saturating_sub(i32::try_from(frames).unwrap_or(i32::MAX));
    }

    /// Notes a control frame that came in this second. Returns whether at most `most` have come in it.
    pub(crate) fn note(&mut self, second: u32, most: u32) -> bool {
        if self.second != second {
            *self = Self { second, count: self.count.min(0) };
        }
        self.count = self.count.saturating_add(1);
        i64::from(self.count) <= i64::from(most)
    }
}
