//! The subscribers of a topic. Those on event loops are grouped by loop, all others are listed one by one.

#[cfg(unix)]
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Context;

use ropeway_proto::Prepared;
use slab::Slab;

use super::ahead::{self, Behind};
use super::feed::Feed;
use super::heard::Heard;
use super::member::Member;
use super::named::Named;
use super::post::{Post, To};
use super::published::{PublishError, Reach};
use crate::connection_id::ConnectionId;
#[cfg(unix)]
use crate::event_loop::{self, Audience, Mailbox, Publication, Subscriber};
use crate::overflow::TopicSettings;

/// The cost of sending a message to a subscriber, as a number of bytes that could be copied in the same time.
#[cfg(unix)]
const WORK: usize = 64;

/// An entry of a `Slab`, which is free or taken. That type is private, so this one stands for its size.
#[expect(dead_code, reason = "only its size is used")]
enum Entry<T> {
    Vacant(usize),
    Occupied(T),
}

/// The subscribers of a topic.
#[derive(Debug)]
pub(crate) struct Table {
    /// The number of the topic. No other topic has it or will have it.
    number: u64,
    settings: TopicSettings,
    named: Option<Arc<dyn Named>>,
    subscribers: Mutex<Subscribers>,
}

#[derive(Debug, Default)]
struct Subscribers {
    /// The number of messages published so far.
    #[cfg(unix)]
    published: u64,
    /// The subscribers on event loops, by loop. A message is passed to each loop once.
    #[cfg(unix)]
    loops: Slab<OnLoop>,
    /// All other subscribers. A message is passed to each of them.
    others: Slab<Arc<dyn Member>>,
    /// Listeners in the program itself.
    listeners: Slab<Arc<Feed<Heard>>>,
}

/// The place of a subscriber in the table.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Other(u32),
    #[cfg(unix)]
    Loop {
        index: u32,
        place: u32,
    },
}

#[cfg(unix)]
#[derive(Debug)]
struct OnLoop {
    mailbox: Arc<Mailbox>,
    seats: Slab<Seat>,
    /// Those that have unsubscribed, and the number of the last message for each: that of the last one that was
    /// published before.
    leaving: BTreeMap<u32, u64>,
}

/// A subscriber on a loop. Each subscription has one, so it is small.
#[cfg(unix)]
#[derive(Debug)]
struct Seat {
    id: ConnectionId,
    /// The number of the last message that it was sent, or that was published before it subscribed.
    since: u64,
    /// Its key on the loop.
    key: u32,
    is_leaving: bool,
}

impl Table {
    /// The bytes of a subscriber in the table.
    #[cfg(unix)]
    pub(super) const SEAT: usize = size_of::<Entry<Seat>>();
    #[cfg(not(unix))]
    pub(super) const SEAT: usize = size_of::<Entry<Arc<dyn Member>>>();

