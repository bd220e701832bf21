//! The policy for messages for which there is no room, and its settings for a topic.

#[cfg(doc)]
use ropeway_proto::SendError;
use ropeway_proto::{CloseCode, CloseFrame};

/// The policy for a message for which there is no room, because the peer reads more slowly than messages are sent to
/// it.
///
/// | | a message to this connection alone | a message of a [`Topic`](crate::Topic) |
/// |---|---|---|
/// | `Refuse` | sending it fails | the connection is closed |
/// | `Close` | sending it fails, the connection is closed | the connection is closed |
/// | `Drop` | it is dropped | it is dropped |
/// | `DropOldest` | it is dropped | it waits, and if too many wait, the oldest of the topic is dropped |
/// | `Conflate` | it is dropped | the same, and it replaces the message with the same key that waits |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// Sending it fails with [`SendError::Full`], and the caller decides. This is the default. A message of a
    /// [`Topic`](crate::Topic) has no caller that could decide, so there this means the same as [`Overflow::Close`].
    #[default]
    Refuse,
    /// It is dropped and [counted](crate::Handle::dropped), and the first is logged. Sending it succeeds.
    Drop,
    /// A message of a topic waits for room, and the oldest one of its topic that waits is dropped if there are too many,
    /// see [`TopicSettings`]. So a subscriber that comes back gets the newest messages. Dropped messages are counted. A
    /// message to this connection alone is treated as with [`Overflow::Drop`].
    DropOldest,
    /// A message of a topic waits for room, and replaces the message with the same key that waits, see
    /// [`Topic::publish_keyed`](crate::Topic::publish_keyed). So a subscriber that comes back gets the latest value of
    /// each key. This is right for a ticker, where the next price of a symbol replaces the last one. All messages
    /// without a key replace one another. Otherwise this is the same as [`Overflow::DropOldest`].
    Conflate,
    /// The connection is closed with 1013, try again later.
    Close,
}

impl Overflow {
    /// Whether a message to one connection is dropped, and sending it succeeds.
    pub(crate) fn drops(self) -> bool {
        matches!(self, Self::Drop | Self::DropOldest | Self::Conflate)
    }

    /// Whether a message of a topic waits for room.
    pub(crate) fn waits(self) -> bool {
        matches!(self, Self::DropOldest | Self::Conflate)
    }
}

/// The settings of a topic, see [`Topic::with_settings`](crate::Topic::with_settings). Several topics can be made with
/// the same.
///
/// ```
/// use ropeway::{Overflow, Topic, TopicSettings};
///
/// let settings = TopicSettings::default().overflow(Overflow::Conflate).max_waiting(5_000);
/// let prices = Topic::with_settings(settings);
/// prices.publish_keyed("ACME", "ACME 123.45")?;
/// # Ok::<(), ropeway::PublishError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicSettings {
    /// The policy for subscribers that have no room for a message. `None`, the default, means that of their route or
    /// server. [`Overflow::Refuse`] closes them, since `publish` cannot report them to a caller.
    pub overflow: Option<Overflow>,
    /// The most messages of the topic that wait for one subscriber beside its queue, under [`Overflow::DropOldest`] and
    /// [`Overflow::Conflate`]. 1,024 by default. 0 is the same as 1.
    pub max_waiting: usize,
    /// The most payload bytes that these have in all, except that one message may always wait. 1 MiB by default.
    /// A message that waits counts for 128 bytes more than its payload. The messages of all topics that wait for one
    /// subscriber count for at most `max_buffered` bytes in all, except that one message may always wait.
    pub max_waiting_bytes: usize,
}

impl Default for TopicSettings {
    fn default() -> Self {
        Self { overflow: None, max_waiting: 1024, max_waiting_bytes: 1 << 20 }
    }
}

impl TopicSettings {
    /// The policy for subscribers that have no room for a message. By default it is that of their route or server.
    #[must_use]
    pub fn overflow(mut self, overflow: impl Into<Option<Overflow>>) -> Self {
        self.overflow = overflow.into();
        self
    }

    /// The most messages of the topic that wait for one subscriber beside its queue. 1,024 by default.
    #[must_use]
    pub fn max_waiting(mut self, messages: usize) -> Self {
        self.max_waiting = messages;
        self
    }

    /// The most payload bytes that these have in all, except that one message may always wait. 1 MiB by default.
    #[must_use]
    pub fn max_waiting_bytes(mut self, bytes: usize) -> Self {
        self.max_waiting_bytes = bytes;
        self
    }
}

/// The close frame for a peer that reads too slowly.
pub(crate) fn too_slow() -> CloseFrame {
    CloseFrame::new(CloseCode::TRY_AGAIN_LATER, "the write queue is full")
}
