//! The reasons why nothing is read from a connection at present.

use super::sync::{AtomicU8, Ordering};

/// The reasons not to read, in one byte.
#[derive(Debug)]
pub(super) struct Unread(AtomicU8);

/// The user has paused the connection.
pub(super) const PAUSED: u8 = 1;
/// The inbox is full of messages that the user has not taken.
pub(super) const HELD: u8 = 2;
/// The connection publishes faster than others can send, see [`ahead`](crate::topic::ahead).
pub(super) const AHEAD: u8 = 4;

impl Unread {
    pub(super) fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// Whether one of these reasons is set.
    pub(super) fn has(&self, reasons: u8) -> bool {
        self.0.load(Ordering::Relaxed) & reasons != 0
    }

    /// Sets or clears a reason. Returns whether it was set before.
    pub(super) fn set(&self, reason: u8, is_so: bool) -> bool {
        let before = if is_so {
            self.0.fetch_or(reason, Ordering::Relaxed)
        } else {
            self.0.fetch_and(!reason, Ordering::Relaxed)
        };
        before & reason != 0
    }
}
