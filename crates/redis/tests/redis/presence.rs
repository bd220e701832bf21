//! Members of topics.

use std::time::Duration;

use ropeway::engine::Presence;
use testkit::broker::{Broker, REDIS};

use crate::node::{Node, command, name, within};

/// Longer than a test takes.
const LONG: Duration = Duration::from_secs(300);

pub(crate) fn member(topic: &str, key: &str, value: &str) -> Presence {
    Presence { topic: name(topic), key: key.to_owned(), value: value.to_owned().into() }
}

impl Node {
    async fn members(&self, topic: &str) -> Vec<(String, String)> {
        let members = within("the members", self.session.members(&name(topic))).await.expect("there are members");
        assert!(members.iter().all(|member| member.topic == name(topic)));
        let pair = |member: Presence| (member.key, String::from_utf8(member.value.to_vec()).unwrap());
        let mut members: Vec<_> = members.into_iter().map(pair).collect();
        members.sort();
        members
    }
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[tokio::test]
async fn members_are_seen_by_all_nodes_until_they_leave() {
    let broker = Broker::start(REDIS);
    let (one, two) = (Node::on(&broker).await, Node::on(&broker).await);
    assert_eq!(one.members("a").await, []);
    one.session.join(&[member("a", "1", "ann"), member("b", "1", "bob"), member("a", "2", "")], LONG).await.unwrap();
    two.session.join(&[member("a", "3", "cat")], LONG).await.unwrap();
    for node in [&one, &two] {
        assert_eq!(node.members("a").await, [pair("1", "ann"), pair("2", ""), pair("3", "cat")]);
        assert_eq!(node.members("b").await, [pair("1", "bob")]);
    }
    one.session.join(&[member("a", "1", "anna")], LONG).await.unwrap();
    two.session.leave(&[member("a", "3", ""), member("a", "unknown", ""), member("c", "1", "")]).await.unwrap();
    assert_eq!(two.members("a").await, [pair("1", "anna"), pair("2", "")]);
    one.session.leave(&[member("a", "1", ""), member("a", "2", ""), member("b", "1", "")]).await.unwrap();
    assert_eq!(one.members("a").await, []);
    // A topic without members costs nothing.
    assert_eq!(command(&broker.address(), &["DBSIZE"]), redis::Value::Int(0));
}

#[tokio::test]
async fn a_member_that_is_not_renewed_disappears() {
    let broker = Broker::start(REDIS);
    let node = Node::on(&broker).await;
    node.session.join(&[member("a", "stays", "")], LONG).await.unwrap();
    node.session.join(&[member("a", "goes", "")], Duration::from_millis(300)).await.unwrap();
    within("the member disappearing", async {
        while node.members("a").await != [pair("stays", "")] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // It is removed when another is stored.
    assert_eq!(command(&broker.address(), &["HLEN", "rw{:a}m"]), redis::Value::Int(2));
    node.session.join(&[member("a", "stays", "")], LONG).await.unwrap();
    assert_eq!(command(&broker.address(), &["HLEN", "rw{:a}m"]), redis::Value::Int(1));
    assert_eq!(command(&broker.address(), &["ZCARD", "rw{:a}l"]), redis::Value::Int(1));
    for key in ["rw{:a}m", "rw{:a}l"] {
        let redis::Value::Int(left) = command(&broker.address(), &["PTTL", key]) else { panic!("a number") };
        assert!((200_000..=300_001).contains(&left), "{key} lives {left} ms");
    }
}

#[tokio::test]
async fn all_that_a_topic_without_members_had_disappears() {
    let broker = Broker::start(REDIS);
    let node = Node::on(&broker).await;
    node.session.join(&[member("a", "1", ""), member("b", "1", "")], Duration::from_millis(300)).await.unwrap();
    within("the keys expiring", async {
        while command(&broker.address(), &["DBSIZE"]) != redis::Value::Int(0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_topic_can_have_many_members() {
    let broker = Broker::start(REDIS);
    let node = Node::on(&broker).await;
    let members: Vec<Presence> = (0..12_345).map(|key| member("a", &key.to_string(), &format!("user {key}"))).collect();
    within("joining", node.session.join(&members, LONG)).await.unwrap();
    let found = node.members("a").await;
    assert_eq!(found.len(), members.len());
    assert!(found.iter().all(|(key, value)| *value == format!("user {key}")));
}

#[tokio::test]
async fn values_that_the_server_has_evicted_are_left_out() {
    let broker = Broker::start(REDIS);
    let node = Node::on(&broker).await;
    node.session.join(&[member("a", "1", "ann")], LONG).await.unwrap();
    command(&broker.address(), &["DEL", "rw{:a}m"]);
    assert_eq!(node.members("a").await, []);
    node.session.join(&[member("a", "1", "ann")], LONG).await.unwrap();
    assert_eq!(node.members("a").await, [pair("1", "ann")]);
}