    pub(super) fn new(settings: TopicSettings) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { number, settings, named: None, subscribers: Mutex::default() }
    }

    /// The table of a topic with a name, which has a reference to it.
    pub(crate) fn of_named(settings: TopicSettings, name: impl FnOnce(Weak<Self>) -> Arc<dyn Named>) -> Arc<Self> {
        Arc::new_cyclic(|table| Self { named: Some(name(table.clone())), ..Self::new(settings) })
    }

    pub(crate) fn named(&self) -> Option<&Arc<dyn Named>> {
        self.named.as_ref()
    }

    /// The address of the topic. No other topic has it, as long as anything refers to this one.
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Sends a message to the subscribers of this process, and `heard` to the listeners. Returns the number of subscribers
    /// that it is for. See [`Topic::publish`](super::Topic::publish).
    pub(crate) fn publish(
        self: &Arc<Self>,
        message: &Prepared,
        to: To<'_>,
        heard: impl FnOnce() -> Heard,
    ) -> Result<usize, PublishError> {
        self.pass_on(message, to, Some(heard))
    }

    /// Sends a message to the subscribers of this process, and not to the listeners.
    pub(crate) fn publish_to_subscribers(self: &Arc<Self>, message: &Prepared) -> Result<usize, PublishError> {
        self.pass_on(message, To::default(), None::<fn() -> Heard>)
    }

    fn pass_on(
        self: &Arc<Self>,
        message: &Prepared,
        To { except, key }: To<'_>,
        heard: Option<impl FnOnce() -> Heard>,
    ) -> Result<usize, PublishError> {
        let waits = ahead::can_wait();
        #[cfg_attr(not(unix), expect(unused_mut, reason = "only loops are counted"))]
        let mut subscribers = self.lock();
        #[cfg(unix)]
        {
            // If one loop has no room, none of them gets the message.
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
                    except,
                    key: key.cloned(),
                    work: message.message().len() + WORK * on_loop.seats.len(),
                });
                if waits && on_loop.mailbox.is_behind() {
                    ahead::note(Behind::Loop(Arc::clone(&on_loop.mailbox)));
                }
            }
            if !subscribers.loops.is_empty() {
                event_loop::note_published();
            }
        }
        let missing = except.is_some_and(|id| subscribers.contains(id));
        let count = subscribers.len() - usize::from(missing);
        let others: Vec<_> = subscribers.others.iter().map(|(_, member)| Arc::clone(member)).collect();
        let listeners = subscribers.listeners();
        drop(subscribers);
        if let Some(heard) = heard.filter(|_| !listeners.is_empty()) {
            let heard = heard();
            for listener in &listeners {
                listener.push(heard.clone());
            }
        }
        let post = Post { message, key, topic: self.number, settings: self.settings };
        for member in others {
            if except.is_some_and(|id| id == member.id()) {
                continue;
            }
            if member.publish(&post) && waits {
                ahead::note(Behind::Task(member));
            }
        }
        Ok(count)
    }

    /// Tells the listeners that messages may be missing here.
    pub(crate) fn tell_gap(&self) {
        let listeners = self.lock().listeners();
        for listener in listeners {
            listener.push(Heard::Gap);
        }
    }

    /// Whether no loop is behind and no subscriber's task is late. Otherwise the task is woken when one of them no
    /// longer is.
    pub(crate) fn has_room(&self, cx: &Context<'_>) -> bool {
        let subscribers = self.lock();
        #[cfg(unix)]
        if !subscribers.loops.iter().all(|(_, on_loop)| on_loop.mailbox.wait_for_room(cx.waker())) {
            return false;
        }
        let others: Vec<_> = subscribers.others.iter().map(|(_, member)| Arc::clone(member)).collect();
        drop(subscribers);
        others.iter().all(|member| member.wait_for_turn(cx.waker()))
    }

    /// The number of subscribers for which there is room in the lists.
    #[cfg(all(test, unix))]
    pub(super) fn room(&self) -> usize {
        let subscribers = self.lock();
        let on_loops: usize = subscribers.loops.iter().map(|(_, on_loop)| on_loop.seats.capacity()).sum();
        on_loops + subscribers.others.capacity()
    }

    /// Waits until it is known how far the publications come from that are heard here.
    pub(crate) async fn reach(&self) -> Reach {
        match &self.named {
            None => Reach::Process,
            Some(named) => named.reach().await,
        }
    }

    /// The number of subscribers.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are subscribers or listeners.
    pub(crate) fn is_heard(&self) -> bool {
        self.lock().is_heard()
    }

    pub(super) fn admit_listener(&self, feed: Arc<Feed<Heard>>) -> usize {
        self.change(|subscribers| subscribers.listeners.insert(feed))
    }

    pub(super) fn remove_listener(&self, place: usize) {
        drop(self.change(|subscribers| subscribers.listeners.try_remove(place)));
    }

    /// Changes the subscribers. If a first one has come or the last one has gone, the topic's name is told.
    fn change<T>(&self, change: impl FnOnce(&mut Subscribers) -> T) -> T {
        let mut subscribers = self.lock();
        let Some(named) = &self.named else { return change(&mut subscribers) };
        let was_heard = subscribers.is_heard();
        let result = change(&mut subscribers);
        let is_heard = subscribers.is_heard();
        drop(subscribers);
        if was_heard != is_heard {
            named.note_audience();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Subscribers> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For subscribers. None of this takes the lock of a [`Member`], so it may be called while that is held.
impl Table {
    /// Adds a connection that no event loop drives, or not yet.
    pub(super) fn admit(&self, member: Arc<dyn Member>) -> Place {
        // There are fewer connections than `u32` can count.
        Place::Other(self.change(|subscribers| subscribers.others.insert(member)) as u32)
    }

    /// Adds a connection that an event loop drives.
    #[cfg(unix)]
    pub(super) fn admit_on_loop(&self, id: ConnectionId, mailbox: &Arc<Mailbox>, key: u32) -> Place {
        self.change(|subscribers| subscribers.insert(id, mailbox, key))
    }

    /// Notes that an event loop drives the subscriber from now on. It misses no message and gets none twice. If there
    /// was a member, it must not be dropped under a lock.
    #[cfg(unix)]
    pub(super) fn move_to_loop(
        &self,
        place: &mut Place,
        id: ConnectionId,
        mailbox: &Arc<Mailbox>,
        key: u32,
    ) -> Option<Arc<dyn Member>> {
        let mut subscribers = self.lock();
        let member = subscribers.remove(*place);
        *place = subscribers.insert(id, mailbox, key);
        member
    }

    /// Notes that the subscriber gets no message that is published from now on.
    #[cfg(unix)]
    pub(super) fn leave(&self, place: Place) {
        self.change(|subscribers| {
            let published = subscribers.published;
            if let Some((on_loop, place)) = subscribers.on_loop(place)
                && let Some(seat) = on_loop.seats.get_mut(place as usize)
                && !seat.is_leaving
            {
                seat.is_leaving = true;
                on_loop.leaving.insert(place, published);
            }
        });
    }

    /// Whether a message is for this subscriber and was not sent to it yet. If so, it counts as sent from now on.
    #[cfg(unix)]
    pub(super) fn hears(&self, place: Place, number: u64) -> bool {
        let mut subscribers = self.lock();
        let Some((OnLoop { seats, leaving, .. }, place)) = subscribers.on_loop(place) else { return false };
        seats.get_mut(place as usize).is_some_and(|seat| {
            let hears = seat.subscriber(place, leaving).hears(number);
            seat.since = seat.since.max(number);
            hears
        })
    }

    /// Removes a subscription. If there was a member, it must not be dropped under a lock.
    pub(super) fn remove(&self, place: Place) -> Option<Arc<dyn Member>> {
        self.change(|subscribers| subscribers.remove(place))
    }
}

#[cfg(unix)]
impl Seat {
    /// The subscriber as the loop sees it, given the subscriber's place and those that are leaving.
    fn subscriber(&self, place: u32, leaving: &BTreeMap<u32, u64>) -> Subscriber {
        let until = if self.is_leaving { leaving.get(&place).copied() } else { None };
        Subscriber { key: self.key, since: self.since, until: until.unwrap_or(u64::MAX) }
    }
}

impl Subscribers {
    fn is_heard(&self) -> bool {
        !self.listeners.is_empty() || self.len() > 0
    }

    fn listeners(&self) -> Vec<Arc<Feed<Heard>>> {
        self.listeners.iter().map(|(_, feed)| Arc::clone(feed)).collect()
    }

    fn len(&self) -> usize {
        #[cfg(unix)]
        let on_loops: usize = self.loops.iter().map(|(_, on_loop)| on_loop.seats.len() - on_loop.leaving.len()).sum();
        #[cfg(not(unix))]
        let on_loops = 0;
        on_loops + self.others.len()
    }

    /// Whether a connection is subscribed, and not leaving.
    fn contains(&self, id: ConnectionId) -> bool {
        #[cfg(unix)]
        if self.loops.iter().any(|(_, on_loop)| on_loop.seats.iter().any(|(_, seat)| seat.id == id && !seat.is_leaving))
        {
            return true;
        }
        self.others.iter().any(|(_, member)| member.id() == id)
    }

    #[cfg(unix)]
    fn on_loop(&mut self, place: Place) -> Option<(&mut OnLoop, u32)> {
        match place {
            Place::Other(_) => None,
            Place::Loop { index, place } => Some((self.loops.get_mut(index as usize)?, place)),
        }
    }

    #[cfg(unix)]
    fn insert(&mut self, id: ConnectionId, mailbox: &Arc<Mailbox>, key: u32) -> Place {
        let seat = Seat { id, since: self.published, key, is_leaving: false };
        let known = self.loops.iter().find(|(_, on_loop)| Arc::ptr_eq(&on_loop.mailbox, mailbox));
        let index = if let Some((index, _)) = known {
            index
        } else {
            let mailbox = Arc::clone(mailbox);
            self.loops.insert(OnLoop { mailbox, seats: Slab::new(), leaving: BTreeMap::new() })
        };
        // There are fewer loops, and fewer open files, than `u32` can count.
        Place::Loop { index: index as u32, place: self.loops[index].seats.insert(seat) as u32 }
    }

    /// Removes a subscriber. Returns the value that must not be dropped under the lock.
    fn remove(&mut self, place: Place) -> Option<Arc<dyn Member>> {
        match place {
            Place::Other(key) => self.others.try_remove(key as usize),
            #[cfg(unix)]
            Place::Loop { index, place } => {
                let on_loop = self.loops.get_mut(index as usize)?;
                if on_loop.seats.try_remove(place as usize).is_some_and(|seat| seat.is_leaving) {
                    on_loop.leaving.remove(&place);
                }
                if on_loop.seats.is_empty() {
                    self.loops.remove(index as usize);
                }
                None
            }
        }
    }
}

/// For the event loop.
#[cfg(unix)]
impl Audience for Table {
    fn address(&self) -> usize {
        self.address()
    }

    fn number(&self) -> u64 {
        self.number
    }

    fn settings(&self) -> TopicSettings {
        self.settings
    }

    fn on_loop(&self, loop_id: u64, from: usize, last: u64, most: usize, found: &mut Vec<Subscriber>) -> Option<usize> {
        let mut subscribers = self.lock();
        let (_, on_loop) = subscribers.loops.iter_mut().find(|(_, on_loop)| on_loop.mailbox.id() == loop_id)?;
        let OnLoop { seats, leaving, .. } = on_loop;
        if from == 0 {
            // If a connection has unsubscribed and subscribed again, it is there twice. The entry with the older
            // messages comes first.
            for place in leaving.keys() {
                let Some(seat) = seats.get_mut(*place as usize).filter(|seat| seat.since < last) else { continue };
                found.push(seat.subscriber(*place, leaving));
                seat.since = last;
            }
        }
        for place in from..seats.capacity() {
            let Some(seat) = seats.get_mut(place) else { continue };
            if seat.since >= last {
                continue;
            }
            if found.len() >= most {
                return Some(place);
            }
            found.push(seat.subscriber(place as u32, leaving));
            seat.since = last;
        }
        None
    }
}
