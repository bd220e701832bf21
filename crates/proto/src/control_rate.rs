//! Counts the peer's control frames per second, because a flood of them costs the receiver more than the sender.

/// The number of control frames that the peer has sent within the current second.
#[derive(Debug, Default)]
pub(crate) struct ControlRate {
    /// The second that is counted, numbered from the start of the connection.
    second: u32,
    /// The control frames that came in it, minus the pings that were sent while reading was paused: after a long pause
    /// all their pongs come at once. So it may be below 0.
    count: i32,
}

impl ControlRate {
    /// Notes that a ping was sent while reading is paused. Its pong will not count, whenever it comes.
    pub(crate) fn expect(&mut self) {
        self.count = self.count.saturating_sub(1);
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
