//! The named topics of a process: each is made when it is first used, and forgotten when nobody holds, hears or keeps it.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::time::Instant;

use super::form::Form;
use super::named::{Keeper, NamedTopic};
use super::uplink::Uplink;
use crate::engine::{History, Name};
use crate::overflow::TopicSettings;
use crate::topic::{Counted, Named, Table, Topic};

/// The names are spread over so many locks.
const SHARDS: usize = 16;

/// A function of the application that chooses something for a topic by its name.
pub(super) type ByName<T> = Box<dyn Fn(&Name) -> T + Send + Sync>;

/// The functions of the application that choose a topic's settings by its name.
pub(super) struct Choice {
    pub(super) settings: ByName<TopicSettings>,
    pub(super) history: ByName<Option<History>>,
}

/// The named topics of a process.
pub(super) struct Registry {
    itself: Weak<Self>,
    shards: [Mutex<Shard>; SHARDS],
    hasher: std::hash::RandomState,
    form: Arc<Form>,
    choice: Choice,
    pub(super) uplink: Option<Arc<Uplink>>,
    /// The number of the application's handles to the registry.
    handles: AtomicUsize,
}

#[derive(Default)]
struct Shard {
    topics: HashMap<Name, Known>,
    /// Topics that only their messages keep, with the time at which they may be forgotten. A time may be out of date.
    kept: VecDeque<(Instant, Name)>,
}

#[derive(Clone)]
struct Known {
    table: Arc<Table>,
    topic: Arc<NamedTopic>,
}

impl Registry {
    pub(super) fn new(form: Form, choice: Choice, uplink: Option<Arc<Uplink>>) -> Arc<Self> {
        Arc::new_cyclic(|itself| Self {
            itself: itself.clone(),
            shards: Default::default(),
            hasher: std::hash::RandomState::new(),
            form: Arc::new(form),
            choice,
            uplink,
            handles: AtomicUsize::new(0),
        })
    }

    /// Returns a handle to the topic of this name.
    pub(super) fn topic(&self, name: &Name) -> Topic {
        self.topic_and_named(name).0
    }

    /// Returns a handle to the topic of this name, and the part of it that has the members.
    pub(super) fn topic_and_named(&self, name: &Name) -> (Topic, Arc<NamedTopic>) {
        let found = {
            let shard = self.lock(name);
            shard.topics.get(name).map(Known::hold)
        };
        // The settings are chosen by a function of the application, which may ask for other topics.
        found.unwrap_or_else(|| self.make(name, (self.choice.settings)(name), (self.choice.history)(name)))
    }

    fn make(&self, name: &Name, settings: TopicSettings, history: Option<History>) -> (Topic, Arc<NamedTopic>) {
        let mut shard = self.lock(name);
        let forgotten = shard.forget_old(Instant::now());
        let topic = match shard.topics.entry(name.clone()) {
            Entry::Occupied(known) => known.get().hold(),
            Entry::Vacant(place) => {
                let keeper = self.itself.clone() as Weak<dyn Keeper>;
                let new = |table| {
                    let (name, uplink) = (name.clone(), self.uplink.as_ref());
                    Arc::new(NamedTopic::new(name, table, history, &self.form, uplink, keeper))
                };
                let mut topic = None;
                let table = Table::of_named(settings, |table| Arc::clone(topic.insert(new(table))) as Arc<dyn Named>);
                let topic = topic.expect("it was made with its table");
                place.insert(Known { table, topic }).hold()
            }
        };
        drop(shard);
        drop(forgotten);
        topic
    }

    /// Returns the topic of this name, if there is one.
    pub(super) fn find(&self, name: &Name) -> Option<(Arc<Table>, Arc<NamedTopic>)> {
        self.lock(name).topics.get(name).cloned().map(|known| (known.table, known.topic))
    }

    /// The names of all topics that somebody hears.
    pub(super) fn heard(&self) -> Vec<Name> {
        let mut names = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            names.extend(shard.topics.iter().filter(|(_, known)| known.table.is_heard()).map(|(name, _)| name.clone()));
        }
        names
    }

    /// The number of topics.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).topics.len()).sum()
    }

    /// Notes that the application has one more handle.
    pub(super) fn hold(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the application has one handle less. After the last one, messages keep no topic.
    pub(super) fn release(&self) {
        if self.handles.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let unneeded: Vec<_> =
                shard.topics.iter().filter(|(_, known)| !known.is_needed()).map(|(name, _)| name.clone()).collect();
            let forgotten: Vec<_> = unneeded.iter().map(|name| shard.topics.remove(name)).collect();
            shard.kept.clear();
            drop(shard);
            drop(forgotten);
        }
        if let Some(uplink) = &self.uplink {
            uplink.readers.end();
            uplink.ring();
        }
    }

    /// Whether the application has no handle to the registry.
    pub(super) fn is_released(&self) -> bool {
        self.handles.load(Ordering::Acquire) == 0
    }

    /// Whether neither the application nor a connection can use a topic any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_released() && self.len() == 0
    }

    fn lock(&self, name: &Name) -> MutexGuard<'_, Shard> {
        let index = self.hasher.hash_one(name) as usize % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper for Registry {
    fn forget(&self, topic: &NamedTopic) {
        let now = Instant::now();
        let mut shard = self.lock(topic.name());
        let kept_until = match shard.topics.get(topic.name()) {
            Some(known) if !known.is_needed() && std::ptr::eq(&raw const *known.topic, topic) => topic.kept_until(),
            _ => return,
        };
        let mut forgotten = None;
        match kept_until.filter(|until| *until > now && self.handles.load(Ordering::Acquire) > 0) {
            Some(until) => shard.kept.push_back((until, topic.name().clone())),
            None => forgotten = shard.topics.remove(topic.name()),
        }
        drop(shard);
        drop(forgotten);
        if let Some(uplink) = &self.uplink {
            uplink.ring();
        }
    }
}

impl Shard {
    /// Forgets topics whose messages are too old. Each call looks at a few. Returns the topics, to be dropped without the
    /// lock.
    fn forget_old(&mut self, now: Instant) -> Vec<Known> {
        let mut forgotten = Vec::new();
        for _ in 0..8 {
            if self.kept.front().is_none_or(|(until, _)| *until > now) {
                break;
            }
            let Some((_, name)) = self.kept.pop_front() else { break };
            let Some(known) = self.topics.get(&name).filter(|known| !known.is_needed()) else { continue };
            match known.topic.kept_until().filter(|until| *until > now) {
                Some(until) => self.kept.push_back((until, name)),
                None => forgotten.extend(self.topics.remove(&name)),
            }
        }
        forgotten
    }
}

impl Known {
    fn hold(&self) -> (Topic, Arc<NamedTopic>) {
        self.topic.hold();
        (Topic::of(Counted::new(Arc::clone(&self.table))), Arc::clone(&self.topic))
    }

    fn is_needed(&self) -> bool {
        self.topic.is_held() || self.table.is_heard()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("topics", &self.len()).finish_non_exhaustive()
    }
}
