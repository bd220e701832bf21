//! The interface of an engine: a broker that carries the publications of named topics between nodes.
//!
//! An engine knows no sockets and no subscribers. It connects, and gives a [`Session`]. If a session ends, ropeway
//! connects again with a growing delay, subscribes again, and tells each topic of the gap. So an engine should not
//! reconnect by itself, and should report the end of a session soon.
//!
//! All methods of a session are called from one task of ropeway's, which awaits them one after the other, except for
//! [`Session::replay`] and [`Session::members`], which other tasks may call at any time. If a method does not return
//! within some seconds, ropeway ends the session.

mod arrival;
mod error;
mod history;
mod name;
mod position;

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use arrival::{Arrival, Inlet};
pub use error::{EngineError, EngineFault};
pub use history::History;
pub use name::{Name, NameError};
pub use position::{Position, PositionError};

/// A future of an engine.
pub type EngineFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, EngineError>> + Send + 'a>>;

/// A broker that carries publications between nodes.
pub trait Engine: Debug + Send + Sync + 'static {
    /// The broker's address for logs and events, without credentials.
    fn address(&self) -> String;

    /// The parts of the contract that this engine has.
    fn features(&self) -> Features;

    /// Connects. Publications that arrive later go to the inlet.
    ///
    /// It fails if the broker cannot be reached, refuses the credentials, or is not the right broker.
    fn connect(&self, inlet: Inlet) -> EngineFuture<'_, Arc<dyn Session>>;
}

/// The parts of the contract that an engine may lack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Features {
    /// Whether it stores publications, gives them positions, and replays them.
    pub history: bool,
    /// Whether it keeps the members of topics.
    pub presence: bool,
}

impl Features {
    /// Neither history nor presence.
    pub const NONE: Self = Self { history: false, presence: false };

    /// Sets whether there is history.
    #[must_use]
    pub const fn with_history(mut self, history: bool) -> Self {
        self.history = history;
        self
    }

    /// Sets whether there is presence.
    #[must_use]
    pub const fn with_presence(mut self, presence: bool) -> Self {
        self.presence = presence;
        self
    }
}

/// A connection to the broker. It disconnects when it is dropped.
pub trait Session: Debug + Send + Sync + 'static {
    /// Publishes messages, in this order. It returns once the broker has them.
    ///
    /// If a publication has a history, storing and publishing is one step: all nodes then get the message with its
    /// position. If it fails with [`EngineFault::Refused`], the messages are lost, and the session goes on.
    fn publish<'a>(&'a self, batch: &'a [Outgoing]) -> EngineFuture<'a, ()>;

    /// Subscribes to topics. Publications that reach the broker after this has returned are delivered to the inlet.
    fn subscribe<'a>(&'a self, topics: &'a [Wanted]) -> EngineFuture<'a, ()>;

    /// Ends subscriptions. Publications may still be delivered for a while.
    fn unsubscribe<'a>(&'a self, topics: &'a [Name]) -> EngineFuture<'a, ()>;

    /// Returns once the session has ended, with the reason. It then never delivers again.
    fn ended(&self) -> EngineFuture<'_, std::convert::Infallible>;

    /// The longest message that the broker takes, in bytes, if it has a limit.
    fn max_message(&self) -> Option<usize> {
        None
    }

    /// Returns the stored messages after a position, or only the end of the history if there is no position.
    fn replay<'a>(&'a self, topic: &'a Name, history: History, after: Option<Position>) -> EngineFuture<'a, Replay> {
        let _ = (topic, history, after);
        Box::pin(async { Err(EngineError::unsupported("history")) })
    }

    /// Stores members, or renews them. Each disappears `lifetime` after it was last stored.
    fn join<'a>(&'a self, members: &'a [Presence], lifetime: Duration) -> EngineFuture<'a, ()> {
        let _ = (members, lifetime);
        Box::pin(async { Err(EngineError::unsupported("presence")) })
    }

    /// Removes members. Their values are not looked at.
    fn leave<'a>(&'a self, members: &'a [Presence]) -> EngineFuture<'a, ()> {
        let _ = members;
        Box::pin(async { Err(EngineError::unsupported("presence")) })
    }

    /// Returns the members of a topic whose lifetime is not over. It asks the broker alone, and waits for no node.
    fn members<'a>(&'a self, topic: &'a Name) -> EngineFuture<'a, Vec<Presence>> {
        let _ = topic;
        Box::pin(async { Err(EngineError::unsupported("presence")) })
    }
}

/// A message to be published.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The topic.
    pub topic: Name,
    /// The message as other nodes read it. Only ropeway knows its form.
    pub body: Bytes,
    /// If the topic has history: how much of it to keep.
    pub history: Option<History>,
}

/// A topic to subscribe to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The topic.
    pub topic: Name,
    /// The topic's history, if it has one. Its messages are then delivered with their positions.
    pub history: Option<History>,
}

/// The stored messages after a position.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Whether all messages after the position are there. If not, there are none.
    pub is_complete: bool,
    /// The messages, oldest first, each with its position.
    pub messages: Vec<(Position, Bytes)>,
    /// The position of the last message that the history has, or had.
    pub end: Position,
}

/// A member of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// The topic.
    pub topic: Name,
    /// The member's key: unique within the topic over all nodes. It has at most 64 bytes of ASCII letters, digits and
    /// `-`.
    pub key: String,
    /// The member's value.
    pub value: Bytes,
}
