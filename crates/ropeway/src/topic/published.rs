//! The result of a publication, and how far a subscription reaches.

use std::fmt;

use crate::engine::Position;

/// The result of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// The number of this node's subscribers. That includes subscribers without room, which miss the message, see
    /// [`Topic`](crate::Topic). With history on an engine, the subscribers hear the message when it comes back from the
    /// engine with its position.
    pub local: usize,
    /// The position of the message, if there is history in this process. With an engine the position is not known yet.
    pub position: Option<Position>,
    /// The fate of the message at the engine, if there is one.
    pub engine: Option<Delivery>,
}

/// The fate of a publication at the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// It is on its way to the engine.
    Sent,
    /// It waits behind others: the engine takes messages more slowly than they are published.
    Queued,
    /// The engine is down. If the outbox is on, the message is kept there, and is sent when the engine is back, unless
    /// newer ones have replaced it.
    Offline,
    /// Too much waits for the engine. Other nodes do not hear the message; they are told of a gap. With history this node's
    /// subscribers do not hear it either, and are told of a gap.
    Full,
}

impl Published {
    /// A publication that stayed in this process.
    pub(crate) fn here(local: usize) -> Self {
        Self { local, position: None, engine: None }
    }
}

/// How far the publications come from that a subscriber hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// From this process: the topic has no engine.
    Process,
    /// From all nodes. All that is published anywhere from now on is heard, or a gap is told.
    AllNodes,
    /// From this node only, as the engine is down. When it is back, the topic is told of a gap.
    Offline,
    /// From this node only, as the engine has refused to deliver the topic. [`TopicsEvent::Refused`](crate::TopicsEvent)
    /// has the reason.
    Refused,
    /// Nobody hears the topic on this node, so the engine is not subscribed for it.
    Unheard,
}

/// The result of [`Handle::subscribe_from`](crate::Handle::subscribe_from).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Whether all messages after the position were sent to the subscriber. If not, none of them was.
    pub recovered: bool,
    /// The number of messages that were sent.
    pub replayed: usize,
    /// The position of the last message of the topic, if it is known. All later ones are sent to the subscriber.
    pub position: Option<Position>,
}

/// Why a message was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// Too much waits to be sent: messages are published faster than they can be written to the subscribers. The
    /// message was sent to no subscriber.
    Full,
    /// The message is larger than the engine's broker takes. It was sent to no subscriber.
    TooLarge {
        /// The most bytes that a message can have.
        limit: usize,
    },
    /// The function of [`TopicsBuilder::encode`](crate::TopicsBuilder::encode) has published. A lock is held while it runs,
    /// so it cannot.
    Encoding,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str(
                "the message was not published, because earlier messages still wait to be sent; publish more slowly, or wait for room with `publish_wait`",
            ),
            Self::TooLarge { limit } => write!(
                f,
                "the message was not published, because the broker takes at most {limit} bytes; publish less, or raise the broker's limit"
            ),
            Self::Encoding => f.write_str(
                "the message was not published, because the function that encodes messages cannot publish; send the message from elsewhere",
            ),
        }
    }
}

impl std::error::Error for PublishError {}
