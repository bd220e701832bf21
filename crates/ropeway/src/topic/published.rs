//! What happened to a publication, and how far a subscription reaches.

use crate::engine::Position;

/// What happened to a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// The number of this node's subscribers. That includes subscribers without room, which miss the message, see
    /// [`Topic`](crate::Topic). With history on an engine, the subscribers hear the message when it comes back from the
    /// engine with its position.
    pub local: usize,
    /// The position of the message, if there is history in this process. With an engine the position is not known yet.
    pub position: Option<Position>,
    /// What the engine did, if there is one.
    pub engine: Option<Delivery>,
}

/// What an engine did with a publication.
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
    /// Nobody hears the topic on this node, so the engine is not subscribed for it.
    Unheard,
}

/// What [`Handle::subscribe_from`](crate::Handle::subscribe_from) found.
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
