//! Topics: one message for many connections. Work that is the same for all of them is done once, as far as possible.
//! One write for each subscriber remains.

pub(crate) mod ahead;
mod counted;
pub(crate) mod feed;
mod heard;
mod listen;
mod member;
mod named;
mod post;
mod published;
mod subscribing;
mod subscription;
mod table;

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use ropeway_proto::Prepared;

use crate::connection_id::ConnectionId;
use crate::engine::{Name, Position};
use crate::overflow::{Overflow, TopicSettings};
pub(crate) use counted::Counted;
pub use heard::Heard;
pub use listen::Listening;
pub(crate) use member::Member;
pub(crate) use named::Named;
pub(crate) use post::{Post, To};
pub use published::{Delivery, PublishError, Published, Reach, Recovery};
pub use subscribing::Subscribing;
pub(crate) use subscription::{Subscription, Subscriptions};
pub(crate) use table::Table;

/// A topic: connections subscribe to it, and get the messages that are published to it. A clone is another handle to
/// the same topic.
///
/// Messages of one topic reach a subscriber in the order in which they were published. A subscriber also sees the
/// actions of one thread or task in order: messages that it publishes, messages that it sends to the subscriber alone,
/// and its close. A task may await in between, and continue on another thread. A subscription ends with its connection.
///
/// **Slow subscribers.** Publishing never waits for a subscriber. If `max_buffered` bytes wait for a subscriber, there
/// is no room for the message. Unlike [`Handle::send`](crate::Handle::send), `publish` cannot report that to a caller.
/// So by default the subscriber is closed with 1013, try again later. With another [`Overflow`] policy of the topic, the
/// route or the server it misses messages instead: the newest, the oldest, or all but the latest of each key. Dropped
/// messages are counted ([`Handle::dropped`](crate::Handle::dropped)), and the first is logged.
///
/// Under [`Overflow::DropOldest`] and [`Overflow::Conflate`], messages for which there is no room wait beside the
/// subscriber's queue. They are sent once less than half of `max_buffered` is in the queue. Until the last of them is
/// sent, all that is published to this topic waits behind them. So messages of the topic stay in order, except that one
/// which replaces another under `Conflate` takes the other's place: messages of one key stay in order, and each key is
/// sent in its turn. Messages that wait may be overtaken by messages to the subscriber alone and by those of other
/// topics. If the connection closes, they are dropped and counted.
///
/// **Fast publishers.** Published messages wait until the event loops have sent them. If a handler publishes while a
/// loop is behind, nothing more is read from the handler's connection until the loop has caught up. Elsewhere
/// [`Topic::publish`] fails if too much waits, and [`Topic::publish_wait`] waits.
///
/// **Compression.** A message is compressed once for all subscribers that have agreed to permessage-deflate, or once
/// for each size of window among them. So it cannot refer to earlier messages of one subscriber, even with context
/// takeover. A short message is then longer than if it were sent to that subscriber alone. A message of more than 64
/// KiB is not compressed.
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
    table: Counted,
}

impl Topic {
    /// A topic without subscribers.
    pub fn new() -> Self {
        Self::default()
    }

    /// A topic with a policy of its own for subscribers that have no room for a message. [`Overflow::Refuse`] closes
    /// them, since `publish` cannot report them to a caller.
    pub fn with_overflow(overflow: Overflow) -> Self {
        Self::with_settings(TopicSettings::default().overflow(overflow))
    }

    /// A topic with a policy for slow subscribers, and bounds for the messages that wait for them.
    pub fn with_settings(settings: TopicSettings) -> Self {
        Self { table: Counted::new(Arc::new(Table::new(settings))) }
    }

    /// Sends a message to all subscribers, and tells what happened to it: see [`Published`]. It counts subscribers without
    /// room, which miss the message, see [`Topic`]. To send the same message to several topics, publish clones of one
    /// [`Prepared`].
    ///
    /// It never waits. While an event of a connection is being handled, it succeeds unless 64 MiB of messages wait for
    /// an event loop. Elsewhere nothing slows the caller down, so it fails with [`PublishError::Full`] if more waits
    /// than a loop sends in about a quarter of a second. [`Topic::publish_wait`] waits instead.
    pub fn publish(&self, message: impl Into<Prepared>) -> Result<Published, PublishError> {
        self.pass_on(&message.into(), To::default())
    }

    /// Sends a message to all subscribers but one, which is as a rule the connection that it comes from. The order is the
    /// same as if the message were [published](Topic::publish) to all. [`Published::local`] counts the others.
    ///
    /// ```
    /// # use ropeway::{Connection, MessageRef, Topic};
    /// fn pass_on(room: &Topic, ws: &Connection<'_>, message: MessageRef<'_>) {
    ///     room.publish_except(ws.id(), message).ok();
    /// }
    /// ```
    pub fn publish_except(
        &self,
        except: ConnectionId,
        message: impl Into<Prepared>,
    ) -> Result<Published, PublishError> {
        self.pass_on(&message.into(), To { except: Some(except), ..To::default() })
    }

