//! Topics: one message for many connections. What a message for everyone costs is paid once, as far as it can be; for each
//! subscriber remains one write.

pub(crate) mod ahead;
mod member;
mod subscription;
mod table;

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use ropeway_proto::Prepared;

use crate::overflow::Overflow;
pub(crate) use member::Member;
pub(crate) use subscription::{Subscription, Subscriptions};
pub use table::PublishError;
pub(crate) use table::Table;

/// Something that connections subscribe to, to hear what is published there. Cloning it gives another handle to the same topic.
///
/// Messages of one topic reach a subscriber in the order in which they were published. What one thread does in order, a
/// subscriber sees in order: messages that it publishes, messages that it sends to the subscriber alone, and its close. A
/// subscription ends with its connection.
///
/// **Slow subscribers.** Nobody waits for one. When `max_buffered` bytes wait for a subscriber, there is no room for a message,
/// and nobody to be told as there is where [`Handle::send`](crate::Handle::send) fails. So by default the subscriber is closed with 1013, try again
/// later. [`Topic::with_overflow`], or the policy of the route or the server, can have such messages dropped instead; they are
/// counted ([`Handle::dropped`](crate::Handle::dropped)), and the first is logged.
///
/// **Fast publishers.** What is published waits until the event loops have sent it. A connection whose handler publishes is
/// not read from while a loop is behind, as if its peer did not read. Elsewhere [`Topic::publish`] fails when too much waits,
/// and [`Topic::publish_wait`] waits.
///
/// A message is compressed once for all subscribers with whom permessage-deflate was agreed, or once for each size of window
/// among them. It therefore does not point back into what a subscriber was sent before, whether or not its context is taken
/// over: there a short message comes out longer than if it were sent to that subscriber alone.
/// A message of more than 64 KiB is not compressed.
///
/// ```
/// use ropeway::{Server, Topic};
///
/// # fn example(server: &Server) {
/// let news = Topic::new();
/// let all = news.clone();
/// server.on_connection(move |ws, _| {
///     ws.subscribe(&all);
/// });
/// // From anywhere:
/// news.publish("it rains").ok();
/// # }
/// ```
#[derive(Clone)]
pub struct Topic {
    table: Arc<Table>,
}

impl Topic {
    /// A topic without subscribers.
    pub fn new() -> Self {
        Self::default()
    }

    /// A topic with a policy of its own for subscribers that have no room for a message. [`Overflow::Refuse`] closes them, since
    /// there is nobody to be told.
    pub fn with_overflow(overflow: Overflow) -> Self {
        Self { table: Arc::new(Table::new(Some(overflow))) }
    }

    /// Sends a message to all subscribers, and returns how many there are. To send the same one at several topics, publish clones
    /// of one [`Prepared`].
    ///
    /// It never waits. Called while an event of a connection is handled, it succeeds unless 64 MiB of messages wait for an event
    /// loop. Elsewhere nothing slows the caller down, so it fails with [`PublishError::Full`] while more waits than a loop
    /// sends in about a quarter of a second: see [`Topic::publish_wait`].
    pub fn publish(&self, message: impl Into<Prepared>) -> Result<usize, PublishError> {
        self.table.publish(&message.into())
    }

    /// Sends a message to all subscribers once none of them is behind for want of a turn, and returns how many there are.
    ///
    /// Cancel safe: dropped before it is done, the message is not published at all.
    pub async fn publish_wait(&self, message: impl Into<Prepared>) -> usize {
        let message = message.into();
        poll_fn(|cx| {
            if !self.table.has_room(cx) {
                return Poll::Pending;
            }
            match self.table.publish(&message) {
                Ok(count) => Poll::Ready(count),
                // Somebody else has published meanwhile.
                Err(PublishError::Full) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// How many subscribers there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }
}

impl Default for Topic {
    fn default() -> Self {
        Self { table: Arc::new(Table::new(None)) }
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic").field("subscribers", &self.len()).finish()
    }
}
