//! The pace of an open loop: the time at which each message is due, as pure functions. Waiting is left to
//! [`super::timer`].

/// Messages at an even rate, numbered from 0.
///
/// Times are in nanoseconds of the run's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    begin: u64,
    /// Nanoseconds from one message to the next. A float is exact enough: after a day the time at which a message is
    /// due is off by some picoseconds.
    interval: f64,
}

impl Schedule {
    /// A message every 1/`per_second` s, the first at `begin`.
    pub(crate) fn new(begin: u64, per_second: f64) -> Self {
        Self { begin, interval: 1e9 / per_second }
    }

    /// Returns when a message is due. That time does not depend on earlier messages: a message that is delayed is late
    /// by its whole delay, and so are the messages behind it.
    #[inline]
    #[expect(clippy::cast_sign_loss, reason = "numbers stay below 2^53, times above 0")]
    pub(crate) fn due(&self, number: u64) -> u64 {
        self.begin + (number as f64 * self.interval) as u64
    }
}

/// The part of a schedule that the connections of one thread send.
///
/// Messages go round all connections of the run. Within a round, those of one thread are next to each other.
///
/// ```text
/// number      0 1 2 3 4 5 6 7 8 9 ...
/// connection  0 1 2 3 4 0 1 2 3 4 ...      of = 5
/// thread      a a a b b a a a b b ...      a: first = 0, count = 3; b: first = 3, count = 2
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// The thread's first connection.
    pub(crate) first: u64,
    /// The number of the thread's connections: at least one.
    pub(crate) count: u64,
    /// The number of all connections.
    pub(crate) of: u64,
}

impl Share {
    /// The number of the thread's `nth` message.
    pub(crate) fn number(&self, nth: u64) -> u64 {
        (nth / self.count) * self.of + self.first + nth % self.count
    }

    /// Returns how many of `total` messages, spread over all connections, are for the thread's connection `index`.
    pub(crate) fn quota(&self, index: u64, total: u64) -> u64 {
        total / self.of + u64::from(self.first + index < total % self.of)
    }
}

/// Returns the number of a connection's `nth` message, if each of `of` connections sends one a round.
#[inline]
pub(crate) fn number_on(connection: u64, nth: u64, of: u64) -> u64 {
    nth * of + connection
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_at_even_distances_whatever_the_rate() {
        for (rate, number, due) in [
            (1_000.0, 0, 500),
            (1_000.0, 1, 1_000_500),
            (1_000.0, 3_600_000, 3_600_000_000_500),
            (3.0, 1, 333_333_833),
            (3.0, 3, 1_000_000_500),
            (0.1, 2, 20_000_000_500),
            (2_000_000.0, 7, 4_000),
        ] {
            assert_eq!(Schedule::new(500, rate).due(number), due, "{rate}/s, number {number}");
        }
    }

    #[test]
    fn threads_share_out_every_message_exactly_once() {
        let shares = [
            Share { first: 0, count: 3, of: 6 },
            Share { first: 3, count: 2, of: 6 },
            Share { first: 5, count: 1, of: 6 },
        ];
        let mut numbers: Vec<u64> =
            shares.iter().flat_map(|share| (0..share.count * 4).map(|nth| share.number(nth))).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..24).collect::<Vec<_>>());
    }

    #[test]
    fn the_shares_of_threads_and_connections_agree() {
        let share = Share { first: 3, count: 2, of: 5 };
        for nth in 0..20 {
            let (connection, nth_there) = (share.first + nth % share.count, nth / share.count);
            assert_eq!(share.number(nth), number_on(connection, nth_there, share.of));
        }
    }

    #[test]
    fn a_number_of_messages_is_spread_evenly_with_nothing_lost() {
        for total in [0, 1, 4, 5, 6, 1_003] {
            let shares = [Share { first: 0, count: 3, of: 5 }, Share { first: 3, count: 2, of: 5 }];
            let quotas: Vec<u64> =
                shares.iter().flat_map(|share| (0..share.count).map(move |index| share.quota(index, total))).collect();
            assert_eq!(quotas.iter().sum::<u64>(), total);
            assert!(quotas.iter().max().unwrap() - quotas.iter().min().unwrap() <= 1, "{quotas:?}");
        }
    }
}
