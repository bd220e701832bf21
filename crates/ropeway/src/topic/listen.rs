//! Listening to a topic in the program itself, without a connection.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::counted::Counted;
use super::feed::{self, Feed};
use super::heard::Heard;

/// The messages and gaps of a topic, as a [`Stream`]. It never ends: a topic lives as long as it is listened to. At most
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
    table: Counted,
}

impl Listening {
    pub(crate) fn new(table: &Counted) -> Self {
        let feed = Feed::new();
        let place = table.admit_listener(Arc::clone(&feed));
        Self { feed, place, table: table.clone() }
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
        self.table.remove_listener(self.place);
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.table.named().map(|named| named.name());
        f.debug_struct("Listening").field("name", &name).finish_non_exhaustive()
    }
}
