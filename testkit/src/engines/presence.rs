//! Members of topics.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ropeway::engine::Presence;
use tokio::time::sleep;

use super::pubsub::HARD_NAMES;
use super::rig::{LIMIT, Node, Rig, name, text, within};

const LONG: Duration = Duration::from_secs(60);

/// Members are seen by all nodes until they leave. A value can be changed.
pub async fn members_join_and_leave(rig: Rig) {
    let (a, b) = (rig.node().await, rig.node().await);
    assert_eq!(b.members("room").await, members(&[]));
    a.join("room", &[("1", "ann"), ("2", "bob")], LONG).await;
    b.join("room", &[("3", "")], LONG).await;
    assert_eq!(b.members("room").await, members(&[("1", "ann"), ("2", "bob"), ("3", "")]));
    a.join("room", &[("1", "anna")], LONG).await;
    b.leave("room", &["2", "never"]).await;
    for node in [&a, &b] {
        assert_eq!(node.members("room").await, members(&[("1", "anna"), ("3", "")]));
    }
    a.join("room", &[("2", "back")], LONG).await;
    assert_eq!(b.members("room").await, members(&[("1", "anna"), ("2", "back"), ("3", "")]));
}

/// If nobody renews a member, as when its node was killed, it disappears.
pub async fn a_member_that_is_not_renewed_disappears(rig: Rig) {
    let (a, b) = (rig.node().await, rig.node().await);
    a.join("room", &[("1", "gone soon")], Duration::from_secs(3)).await;
    a.join("room", &[("2", "stays")], LONG).await;
    assert_eq!(b.members("room").await, members(&[("1", "gone soon"), ("2", "stays")]));
    drop(a);
    b.until_members("room", &[("2", "stays")]).await;
}

/// A member that is renewed in time stays, however long.
pub async fn a_renewed_member_stays(rig: Rig) {
    let a = rig.node().await;
    for _ in 0..12 {
        a.join("room", &[("1", "x")], Duration::from_secs(4)).await;
        sleep(Duration::from_millis(500)).await;
        assert_eq!(a.members("room").await, members(&[("1", "x")]));
    }
}

/// Topics are never mixed up, whatever their names are.
pub async fn members_of_a_topic_are_those_of_no_other(rig: Rig) {
    let a = rig.node().await;
    for topic in HARD_NAMES {
        a.join(topic, &[("key", topic)], LONG).await;
    }
    for topic in HARD_NAMES {
        assert_eq!(a.members(topic).await, members(&[("key", topic)]), "the members of {topic:?}");
    }
}

/// A list has no limit that a room could meet.
pub async fn a_thousand_members_are_all_listed(rig: Rig) {
    let a = rig.node().await;
    let keys: Vec<String> = (0..1500).map(|number| format!("Member-{number:057}")).collect();
    for chunk in keys.chunks(250) {
        let joining: Vec<_> = chunk.iter().map(|key| (key.as_str(), "x")).collect();
        a.join("room", &joining, LONG).await;
    }
    let listed = a.members("room").await;
    assert_eq!(listed.len(), keys.len());
    assert!(keys.iter().all(|key| listed.contains_key(key)));
}

impl Node {
    async fn join(&self, topic: &str, joining: &[(&str, &str)], lifetime: Duration) {
        let joining: Vec<_> = joining.iter().map(|(key, value)| presence(topic, key, value)).collect();
        within("joining", self.session.join(&joining, lifetime)).await.expect("members can be stored");
    }

    async fn leave(&self, topic: &str, keys: &[&str]) {
        let leaving: Vec<_> = keys.iter().map(|key| presence(topic, key, "")).collect();
        within("leaving", self.session.leave(&leaving)).await.expect("members can be removed");
    }

    async fn members(&self, topic: &str) -> BTreeMap<String, String> {
        let topic = name(topic);
        let listed = within("the members", self.session.members(&topic)).await.expect("members can be listed");
        let count = listed.len();
        let members: BTreeMap<_, _> = listed
            .into_iter()
            .map(|member| {
                assert_eq!(member.topic, topic);
                (member.key, text(&member.value))
            })
            .collect();
        assert_eq!(members.len(), count, "each member is listed once");
        members
    }

    async fn until_members(&self, topic: &str, wanted: &[(&str, &str)]) {
        let started = Instant::now();
        let wanted = members(wanted);
        loop {
            let listed = self.members(topic).await;
            if listed == wanted {
                return;
            }
            assert!(started.elapsed() < LIMIT, "after {LIMIT:?} the members are {listed:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn members(members: &[(&str, &str)]) -> BTreeMap<String, String> {
    members.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn presence(topic: &str, key: &str, value: &str) -> Presence {
    Presence { topic: name(topic), key: key.to_owned(), value: Bytes::copy_from_slice(value.as_bytes()) }
}
