//! The members of a topic, as this node knows them, and the readers of their comings and goings.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::member::MemberEvent;
use crate::topic::feed::Feed;

/// The members of a topic, as this node knows them.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// The members of this node.
    here: HashMap<Arc<str>, Bytes>,
    /// All members that the readers have been told of.
    told: HashMap<Arc<str>, Bytes>,
    readers: Vec<Weak<Feed<MemberEvent>>>,
}

impl Roster {
    pub(super) fn is_empty(&self) -> bool {
        self.here.is_empty() && self.readers.iter().all(|reader| reader.strong_count() == 0)
    }

    pub(super) fn here(&self) -> impl Iterator<Item = (&Arc<str>, &Bytes)> {
        self.here.iter()
    }

    pub(super) fn is_read(&self) -> bool {
        self.readers.iter().any(|reader| reader.strong_count() > 0)
    }

    /// Adds a reader. It is told of this node's members first.
    pub(super) fn read(&mut self) -> Arc<Feed<MemberEvent>> {
        self.readers.retain(|reader| reader.strong_count() > 0);
        if self.readers.is_empty() {
            // Nobody has kept the list up to date.
            self.told.clone_from(&self.here);
        }
        let feed = Feed::new();
        for (key, value) in &self.told {
            feed.push(MemberEvent::Joined { key: Arc::clone(key), value: value.clone() });
        }
        self.readers.push(Arc::downgrade(&feed));
        feed
    }

    pub(super) fn join_here(&mut self, key: &Arc<str>, value: &Bytes) {
        self.here.insert(Arc::clone(key), value.clone());
        self.joined(key, value);
    }

    /// Removes a member of this node. Returns its value.
    pub(super) fn leave_here(&mut self, key: &Arc<str>) -> Option<Bytes> {
        let value = self.here.remove(key)?;
        self.left(key);
        Some(value)
    }

    /// Notes that a member of any node has joined.
    pub(super) fn joined(&mut self, key: &Arc<str>, value: &Bytes) {
        if self.is_read() && self.told.get(key) != Some(value) {
            self.told.insert(Arc::clone(key), value.clone());
            self.tell(&MemberEvent::Joined { key: Arc::clone(key), value: value.clone() });
        }
    }

    /// Notes that a member of any node has left.
    pub(super) fn left(&mut self, key: &str) {
        if let Some((key, value)) = self.told.remove_entry(key) {
            self.tell(&MemberEvent::Left { key, value });
        }
    }

    /// Notes all members, as the engine has them.
    pub(super) fn update(&mut self, all: &[(Arc<str>, Bytes)], is_own: impl Fn(&str) -> bool) {
        for (key, value) in all {
            // A member of this node that has left may still be stored.
            if self.here.contains_key(key) || !is_own(key) {
                self.joined(key, value);
            }
        }
        let gone: Vec<_> = self.told.keys().filter(|key| !self.here.contains_key(*key)).cloned().collect();
        for key in gone {
            if !all.iter().any(|(known, _)| *known == key) {
                self.left(&key);
            }
        }
    }

    fn tell(&self, event: &MemberEvent) {
        for reader in self.readers.iter().filter_map(Weak::upgrade) {
            reader.push(event.clone());
        }
    }
}
