//! The meeting place of topics and the task that talks to the engine.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::events::{Readers, TopicsEvent};
use super::outbox::{BATCH, Outbox, OutboxLimits};
use crate::engine::{Name, Presence, Session};

/// The length that an envelope adds to a message, without its key.
pub(super) const ENVELOPE: usize = 64;

/// The meeting place of topics and the task that talks to the engine.
#[derive(Debug)]
pub(super) struct Uplink {
    /// The number of this node. It is random, so no other node has it.
    pub(super) node: u64,
    pub(super) readers: Readers,
    outbox: Mutex<Outbox>,
    /// The most of this node's publications that the engine may still get, or have got, after it went down.
    most_back: usize,
    chores: Mutex<Chores>,
    /// The members of this node, by key, as the engine is to have them.
    away: Mutex<Away>,
    status: Mutex<Status>,
    max_message: AtomicUsize,
    /// Arrivals that were not understood.
    not_understood: AtomicU64,
    /// Wakes the task.
    bell: Notify,
    /// Wakes those that wait for a change of the link, or of a topic's subscription.
    changed: Notify,
}

/// The state of the connection with the engine, for topics.
#[derive(Clone, Debug)]
pub(super) enum Status {
    /// The first attempt to connect is not over.
    Starting,
    Up(Arc<dyn Session>),
    Down,
}

/// Topics that the task has to look at.
#[derive(Debug, Default)]
pub(super) struct Chores {
    /// Their audience may have come or gone.
    pub(super) audience: HashSet<Name>,
    /// A message before the last arrival is missing.
    pub(super) heal: HashSet<Name>,
    /// Somebody reads the changes of their members.
    pub(super) members: HashSet<Name>,
}

/// The members of this node, and the engine's knowledge of them.
#[derive(Debug, Default)]
pub(super) struct Away {
    members: HashMap<String, Presence>,
    /// The keys of those that the engine does not know yet.
    joining: HashSet<String>,
    /// Those that have left, and that the engine may know.
    leaving: HashMap<String, Presence>,
}

impl Uplink {
    pub(super) fn new(limits: OutboxLimits) -> Self {
        Self {
            node: u64::from_be_bytes(crate::random::bytes()),
            readers: Readers::default(),
            outbox: Mutex::new(Outbox::new(limits)),
            most_back: limits.messages.saturating_add(BATCH.messages),
            chores: Mutex::default(),
            away: Mutex::default(),
            status: Mutex::new(Status::Starting),
            max_message: AtomicUsize::new(usize::MAX),
            not_understood: AtomicU64::new(0),
            bell: Notify::new(),
            changed: Notify::new(),
        }
    }

    /// The messages that wait. After one is added, [`Uplink::ring`] must be called.
    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn most_back(&self) -> usize {
        self.most_back
    }

    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits until there is something to do. Cancel safe.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }

    pub(super) fn note_audience(&self, topic: &Name) {
        self.chores().audience.insert(topic.clone());
        self.ring();
        self.note_change();
    }

    pub(super) fn note_hole(&self, topic: &Name) {
        self.chores().heal.insert(topic.clone());
        self.ring();
    }

    pub(super) fn note_members(&self, topic: &Name) {
        self.chores().members.insert(topic.clone());
        self.ring();
    }

    pub(super) fn take_chores(&self) -> Chores {
        std::mem::take(&mut *self.chores())
    }

    pub(super) fn join(&self, member: Presence) {
        let mut away = self.away();
        away.joining.insert(member.key.clone());
        away.members.insert(member.key.clone(), member);
        drop(away);
        self.ring();
    }

    pub(super) fn leave(&self, key: &str) {
        let mut away = self.away();
        away.joining.remove(key);
        if let Some((key, member)) = away.members.remove_entry(key) {
            away.leaving.insert(key, member);
        }
        drop(away);
        self.ring();
    }

    /// Forgets what the engine knows, so that it is told of all members.
    pub(super) fn renew_members(&self) {
        let mut away = self.away();
        away.joining = away.members.keys().cloned().collect();
    }

    /// Takes at most so many members to be stored, and as many to be removed.
    pub(super) fn take_members(&self, most: usize) -> (Vec<Presence>, Vec<Presence>) {
        let mut away = self.away();
        let Away { members, joining, leaving } = &mut *away;
        let keys: Vec<_> = joining.iter().take(most).cloned().collect();
        let joined = keys.iter().filter_map(|key| members.get(joining.take(key)?.as_str()).cloned()).collect();
        let keys: Vec<_> = leaving.keys().take(most).cloned().collect();
        let left = keys.iter().filter_map(|key| leaving.remove(key)).collect();
        (joined, left)
    }

    pub(super) fn status(&self) -> Status {
        self.lock_status().clone()
    }

    pub(super) fn set_status(&self, link: Status) {
        if let Status::Up(session) = &link {
            self.max_message.store(session.max_message().unwrap_or(usize::MAX), Ordering::Relaxed);
        }
        let before = std::mem::replace(&mut *self.lock_status(), link);
        drop(before);
        self.note_change();
    }

    /// The most bytes that a publication may have.
    pub(super) fn max_message(&self) -> usize {
        self.max_message.load(Ordering::Relaxed)
    }

    pub(super) fn note_change(&self) {
        self.changed.notify_waiters();
    }

    /// Waits until `is_done` returns something. It is asked again after each change.
    pub(super) async fn wait_for<T>(&self, mut is_done: impl FnMut() -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(done) = is_done() {
                return done;
            }
            changed.await;
        }
    }

    pub(super) fn tell(&self, event: &TopicsEvent) {
        self.readers.tell(event);
    }

    pub(super) fn note_not_understood(&self) -> u64 {
        self.not_understood.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn chores(&self) -> MutexGuard<'_, Chores> {
        self.chores.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn away(&self) -> MutexGuard<'_, Away> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
