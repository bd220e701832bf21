//! The items that a listener hears.

use ropeway_proto::Message;

use super::feed::News;
use crate::engine::Position;

/// Something that a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// A message.
    Message {
        /// The message as it was published, before [`TopicsBuilder::encode`](crate::TopicsBuilder::encode).
        message: Message,
        /// Its position, if the topic has history.
        position: Option<Position>,
    },
    /// Messages may be missing here: the engine was down, messages were lost on the way, or the listener was too slow.
    Gap,
}

impl News for Heard {
    fn missing() -> Self {
        Self::Gap
    }
}
