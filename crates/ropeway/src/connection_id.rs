//! The number of a connection.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of a connection: no other connection of the process has it or will have it.
///
/// It can be a key for maps of connections, and a field in logs. It is not sent to the peer.
///
/// ```
/// # use std::collections::HashMap;
/// # use ropeway::{ConnectionId, Handle};
/// fn joined(names: &mut HashMap<ConnectionId, String>, client: &Handle, name: &str) {
///     names.insert(client.id(), name.to_owned());
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(NonZeroU64);

impl ConnectionId {
    /// A number that no connection has had.
    pub(crate) fn next() -> Self {
        static GIVEN: AtomicU64 = AtomicU64::new(0);
        // The first is 1, so that a connection that may be absent takes no more room.
        Self(NonZeroU64::MIN.saturating_add(GIVEN.fetch_add(1, Ordering::Relaxed)))
    }

    /// Reads the number back.
    pub(crate) fn from_u64(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The number. The first connection has 1, and each later one a larger number.
    pub fn as_u64(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