    /// Sends a message to all subscribers. It has the latest value of a key, such as the price of a symbol.
    ///
    /// If the topic is conflated ([`Overflow::Conflate`]), the message replaces one with the same key that waits for a
    /// slow subscriber. So that subscriber misses only values that were no longer the latest, as long as it lags behind
    /// with at most [`max_waiting`](TopicSettings::max_waiting) keys. Otherwise this is the same as
    /// [`publish`](Topic::publish). The key is not sent to subscribers. To make it once for many messages, clone an
    /// `Arc<str>`.
    ///
    /// ```
    /// # use ropeway::{Overflow, PublishError, Topic};
    /// let prices = Topic::with_overflow(Overflow::Conflate);
    /// prices.publish_keyed("ACME", "ACME 123.45")?;
    /// # Ok::<(), PublishError>(())
    /// ```
    pub fn publish_keyed(
        &self,
        key: impl Into<Arc<str>>,
        message: impl Into<Prepared>,
    ) -> Result<Published, PublishError> {
        self.pass_on(&message.into(), To { key: Some(&key.into()), ..To::default() })
    }

    fn pass_on(&self, message: &Prepared, to: To<'_>) -> Result<Published, PublishError> {
        match self.table.named() {
            None => self.table.publish(message, to, || heard(message)).map(Published::here),
            Some(named) => named.publish(message, to),
        }
    }

    /// Sends a message to all subscribers, once no event loop or task that sends to them is behind. It does not wait for an
    /// engine.
    ///
    /// Cancel safe: if it is dropped before it is done, the message is not published at all. It fails only as
    /// [`Topic::publish`] does for reasons other than [`PublishError::Full`].
    pub async fn publish_wait(&self, message: impl Into<Prepared>) -> Result<Published, PublishError> {
        self.publish_once_there_is_room(&message.into(), To::default()).await
    }

    /// Sends a message to all subscribers but one, see [`publish_except`](Topic::publish_except), once no event loop or
    /// task that sends to them is behind. Cancel safe, as [`publish_wait`](Topic::publish_wait) is.
    pub async fn publish_except_wait(
        &self,
        except: ConnectionId,
        message: impl Into<Prepared>,
    ) -> Result<Published, PublishError> {
        self.publish_once_there_is_room(&message.into(), To { except: Some(except), ..To::default() }).await
    }

    /// Sends the latest value of a key to all subscribers, see [`publish_keyed`](Topic::publish_keyed), once no event
    /// loop or task that sends to them is behind. Cancel safe, as [`publish_wait`](Topic::publish_wait) is.
    pub async fn publish_keyed_wait(
        &self,
        key: impl Into<Arc<str>>,
        message: impl Into<Prepared>,
    ) -> Result<Published, PublishError> {
        self.publish_once_there_is_room(&message.into(), To { key: Some(&key.into()), ..To::default() }).await
    }

    async fn publish_once_there_is_room(&self, message: &Prepared, to: To<'_>) -> Result<Published, PublishError> {
        poll_fn(|cx| {
            if !self.table.has_room(cx) {
                return Poll::Pending;
            }
            match self.pass_on(message, to) {
                // Another thread has published in the meantime.
                Err(PublishError::Full) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                done => Poll::Ready(done),
            }
        })
        .await
    }

    /// Sends a message to the subscribers of this process alone: not to other nodes, not to listeners, and not into the
    /// history. Returns the number of subscribers. This is right for news of this node, such as that messages may be
    /// missing.
    pub fn publish_here(&self, message: impl Into<Prepared>) -> Result<usize, PublishError> {
        self.table.publish_to_subscribers(&message.into())
    }

    /// Listens to the topic in the program itself.
    pub fn listen(&self) -> Listening {
        Listening::new(&self.table)
    }

    /// Waits until it is known how far the publications come from that are heard here. That is at once, unless the topic has
    /// an engine that is not yet subscribed for it.
    ///
    /// Cancel safe.
    pub async fn reach(&self) -> Reach {
        self.table.reach().await
    }

    /// The topic's name, if it has one.
    pub fn name(&self) -> Option<&Name> {
        self.table.named().map(|named| named.name())
    }

    /// The position of the last message, if there is history and the position is known.
    pub fn position(&self) -> Option<Position> {
        self.table.named().and_then(|named| named.position())
    }

    /// The number of subscribers.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are no subscribers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    pub(crate) fn of(table: Counted) -> Self {
        Self { table }
    }

    pub(crate) fn counted(&self) -> &Counted {
        &self.table
    }
}

impl Default for Topic {
    fn default() -> Self {
        Self::with_settings(TopicSettings::default())
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut topic = f.debug_struct("Topic");
        if let Some(name) = self.name() {
            topic.field("name", name);
        }
        topic.field("subscribers", &self.len()).finish()
    }
}

/// A message for the listeners of a topic without history.
fn heard(message: &Prepared) -> Heard {
    Heard::Message { message: message.message().clone(), position: None }
}
