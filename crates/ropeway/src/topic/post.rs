//! A message of a topic, as one subscriber sees it.

use std::sync::Arc;

use ropeway_proto::Prepared;

use crate::connection_id::ConnectionId;
use crate::overflow::{Overflow, TopicSettings};

/// The subscribers that a message is for, and its key.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct To<'a> {
    /// One connection does not get it.
    pub(crate) except: Option<ConnectionId>,
    /// Under [`Overflow::Conflate`] it replaces one with the same key.
    pub(crate) key: Option<&'a Arc<str>>,
}

/// A message of a topic, on its way to a subscriber.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Post<'a> {
    pub(crate) message: &'a Prepared,
    /// Under [`Overflow::Conflate`] the message replaces one with the same key.
    pub(crate) key: Option<&'a Arc<str>>,
    /// The number of the topic. No other topic has it or will have it.
    pub(crate) topic: u64,
    pub(crate) settings: TopicSettings,
}

impl Post<'_> {
    /// The policy for a connection with a policy of its own.
    pub(crate) fn overflow(&self, of_connection: Overflow) -> Overflow {
        self.settings.overflow.unwrap_or(of_connection)
    }

    /// The length of its payload.
    pub(crate) fn len(&self) -> usize {
        self.message.message().len()
    }
}
