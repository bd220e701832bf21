//! A subscriber that no event loop drives, as a topic sees it.

use std::fmt::Debug;
use std::task::Waker;

use ropeway_proto::Prepared;

use crate::overflow::Overflow;

/// A subscriber that no event loop drives: its connection is a task of its own.
pub(crate) trait Member: Debug + Send + Sync {
    /// Hands over a message of a topic with such a policy. The publisher is not told of one that finds no room, so the member counts
    /// it. Returns whether the connection's turn is late.
    fn publish(&self, message: Prepared, policy: Option<Overflow>) -> bool;

    /// Wakes a publisher once the connection has had its turn; returns `true`, and does not, if that is not late.
    fn wait_for_turn(&self, publisher: &Waker) -> bool;
}
