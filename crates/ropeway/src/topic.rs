//! Topics: one message for many connections. What a message for everyone costs is paid once, as far as it can be; for each
//! subscriber remains one write.

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use ropeway_proto::Prepared;
use slab::Slab;

use crate::ahead::{self, Behind};
#[cfg(unix)]
use crate::event_loop::{self, Mailbox};
use crate::link::Link;
use crate::overflow::Overflow;
use crate::sender::Sender;
use crate::subscription::{Place, Subscription};

/// Something that connections subscribe to, to hear what is published there. Cloning it gives another handle to the same topic.
///
/// Messages of one topic reach a subscriber in the order in which they were published. What one thread does in order, a
/// subscriber sees in order: messages that it publishes, messages that it sends to the subscriber alone, and its close. A
/// subscription ends with its connection.
///
/// **Slow subscribers.** Nobody waits for one. When `max_buffered` bytes wait for a subscriber, there is no room for a message,
/// and nobody to be told as there is where [`Sender::send`] fails. So by default the subscriber is closed with 1013, try again
/// later. [`Topic::with_overflow`], or the policy of the route or the server, can have such messages dropped instead; they are
/// counted ([`Sender::dropped`]), and the first is logged.
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
///     all.subscribe(ws);
/// });
/// // From anywhere:
/// news.publish("it rains").ok();
/// # }
/// ```
#[derive(Clone)]
pub struct Topic {
    table: Arc<Table>,
}

/// Why a message was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// Too much waits to be sent to the subscribers: the publisher is faster than they can be written to. Nobody was sent the
    /// message.
    Full,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str(
                "the message was not published: those published before it still wait to be sent; publish more slowly, or wait for room with `publish_wait`",
            ),
        }
    }
}

impl std::error::Error for PublishError {}

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

    /// Has a connection hear what is published from now on. Doing so twice is once; a connection that is closed hears nothing.
    pub fn subscribe(&self, subscriber: &Sender) {
        subscriber.link().subscribe(self);
    }

    /// Has a connection hear nothing more of this topic than what was published before.
    pub fn unsubscribe(&self, subscriber: &Sender) {
        subscriber.link().unsubscribe(self);
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
        self.table.lock().len()
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

/// A message that was published, on its way to an event loop.
#[cfg(unix)]
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    table: Arc<Table>,
    /// Which message of the topic it is.
    pub(crate) number: u64,
    /// Which publication of the loop it is.
    pub(crate) sequence: u64,
    pub(crate) message: Prepared,
    /// What sending it to the loop's subscribers costs, in bytes: its own, and [`WORK`] for each of them.
    pub(crate) work: usize,
}

/// What sending a message to a subscriber costs, in bytes that could have been copied in its place.
#[cfg(unix)]
const WORK: usize = 64;

/// A subscriber on an event loop.
#[cfg(unix)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscriber {
    /// Its key there.
    pub(crate) key: u32,
    /// The number of the last message that it was sent, or that was published before it came.
    pub(crate) since: u64,
    /// The number of the last message that it is to be sent: those published after it unsubscribed are not for it.
    pub(crate) until: u64,
}

/// The subscribers of a topic.
#[derive(Debug)]
pub(crate) struct Table {
    /// No other topic has it.
    id: u64,
    overflow: Option<Overflow>,
    subscribers: Mutex<Subscribers>,
}

#[derive(Debug, Default)]
struct Subscribers {
    /// How many messages were published.
    published: u64,
    /// Those on event loops that have any: a message is handed to each loop once.
    #[cfg(unix)]
    loops: Slab<OnLoop>,
    /// All others, each of whom is sent the message.
    others: Slab<Arc<Link>>,
}

#[cfg(unix)]
#[derive(Debug)]
struct OnLoop {
    mailbox: Arc<Mailbox>,
    subscribers: Slab<Subscriber>,
    /// How many of them have unsubscribed, and hear only what was published before.
    leaving: usize,
}

