//! A published message on its way to the subscribers that an event loop drives.

use std::fmt::Debug;
use std::sync::Arc;

use ropeway_proto::Prepared;

use crate::connection_id::ConnectionId;
use crate::overflow::TopicSettings;

/// A published message, in the mailbox or the backlog of an event loop.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub(crate) audience: Arc<dyn Audience>,
    /// The number of the message within its topic.
    pub(crate) number: u64,
    /// The number of the publication within the loop.
    pub(crate) sequence: u64,
    pub(crate) message: Prepared,
    /// The connection that is not sent it, even if it has subscribed.
    pub(crate) except: Option<ConnectionId>,
    /// The key of the value that it has, if the topic is conflated.
    pub(crate) key: Option<Arc<str>>,
    /// The cost of sending it to the loop's subscribers, in bytes: its own length, and a price for each of them.
    pub(crate) work: usize,
}

/// The subscribers of a topic, as an event loop sees them.
pub(crate) trait Audience: Debug + Send + Sync {
    /// The address of the topic. No other topic has it, as long as this one has a handle, a publication or a
    /// subscription.
    fn address(&self) -> usize;

    /// The number of the topic. No other topic has it or will have it.
    fn number(&self) -> u64;

    /// The policy for a message that finds no room at a subscriber, and its bounds.
    fn settings(&self) -> TopicSettings;

    /// Finds at most `most` subscribers on the loop of this number, from a place on, that are now sent the topic's
    /// messages up to number `last`. Returns the place to continue at, or `None` after the last subscriber.
    fn on_loop(&self, loop_id: u64, from: usize, last: u64, most: usize, found: &mut Vec<Subscriber>) -> Option<usize>;
}

/// A subscriber on an event loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscriber {
    /// Its key on the loop.
    pub(crate) key: u32,
    /// The number of the last message that it was sent, or that was published before it subscribed.
    pub(crate) since: u64,
    /// The number of the last message to send it. Messages that are published after it unsubscribed are not for it.
    pub(crate) until: u64,
}

impl Publication {
    /// Whether it is of the same topic.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.audience.address() == other.audience.address()
    }

    /// The length of its payload.
    pub(crate) fn len(&self) -> usize {
        self.message.message().len()
    }
}

impl Subscriber {
    /// Whether the message of this number is for it and was not sent to it yet.
    pub(crate) fn hears(&self, number: u64) -> bool {
        self.since < number && number <= self.until
    }
}
