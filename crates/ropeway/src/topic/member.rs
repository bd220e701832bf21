//! The interface of a subscriber that no event loop drives.

use std::fmt::Debug;
use std::task::Waker;

use super::post::Post;
use crate::connection_id::ConnectionId;

/// A subscriber that no event loop drives: its connection is a task of its own.
pub(crate) trait Member: Debug + Send + Sync {
    /// The number of the connection.
    fn id(&self) -> ConnectionId;

    /// Passes on a message of a topic. If it finds no room, the member does what the policy says, as the publisher is
    /// not told. Returns whether the connection's turn is late.
    fn publish(&self, post: &Post<'_>) -> bool;

    /// Wakes the publisher once the connection has had its turn. If its turn is not late, returns `true` and does not.
    fn wait_for_turn(&self, publisher: &Waker) -> bool;
}