impl Table {
    fn new(overflow: Option<Overflow>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), overflow, subscribers: Mutex::default() }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn overflow(&self) -> Option<Overflow> {
        self.overflow
    }

    fn publish(self: &Arc<Self>, message: &Prepared) -> Result<usize, PublishError> {
        let waits = ahead::can_wait();
        let mut subscribers = self.lock();
        #[cfg(unix)]
        {
            // All or nothing: none of the loops has it yet.
            if subscribers.loops.iter().any(|(_, on_loop)| on_loop.mailbox.is_full(waits)) {
                return Err(PublishError::Full);
            }
            subscribers.published += 1;
            for (_, on_loop) in &subscribers.loops {
                on_loop.mailbox.publish(Publication {
                    table: Arc::clone(self),
                    number: subscribers.published,
                    sequence: 0,
                    message: message.clone(),
                    work: message.message().len() + WORK * on_loop.subscribers.len(),
                });
                if waits && on_loop.mailbox.is_behind() {
                    ahead::note(Behind::Loop(Arc::clone(&on_loop.mailbox)));
                }
            }
            if !subscribers.loops.is_empty() {
                event_loop::note_published();
            }
        }
        let count = subscribers.len();
        let others: Vec<_> = subscribers.others.iter().map(|(_, link)| Arc::clone(link)).collect();
        drop(subscribers);
        for link in others {
            if link.publish(message.clone(), self.overflow) && waits {
                ahead::note(Behind::Task(link));
            }
        }
        Ok(count)
    }

    /// Whether no loop is behind and no subscriber's task late; else the task is woken when one no longer is.
    fn has_room(&self, cx: &std::task::Context<'_>) -> bool {
        let subscribers = self.lock();
        #[cfg(unix)]
        if !subscribers.loops.iter().all(|(_, on_loop)| on_loop.mailbox.wait_for_room(cx.waker())) {
            return false;
        }
        let others: Vec<_> = subscribers.others.iter().map(|(_, link)| Arc::clone(link)).collect();
        drop(subscribers);
        others.iter().all(|link| link.wait_for_turn(cx.waker()))
    }

    fn lock(&self) -> MutexGuard<'_, Subscribers> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The subscriber's side. None of this takes a [`Link`]'s lock, so it may be done under it.
impl Table {
    /// Takes in a connection that no event loop drives, or not yet.
    pub(crate) fn admit(self: &Arc<Self>, link: Arc<Link>) -> Subscription {
        let place = Place::Other(self.lock().others.insert(link));
        Subscription::new(self, place)
    }

    /// Takes in a connection that an event loop drives.
    #[cfg(unix)]
    pub(crate) fn admit_on_loop(self: &Arc<Self>, mailbox: &Arc<Mailbox>, key: u32) -> Subscription {
        let place = self.lock().insert(mailbox, key);
        Subscription::new(self, place)
    }

    /// An event loop drives the subscriber from now on. It misses nothing and hears nothing twice. The link, if there was one, is
    /// not to be dropped under a lock.
    #[cfg(unix)]
    pub(crate) fn move_to_loop(&self, place: &mut Place, mailbox: &Arc<Mailbox>, key: u32) -> Option<Arc<Link>> {
        let mut subscribers = self.lock();
        let link = subscribers.remove(*place);
        *place = subscribers.insert(mailbox, key);
        link
    }

    /// Nothing that is published from now on is for this subscriber.
    #[cfg(unix)]
    pub(crate) fn leave(&self, place: Place) {
        let mut subscribers = self.lock();
        let published = subscribers.published;
        if let Some((on_loop, key)) = subscribers.on_loop(place)
            && let Some(subscriber) = on_loop.subscribers.get_mut(key)
            && subscriber.until == u64::MAX
        {
            subscriber.until = published;
            on_loop.leaving += 1;
        }
    }

    /// Whether a message is for this subscriber and was not yet sent to it. If so, it is sent now.
    #[cfg(unix)]
    pub(crate) fn hears(&self, place: Place, number: u64) -> bool {
        let mut subscribers = self.lock();
        let Some((on_loop, key)) = subscribers.on_loop(place) else { return false };
        on_loop.subscribers.get_mut(key).is_some_and(|subscriber| {
            let hears = subscriber.hears(number);
            subscriber.since = subscriber.since.max(number);
            hears
        })
    }

