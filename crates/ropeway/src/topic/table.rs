//! The subscribers of a topic: those that an event loop carries by loop, and all others one by one.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;

use ropeway_proto::Prepared;
use slab::Slab;

use super::ahead::{self, Behind};
use super::member::Member;
#[cfg(unix)]
use crate::event_loop::{self, Audience, Mailbox, Publication, Subscriber};
use crate::overflow::Overflow;

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

/// The cost of sending a message to a subscriber, in bytes that could have been copied in the same time.
#[cfg(unix)]
const WORK: usize = 64;

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
    #[cfg(unix)]
    published: u64,
    /// Those on event loops that have any: a message is handed to each loop once.
    #[cfg(unix)]
    loops: Slab<OnLoop>,
    /// All others: each is handed the message by itself.
    others: Slab<Arc<dyn Member>>,
}

/// Where a topic keeps a subscriber.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Other(usize),
    #[cfg(unix)]
    Loop {
        index: u32,
        key: u32,
    },
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
    pub(super) fn new(overflow: Option<Overflow>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), overflow, subscribers: Mutex::default() }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn publish(self: &Arc<Self>, message: &Prepared) -> Result<usize, PublishError> {
        let waits = ahead::can_wait();
        #[cfg_attr(not(unix), expect(unused_mut, reason = "only loops are counted"))]
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
                    audience: Arc::clone(self) as Arc<dyn Audience>,
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
        let others: Vec<_> = subscribers.others.iter().map(|(_, member)| Arc::clone(member)).collect();
        drop(subscribers);
        for member in others {
            if member.publish(message.clone(), self.overflow) && waits {
                ahead::note(Behind::Task(member));
            }
        }
        Ok(count)
    }

    /// Whether no loop is behind and no subscriber's task late; else the task is woken when one no longer is.
    pub(super) fn has_room(&self, cx: &Context<'_>) -> bool {
        let subscribers = self.lock();
        #[cfg(unix)]
        if !subscribers.loops.iter().all(|(_, on_loop)| on_loop.mailbox.wait_for_room(cx.waker())) {
            return false;
        }
        let others: Vec<_> = subscribers.others.iter().map(|(_, member)| Arc::clone(member)).collect();
        drop(subscribers);
        others.iter().all(|member| member.wait_for_turn(cx.waker()))
    }

    /// How many subscribers there are.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Subscribers> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The subscriber's side. None of this takes the lock of a [`Member`], so it may be done under it.
impl Table {
    /// Takes in a connection that no event loop drives, or not yet.
    pub(super) fn admit(&self, member: Arc<dyn Member>) -> Place {
        Place::Other(self.lock().others.insert(member))
    }

    /// Takes in a connection that an event loop drives.
    #[cfg(unix)]
    pub(super) fn admit_on_loop(&self, mailbox: &Arc<Mailbox>, key: u32) -> Place {
        self.lock().insert(mailbox, key)
    }

    /// An event loop drives the subscriber from now on. It misses nothing and hears nothing twice. The member, if there was one, is
    /// not to be dropped under a lock.
    #[cfg(unix)]
    pub(super) fn move_to_loop(&self, place: &mut Place, mailbox: &Arc<Mailbox>, key: u32) -> Option<Arc<dyn Member>> {
        let mut subscribers = self.lock();
        let member = subscribers.remove(*place);
        *place = subscribers.insert(mailbox, key);
        member
    }

    /// Nothing that is published from now on is for this subscriber.
    #[cfg(unix)]
    pub(super) fn leave(&self, place: Place) {
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
    pub(super) fn hears(&self, place: Place, number: u64) -> bool {
        let mut subscribers = self.lock();
        let Some((on_loop, key)) = subscribers.on_loop(place) else { return false };
        on_loop.subscribers.get_mut(key).is_some_and(|subscriber| {
            let hears = subscriber.hears(number);
            subscriber.since = subscriber.since.max(number);
            hears
        })
    }

    /// Ends a subscription. The member, if there was one, is not to be dropped under a lock.
    pub(super) fn remove(&self, place: Place) -> Option<Arc<dyn Member>> {
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
    fn remove(&mut self, place: Place) -> Option<Arc<dyn Member>> {
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

/// The event loop's side.
#[cfg(unix)]
impl Audience for Table {
    fn id(&self) -> u64 {
        self.id
    }

    fn overflow(&self) -> Option<Overflow> {
        self.overflow
    }

    fn on_loop(&self, loop_id: u64, from: usize, last: u64, most: usize, found: &mut Vec<Subscriber>) -> Option<usize> {
        let mut subscribers = self.lock();
        let (_, on_loop) = subscribers.loops.iter_mut().find(|(_, on_loop)| on_loop.mailbox.id() == loop_id)?;
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
