//! Presence: the members of a topic.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use tokio::time::timeout;

use super::member::{Member, MemberEvent};
use super::named::{CALL, NamedTopic};
use super::uplink::Status;
use crate::topic::Topic;
use crate::topic::feed::{self, Feed};

/// The time after which the members of a node that was killed disappear. The node renews them three times as often, so
/// that two renewals may get lost.
pub(super) const LIFETIME: Duration = Duration::from_secs(30);

/// The members of a topic: a value each, such as a user's name. See [`Topics::members`](crate::Topics::members). A clone
/// stands for the same members.
///
/// With an engine that has presence, members of all nodes are there. If a node is killed, its members disappear after 30
/// seconds, or as soon after that as the broker removes them.
///
/// ```
/// # async fn example(topics: &ropeway::Topics) -> Result<(), ropeway::NameError> {
/// let members = topics.members("room:42")?;
/// let ann = members.join("Ann");
/// let all = members.list().await;
/// assert_eq!(all.members[0].value, "Ann");
/// drop(ann); // Ann has left.
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Members {
    topic: Topic,
    named: Arc<NamedTopic>,
}

/// A member. It leaves the topic when this is dropped, so keep it with the state of its connection.
#[must_use = "the member leaves when this is dropped"]
pub struct Membership {
    key: Arc<str>,
    members: Members,
}

/// The members of a topic at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberList {
    /// The members, in no order.
    pub members: Vec<Member>,
    /// Whether members of all nodes are there. If not, the engine is down or has no presence, and only the members of this
    /// node are there.
    pub is_complete: bool,
}

/// The changes of a topic's members, as a [`Stream`]. It never ends.
pub struct MemberEvents {
    feed: Arc<Feed<MemberEvent>>,
    /// Somebody has to hear the topic, or the engine would not deliver the events.
    _listening: crate::topic::Listening,
    _members: Members,
}

impl Members {
    pub(super) fn new(topic: Topic, named: Arc<NamedTopic>) -> Self {
        Self { topic, named }
    }

    /// The topic.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Adds a member. It should have a small value, of at most some hundred bytes.
    pub fn join(&self, value: impl Into<Bytes>) -> Membership {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let key = format!("{:x}-{number:x}", self.named.node()).into();
        self.named.join(&key, &value.into());
        Membership { key, members: self.clone() }
    }

    /// The members of all nodes, as the engine has them. It asks no other node, and waits for the engine for at most five
    /// seconds. If the engine does not answer, the members of this node are returned, and the list says so. Cancel safe.
    pub async fn list(&self) -> MemberList {
        let here = self.named.members_here();
        let Some(link) = self.named.status() else { return MemberList { members: here, is_complete: true } };
        let Status::Up(session) = link else { return MemberList { members: here, is_complete: false } };
        match timeout(CALL, session.members(self.named.topic_name())).await {
            Ok(Ok(stored)) => {
                let away = stored.into_iter().filter(|member| !self.named.is_own_key(&member.key));
                let away = away.map(|member| Member { key: member.key.into(), value: member.value, is_here: false });
                MemberList { members: here.into_iter().chain(away).collect(), is_complete: true }
            }
            _ => MemberList { members: here, is_complete: false },
        }
    }

    /// The changes from now on. The members that are there come first.
    pub fn events(&self) -> MemberEvents {
        MemberEvents { feed: self.named.read_members(), _listening: self.topic.listen(), _members: self.clone() }
    }
}

impl Membership {
    /// The key of the membership. No other member of any node has it.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Leaves, as dropping this does.
    pub fn leave(self) {}
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.members.named.leave(&self.key);
    }
}

impl MemberEvents {
    /// The next change. Cancel safe.
    pub async fn next(&mut self) -> Option<MemberEvent> {
        feed::next(self).await
    }
}

impl Stream for MemberEvents {
    type Item = MemberEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<MemberEvent>> {
        self.feed.poll_next(cx)
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership").field("key", &self.key).field("topic", &self.members.topic).finish()
    }
}

impl fmt::Debug for MemberEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberEvents").finish_non_exhaustive()
    }
}