    /// Ends a subscription. The link, if there was one, is not to be dropped under a lock.
    pub(crate) fn remove(&self, place: Place) -> Option<Arc<Link>> {
        self.lock().remove(place)
    }
}

impl Subscribers {
    fn len(&self) -> usize {
        #[cfg(unix)]
        let on_loops: usize = self.loops.iter().map(|(_, on_loop)| on_loop.subscribers.len() - on_loop.leaving).sum();
        #[cfg(not(unix))]
        let on_loops = 0;
        on_loops + self.others.len()
    }

    #[cfg(unix)]
    fn on_loop(&mut self, place: Place) -> Option<(&mut OnLoop, usize)> {
        match place {
            Place::Other(_) => None,
            Place::Loop { index, key } => Some((self.loops.get_mut(index as usize)?, key as usize)),
        }
    }

    #[cfg(unix)]
    fn insert(&mut self, mailbox: &Arc<Mailbox>, key: u32) -> Place {
        let subscriber = Subscriber { key, since: self.published, until: u64::MAX };
        let known = self.loops.iter().find(|(_, on_loop)| Arc::ptr_eq(&on_loop.mailbox, mailbox));
        let index = if let Some((index, _)) = known {
            index
        } else {
            let mailbox = Arc::clone(mailbox);
            self.loops.insert(OnLoop { mailbox, subscribers: Slab::new(), leaving: 0 })
        };
        // There are fewer loops and fewer open files than that.
        Place::Loop { index: index as u32, key: self.loops[index].subscribers.insert(subscriber) as u32 }
    }

    /// Returns what is not to be dropped under the lock.
    fn remove(&mut self, place: Place) -> Option<Arc<Link>> {
        match place {
            Place::Other(key) => self.others.try_remove(key),
            #[cfg(unix)]
            Place::Loop { index, key } => {
                let on_loop = self.loops.get_mut(index as usize)?;
                if on_loop.subscribers.try_remove(key as usize).is_some_and(|subscriber| subscriber.until != u64::MAX) {
                    on_loop.leaving -= 1;
                }
                if on_loop.subscribers.is_empty() {
                    self.loops.remove(index as usize);
                }
                None
            }
        }
    }
}

#[cfg(unix)]
impl Subscriber {
    /// Whether the message of this number is for it and was not yet sent to it.
    pub(crate) fn hears(&self, number: u64) -> bool {
        self.since < number && number <= self.until
    }
}

/// The event loop's side.
#[cfg(unix)]
impl Publication {
    /// Whether it is of the same topic.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.table.id == other.table.id
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// The length of its payload.
    pub(crate) fn len(&self) -> usize {
        self.message.message().len()
    }

    /// Finds at most `most` subscribers on this loop, from a place on, that are sent this topic's messages up to number `last`
    /// now. Returns where to go on; `None` after the last subscriber.
    pub(crate) fn subscribers(
        &self,
        mailbox: &Mailbox,
        from: usize,
        last: u64,
        most: usize,
        found: &mut Vec<Subscriber>,
    ) -> Option<usize> {
        let mut subscribers = self.table.lock();
        let (_, on_loop) =
            subscribers.loops.iter_mut().find(|(_, on_loop)| std::ptr::eq(&raw const *on_loop.mailbox, mailbox))?;
        if from == 0 && on_loop.leaving > 0 {
            // A connection that has unsubscribed and come back is there twice, and what it hears for the first time comes first.
            let leaving = on_loop.subscribers.iter_mut().map(|(_, subscriber)| subscriber);
            for subscriber in leaving.filter(|subscriber| subscriber.until != u64::MAX && subscriber.since < last) {
                found.push(*subscriber);
                subscriber.since = last;
            }
        }
        for place in from..on_loop.subscribers.capacity() {
            let Some(subscriber) = on_loop.subscribers.get_mut(place) else { continue };
            if subscriber.since >= last {
                continue;
            }
            if found.len() >= most {
                return Some(place);
            }
            found.push(*subscriber);
            subscriber.since = last;
        }
        None
    }
}
