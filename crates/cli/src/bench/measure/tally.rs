//! The measurements of a thread. No other thread writes them, so recording takes no lock. They are added up at the end.

use std::cell::RefCell;
use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use ropeway::{Cause, ClientError, Closed, Error};

/// Longer latencies than this are all counted as this one, in nanoseconds: 10 minutes.
const LONGEST: u64 = 600_000_000_000;

/// The measurements of a thread, or of all of them.
pub(crate) struct Tally {
    /// Latencies, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// For messages with a fixed time to be sent: how late they were sent, in nanoseconds.
    pub(crate) lateness: Histogram<u64>,
    /// For connections that were opened before measuring: how long opening took, in nanoseconds.
    pub(crate) opening: Histogram<u64>,
    /// When the last measured event came, in nanoseconds of the run's clock.
    pub(crate) last: u64,
    /// Connections on which compression was agreed.
    pub(crate) compressed: u64,
    /// Connections that ended before this side closed them.
    pub(crate) dropped: u64,
    pub(crate) errors: Errors,
}

impl Default for Tally {
    fn default() -> Self {
        // Three digits: a value is off by at most a thousandth.
        let histogram = || Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are in order");
        Self {
            latency: histogram(),
            lateness: histogram(),
            opening: histogram(),
            last: 0,
            compressed: 0,
            dropped: 0,
            errors: Errors::default(),
        }
    }
}

thread_local! {
    static TALLY: RefCell<Tally> = RefCell::default();
}

/// Calls `use_it` with the thread's tally.
#[inline]
pub(crate) fn with<R>(use_it: impl FnOnce(&mut Tally) -> R) -> R {
    TALLY.with_borrow_mut(use_it)
}

impl Tally {
    /// Takes the thread's tally out.
    pub(crate) fn take() -> Self {
        TALLY.take()
    }

    /// Records a latency, the number of messages that had it, and the time when it was known.
    #[inline]
    pub(crate) fn record(&mut self, latency: u64, times: u64, now: u64) {
        self.latency.saturating_record_n(latency, times);
        self.last = now;
    }

    /// Adds the measurements of another thread.
    pub(crate) fn add(&mut self, other: &Self) {
        self.latency.add(&other.latency).expect("the bounds are the same");
        self.lateness.add(&other.lateness).expect("the bounds are the same");
        self.opening.add(&other.opening).expect("the bounds are the same");
        self.last = self.last.max(other.last);
        self.compressed += other.compressed;
        self.dropped += other.dropped;
        self.errors.add(&other.errors);
    }
}

/// Errors by kind: the number of each, and the text of the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Errors(BTreeMap<String, (u64, String)>);

impl Errors {
    pub(crate) fn note(&mut self, kind: impl Into<String>, said: impl FnOnce() -> String) {
        self.0.entry(kind.into()).or_insert_with(|| (0, said())).0 += 1;
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().map(|(times, _)| times).sum()
    }

    /// Kind, number and first text of the errors, the most frequent first.
    pub(crate) fn by_frequency(&self) -> Vec<(&str, u64, &str)> {
        let mut kinds: Vec<_> =
            self.0.iter().map(|(kind, (times, said))| (kind.as_str(), *times, said.as_str())).collect();
        kinds.sort_by_key(|(_, times, _)| std::cmp::Reverse(*times));
        kinds
    }

    fn add(&mut self, other: &Self) {
        for (kind, (times, said)) in &other.0 {
            self.0.entry(kind.clone()).or_insert_with(|| (0, said.clone())).0 += times;
        }
    }
}

/// The kind of an error of connecting. The names are stable, since programs read them.
pub(crate) fn kind_of_error(error: &Error) -> String {
    match error {
        Error::Connect(error) => match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "connect_refused".into(),
            std::io::ErrorKind::ConnectionReset => "connect_reset".into(),
            std::io::ErrorKind::TimedOut => "connect_timeout".into(),
            std::io::ErrorKind::AddrNotAvailable => "connect_no_local_port".into(),
            _ if is_out_of_files(error) => "connect_too_many_open_files".into(),
            _ => "connect_failed".into(),
        },
        Error::Tls(_) => "tls_failed".into(),
        Error::Handshake(ClientError::Refused(answer)) => format!("handshake_status_{}", answer.status().as_u16()),
        Error::Handshake(ClientError::Timeout) => "handshake_timeout".into(),
        Error::Handshake(ClientError::Closed { .. }) => "handshake_closed".into(),
        Error::Handshake(_) => "handshake_invalid".into(),
        Error::Violation(_) => "protocol_violation".into(),
        Error::Lost(_) => "connection_lost".into(),
        _ => "other".into(),
    }
}

/// The kind of an end of a connection that this side did not ask for.
pub(crate) fn kind_of_end(closed: &Closed) -> String {
    match closed.cause {
        Cause::Handshake => format!("closed_{}", closed.code.as_u16()),
        Cause::Violation(_) => "protocol_violation".into(),
        Cause::KeepaliveTimeout => "ping_timeout".into(),
        Cause::CloseTimeout => "close_timeout".into(),
        _ => "connection_lost".into(),
    }
}

#[cfg(unix)]
fn is_out_of_files(error: &std::io::Error) -> bool {
    // If a name has several addresses, the error is about all of them, and the first one's error decides.
    let first = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    first
        .unwrap_or(error)
        .raw_os_error()
        .is_some_and(|code| [nix::errno::Errno::EMFILE as i32, nix::errno::Errno::ENFILE as i32].contains(&code))
}

#[cfg(not(unix))]
fn is_out_of_files(_: &std::io::Error) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_kind_with_the_first_words() {
        let mut errors = Errors::default();
        errors.note("closed_1001", || "bye".into());
        for word in ["first", "second"] {
            errors.note("connect_refused", || word.into());
        }
        let mut sum = errors.clone();
        sum.add(&errors);
        assert_eq!(sum.by_frequency(), [("connect_refused", 4, "first"), ("closed_1001", 2, "bye")]);
        assert_eq!(sum.total(), 6);
    }

    #[test]
    fn a_latency_beyond_all_measure_counts_as_the_longest() {
        let mut tally = Tally::default();
        tally.record(u64::MAX, 3, 7);
        assert_eq!((tally.latency.len(), tally.last), (3, 7));
        assert!(tally.latency.max() >= LONGEST);
    }

    #[test]
    fn every_latency_is_in_its_threads_tally_until_that_is_taken() {
        for (latency, times) in [(0, 1), (5, 2), (7, 1), (5, 1), (7, 2)] {
            with(|tally| tally.record(latency, times, 1));
        }
        let tally = Tally::take().latency;
        let counts = [0, 5, 7].map(|latency| tally.count_at(latency));
        assert_eq!((tally.len(), counts), (7, [1, 3, 3]));
        assert_eq!(Tally::take().latency.len(), 0);
    }
}
