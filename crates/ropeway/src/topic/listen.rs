//! Listening to a topic in the program itself, without a connection.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use ropeway_proto::Message;

use super::Topic;
use super::feed::{self, Feed, News};
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

/// The messages and gaps of a topic, as a [`Stream`]. It ends never: a topic lives as long as it is listened to. At most
/// 1,024 messages wait; if the program is slower, it gets [`Heard::Gap`] in place of the others.
///
/// ```
/// # async fn run(topic: ropeway::Topic) {
/// let mut heard = topic.listen();
/// while let Some(heard) = heard.next().await {
///     println!("{heard:?}");
/// }
/// # }
/// ```
pub struct Listening {
    feed: Arc<Feed<Heard>>,
    place: usize,
    topic: Topic,
}

impl Listening {
    pub(super) fn new(topic: &Topic) -> Self {
        let feed = Feed::new();
        let place = topic.table().admit_listener(Arc::clone(&feed));
        Self { feed, place, topic: topic.clone() }
    }

    /// The next message or gap. Cancel safe.
    pub async fn next(&mut self) -> Option<Heard> {
        feed::next(self).await
    }
}

impl Stream for Listening {
    type Item = Heard;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Heard>> {
        self.feed.poll_next(cx)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.topic.table().remove_listener(self.place);
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").field("topic", &self.topic).finish_non_exhaustive()
    }
}
