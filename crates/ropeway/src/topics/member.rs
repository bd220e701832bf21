//! A member of a topic, and its coming and going.

use std::sync::Arc;

use bytes::Bytes;

use crate::topic::feed::News;

/// A member of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// The key of the membership. No other member has it.
    pub key: Arc<str>,
    /// The value.
    pub value: Bytes,
    /// Whether it has joined on this node.
    pub is_here: bool,
}

/// A change of the members.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberEvent {
    /// A member has joined, or was there before.
    Joined {
        /// The key of the membership.
        key: Arc<str>,
        /// The value.
        value: Bytes,
    },
    /// A member has left, or its node is gone.
    Left {
        /// The key of the membership.
        key: Arc<str>,
        /// The value.
        value: Bytes,
    },
    /// The program was too slow: events are missing here. [`Members::list`](crate::Members::list) has the members.
    Missing,
}

impl News for MemberEvent {
    fn missing() -> Self {
        Self::Missing
    }
}
