//! The members of a named topic: this node's, and what other nodes and the engine tell of theirs.

use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;

use super::envelope::{Content, Envelope};
use super::member::{Member, MemberEvent};
use super::named::{Far, NamedTopic};
use super::outbox::{Kind, Waiting};
use super::roster::Roster;
use super::uplink::Status;
use crate::engine::{Name, Presence};
use crate::topic::feed::Feed;

/// The members.
impl NamedTopic {
    pub(super) fn topic_name(&self) -> &Name {
        &self.name
    }

    /// The number of this node, or 0 without an engine.
    pub(super) fn node(&self) -> u64 {
        self.far.as_ref().map_or(0, |far| far.uplink.node)
    }

    /// The state of the connection with the engine, if there is one.
    pub(super) fn status(&self) -> Option<Status> {
        self.far.as_ref().map(|far| far.uplink.status())
    }

    /// Whether a member of this key has joined on this node.
    pub(super) fn is_own_key(&self, key: &str) -> bool {
        key.split_once('-').is_some_and(|(node, _)| u64::from_str_radix(node, 16) == Ok(self.node()))
    }

    pub(super) fn members_here(&self) -> Vec<Member> {
        let member =
            |(key, value): (&Arc<str>, &Bytes)| Member { key: Arc::clone(key), value: value.clone(), is_here: true };
        self.roster().as_ref().map_or_else(Vec::new, |roster| roster.here().map(member).collect())
    }

    pub(super) fn join(&self, key: &Arc<str>, value: &Bytes) {
        self.roster().get_or_insert_default().join_here(key, value);
        if let Some(far) = &self.far {
            far.uplink.join(self.presence(key, value));
            self.tell_nodes(far, key, value, false);
        }
    }

    pub(super) fn leave(&self, key: &Arc<str>) {
        let left = self.with_roster(|roster| roster.leave_here(key)).flatten();
        if let (Some(far), Some(value)) = (&self.far, left) {
            far.uplink.leave(key);
            self.tell_nodes(far, key, &value, true);
        }
    }

    pub(super) fn read_members(&self) -> Arc<Feed<MemberEvent>> {
        let feed = self.roster().get_or_insert_default().read();
        if let Some(far) = &self.far {
            far.uplink.note_members(&self.name);
        }
        feed
    }

    /// Whether somebody reads the changes of the members.
    pub(super) fn is_watched(&self) -> bool {
        self.roster().as_ref().is_some_and(|roster| roster.is_read())
    }

    /// Notes the members, as the engine has them.
    pub(super) fn note_members(&self, all: Vec<Presence>) {
        let all: Vec<_> = all.into_iter().map(|member| (member.key.into(), member.value)).collect();
        let is_own = |key: &str| self.is_own_key(key);
        self.with_roster(|roster| roster.update(&all, is_own));
    }

    /// Tells the other nodes of a change at once. If they miss it, they find it when they ask the engine.
    fn tell_nodes(&self, far: &Far, key: &Arc<str>, value: &Bytes, has_left: bool) {
        let mut outbox = far.uplink.outbox();
        if !outbox.is_up() {
            return;
        }
        let number = outbox.next_number();
        let content = Content::Member { key: key.as_ref().to_owned(), value: value.clone(), has_left };
        let envelope = Envelope { node: far.uplink.node, number, before: 0, is_after_loss: false, content };
        outbox.push(Waiting::news(Kind::Member, &self.name, &envelope, None));
        drop(outbox);
        far.uplink.ring();
    }

    fn presence(&self, key: &Arc<str>, value: &Bytes) -> Presence {
        Presence { topic: self.name.clone(), key: key.as_ref().to_owned(), value: value.clone() }
    }

    /// Changes the members, if there is a list of them. It is dropped if it is no longer needed.
    pub(super) fn with_roster<T>(&self, change: impl FnOnce(&mut Roster) -> T) -> Option<T> {
        let mut roster = self.roster();
        let result = change(roster.as_mut()?);
        if roster.as_ref().is_some_and(|roster| roster.is_empty()) {
            *roster = None;
        }
        Some(result)
    }

    fn roster(&self) -> MutexGuard<'_, Option<Box<Roster>>> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
