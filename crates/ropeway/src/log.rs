//! Logging. If a subscriber of `tracing` panics, nothing else ends. Lines that peers can cause have a bounded rate. The
//! texts are at the places that log.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most lines of one kind a second: enough to see a problem, and at 200 bytes a line it takes a day to write 2 GB.
const LINES: u32 = 100;

const SECOND: Duration = Duration::from_secs(1);

/// Logs. The user's subscriber runs here. Its panic is caught, so that a faulty log does not stop the program.
pub(crate) fn guarded(log: impl FnOnce()) {
    // The panic hook has reported it.
    let _ = catch_unwind(AssertUnwindSafe(log));
}

/// Logs a line about a connection. All such lines have its number and its peer's address as fields, before their own.
/// `$link` has `id()` and `remote_addr()`.
macro_rules! of_connection {
    ($level:ident, $link:expr, $($line:tt)+) => {{
        let link = &$link;
        let remote_addr = link.remote_addr().map(tracing::field::display);
        tracing::$level!(connection = link.id().as_u64(), remote_addr, $($line)+)
    }};
}

/// Logs a line about a client that is not a connection yet. All such lines have its address as a field, if it is known.
macro_rules! of_client {
    ($level:ident, $remote_addr:expr, $($line:tt)+) => {{
        let remote_addr: Option<std::net::SocketAddr> = $remote_addr.into();
        tracing::$level!(remote_addr = remote_addr.map(tracing::field::display), $($line)+)
    }};
}

pub(crate) use {of_client, of_connection};

/// The rate limit for lines of one kind: a peer that causes them could fill a disk. Lines that are left out are
/// counted.
#[derive(Debug)]
pub(crate) struct Rate {
    /// The kind, in the plural.
    kind: &'static str,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    /// When the first line of the current second was logged.
    since: Option<Instant>,
    /// The number of lines since then.
    count: u32,
    /// The number of lines left out that has not been reported.
    left_out: u64,
}

/// The decision about a line.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// It is logged. `left_out` lines were left out before it.
    Logged {
        left_out: u64,
    },
    /// It is the first of this second to be left out.
    FirstLeftOut,
    LeftOut,
}

impl Rate {
    pub(crate) const fn new(kind: &'static str) -> Self {
        Self { kind, inside: Mutex::new(Inside { since: None, count: 0, left_out: 0 }) }
    }

    /// Logs a line, unless there were too many of its kind.
    pub(crate) fn log(&self, line: impl FnOnce()) {
        let turn = self.inside.lock().unwrap_or_else(PoisonError::into_inner).turn(Instant::now());
        // The lock is released before the subscriber is called, so that a slow subscriber does not block others.
        guarded(|| match turn {
            Turn::Logged { left_out } => {
                if left_out > 0 {
                    tracing::warn!("{left_out} more {} were not logged", self.kind);
                }
                line();
            }
            Turn::FirstLeftOut => {
                tracing::warn!("more than {LINES} {} in a second: the rest are counted, and not logged", self.kind);
            }
            Turn::LeftOut => {}
        });
    }
}

impl Inside {
    fn turn(&mut self, now: Instant) -> Turn {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= SECOND) {
            self.since = Some(now);
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        if self.count <= LINES {
            return Turn::Logged { left_out: std::mem::take(&mut self.left_out) };
        }
        self.left_out += 1;
        if self.count == LINES + 1 { Turn::FirstLeftOut } else { Turn::LeftOut }
    }
}

/// Logs that a connection is dropped because its socket cannot be watched. Dropping it also tells its handles.
pub(crate) fn log_unwatched(error: &io::Error) {
    static UNWATCHED: Rate = Rate::new("connections that cannot be watched");
    UNWATCHED.log(|| tracing::warn!(%error, "a connection cannot be watched and is dropped"));
}

/// Makes text that others have influenced fit for the log: on one line, and no longer than our own longest text.
pub(crate) fn one_line(text: &str) -> String {
    /// Our longest refusals have two quotes of 100 characters.
    const LONGEST: usize = 500;
    let mut line: String =
        text.trim_end().chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.trim_end().chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_lines_a_second_are_logged_and_the_others_counted() {
        let mut inside = Inside { since: None, count: 0, left_out: 0 };
        let start = Instant::now();
        for _ in 0..LINES {
            assert_eq!(inside.turn(start), Turn::Logged { left_out: 0 });
        }
        let soon = start + SECOND / 2;
        assert_eq!(inside.turn(soon), Turn::FirstLeftOut);
        for _ in 0..1000 {
            assert_eq!(inside.turn(soon), Turn::LeftOut);
        }
        assert_eq!(inside.turn(start + SECOND), Turn::Logged { left_out: 1001 });
        assert_eq!(inside.turn(start + SECOND), Turn::Logged { left_out: 0 });
    }

    #[test]
    fn a_panic_of_what_logs_is_no_panic_of_ours() {
        let rate = Rate::new("tests");
        for _ in 0..2 {
            rate.log(|| panic!("this is meant to panic"));
        }
        guarded(|| panic!("this is meant to panic"));
    }

    #[test]
    fn a_line_is_one_line_of_bounded_length() {
        assert_eq!(one_line("refused\n"), "refused");
        assert_eq!(one_line("a\r\nb\u{1b}[2J"), "a  b [2J");
        let long = one_line(&"é".repeat(10_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (501, true));
    }
}
