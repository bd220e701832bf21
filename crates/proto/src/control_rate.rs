//! Control frames counted over a second: a flood of them costs its receiver more than its sender.

/// How many control frames the peer has sent within the current second.
#[derive(Debug, Default)]
pub(crate) struct ControlRate {
    /// Which second of the connection's life.
    second: u32,
    /// How many came in it. Each ping that was sent while nothing was read takes one off, as the pongs of a long pause come all
    /// at once; so it may be below 0.
    count: i32,
}

impl ControlRate {
    /// A ping was sent while nothing is read, and its pong may come at any time.
    pub(crate) fn expect(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    /// A control frame came in this second. Returns whether that is within the limit of `most`.
    pub(crate) fn note(&mut self, second: u32, most: u32) -> bool {
        if self.second != second {
            *self = Self { second, count: self.count.min(0) };
        }
        self.count = self.count.saturating_add(1);
        i64::from(self.count) <= i64::from(most)
    }
}
