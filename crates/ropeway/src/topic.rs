//! Topics: one message for many connections. What a message for everyone costs is paid once, as far as it can be; for each
//! subscriber remains one write.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ropeway_proto::Prepared;
use slab::Slab;

#[cfg(unix)]
use crate::event_loop::Mailbox;
use crate::link::Link;
use crate::sender::Sender;

/// Something that connections subscribe to, to hear what is published there. Cloning it gives another handle to the same topic.
///
/// Messages of one topic reach a subscriber in the order in which they were published. What a subscriber has no room for is
/// treated by its [`Overflow`](crate::Overflow) policy; nobody else waits for it. A subscription ends with its connection.
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
/// news.publish("it rains");
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Topic {
    shared: Arc<Shared>,
}

/// A subscription, as the subscriber keeps it.
#[derive(Debug)]
pub(crate) struct Subscription {
    topic: Topic,
    place: Place,
}

/// Messages that were published together, on their way to an event loop.
#[cfg(unix)]
pub(crate) struct Publication {
    pub(crate) topic: Topic,
    pub(crate) number: u64,
    pub(crate) message: Prepared,
}

/// A subscriber on an event loop: its key there, and how many messages had been published before it came.
#[cfg(unix)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscriber {
    pub(crate) key: u32,
    pub(crate) since: u64,
}

#[derive(Default)]
struct Shared {
    subscribers: Mutex<Subscribers>,
}

#[derive(Default)]
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
struct OnLoop {
    mailbox: Arc<Mailbox>,
    subscribers: Slab<Subscriber>,
}

/// Where a topic keeps a subscriber.
#[derive(Clone, Copy, Debug)]
enum Place {
    Other(usize),
    #[cfg(unix)]
    Loop {
        index: usize,
        key: usize,
    },
}

impl Topic {
    /// A topic without subscribers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has a connection hear what is published from now on. Doing so twice is once; a connection that is closed hears nothing.
    pub fn subscribe(&self, subscriber: &Sender) {
        subscriber.link().subscribe(self);
    }

    /// Has a connection hear nothing more of this topic.
    pub fn unsubscribe(&self, subscriber: &Sender) {
        subscriber.link().unsubscribe(self);
    }

    /// Sends a message to all subscribers. To send the same one at several topics, publish clones of one [`Prepared`].
    pub fn publish(&self, message: impl Into<Prepared>) {
        let message = message.into();
        let mut subscribers = self.lock();
        subscribers.published += 1;
        #[cfg(unix)]
        for (_, on_loop) in &subscribers.loops {
            let (topic, number) = (self.clone(), subscribers.published);
            on_loop.mailbox.publish(Publication { topic, number, message: message.clone() });
        }
        let others: Vec<_> = subscribers.others.iter().map(|(_, link)| Arc::clone(link)).collect();
        drop(subscribers);
        for link in others {
            // One that is closing or full is no reason to keep it from the others.
            let _ = link.send_prepared(message.clone());
        }
    }

    /// How many subscribers there are.
    pub fn len(&self) -> usize {
        let subscribers = self.lock();
        #[cfg(unix)]
        let on_loops: usize = subscribers.loops.iter().map(|(_, on_loop)| on_loop.subscribers.len()).sum();
        #[cfg(not(unix))]
        let on_loops = 0;
        on_loops + subscribers.others.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The subscriber's side. None of this takes a [`Link`]'s lock, so it may be done under it.
impl Topic {
    /// Takes in a connection that no event loop drives, or not yet.
    pub(crate) fn admit(&self, link: Arc<Link>) -> Subscription {
        let place = Place::Other(self.lock().others.insert(link));
        Subscription { topic: self.clone(), place }
    }

    /// Takes in a connection that an event loop drives.
    #[cfg(unix)]
    pub(crate) fn admit_on_loop(&self, mailbox: &Arc<Mailbox>, key: u32) -> Subscription {
        let place = self.lock().insert(mailbox, key);
        Subscription { topic: self.clone(), place }
    }

    fn lock(&self) -> MutexGuard<'_, Subscribers> {
        self.shared.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    pub(crate) fn is_of(&self, topic: &Topic) -> bool {
        Arc::ptr_eq(&self.topic.shared, &topic.shared)
    }

    /// An event loop drives the subscriber from now on. It misses nothing and hears nothing twice.
    #[cfg(unix)]
    pub(crate) fn move_to_loop(&mut self, mailbox: &Arc<Mailbox>, key: u32) {
        let mut subscribers = self.topic.lock();
        let link = subscribers.remove(self.place);
        self.place = subscribers.insert(mailbox, key);
        drop(subscribers);
        drop(link);
    }

    /// Ends it.
    pub(crate) fn end(self) {
        let link = self.topic.lock().remove(self.place);
        drop(link);
    }
}

impl Subscribers {
    #[cfg(unix)]
    fn insert(&mut self, mailbox: &Arc<Mailbox>, key: u32) -> Place {
        let subscriber = Subscriber { key, since: self.published };
        let known = self.loops.iter().find(|(_, on_loop)| Arc::ptr_eq(&on_loop.mailbox, mailbox));
        let index = match known {
            Some((index, _)) => index,
            None => self.loops.insert(OnLoop { mailbox: Arc::clone(mailbox), subscribers: Slab::new() }),
        };
        Place::Loop { index, key: self.loops[index].subscribers.insert(subscriber) }
    }

    /// Gives what is not to be dropped under the lock.
    fn remove(&mut self, place: Place) -> Option<Arc<Link>> {
        match place {
            Place::Other(key) => self.others.try_remove(key),
            #[cfg(unix)]
            Place::Loop { index, key } => {
                let subscribers = &mut self.loops[index].subscribers;
                subscribers.try_remove(key);
                if subscribers.is_empty() {
                    self.loops.remove(index);
                }
                None
            }
        }
    }
}

/// The event loop's side.
#[cfg(unix)]
impl Publication {
    /// Whether it is of the same topic.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.topic.shared, &other.topic.shared)
    }

    /// Who hears of the topic on this loop.
    pub(crate) fn subscribers(&self, mailbox: &Arc<Mailbox>, found: &mut Vec<Subscriber>) {
        let subscribers = self.topic.lock();
        let on_loop = subscribers.loops.iter().find(|(_, on_loop)| Arc::ptr_eq(&on_loop.mailbox, mailbox));
        found.clear();
        found.extend(
            on_loop.into_iter().flat_map(|(_, on_loop)| on_loop.subscribers.iter().map(|(_, subscriber)| *subscriber)),
        );
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic").field("subscribers", &self.len()).finish()
    }
}
