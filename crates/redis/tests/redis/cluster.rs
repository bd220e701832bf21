//! A cluster of three primaries.

use std::time::Duration;

use redis::Value;
use ropeway::History;
use ropeway::engine::EngineFault;
use ropeway_redis::Redis;
use testkit::broker::{Broker, REDIS, free_port};

use crate::access::ALLOWED;
use crate::node::{Node, command, name, refused, within};
use crate::presence::member;

const HISTORY: History = History::last(10);

/// The number of slots of every cluster.
const SLOTS: u16 = 16384;

pub(crate) struct Cluster {
    servers: Vec<Broker>,
}

impl Cluster {
    /// Three primaries, each with a third of the slots.
    pub(crate) async fn start() -> Self {
        Self::with_settings("").await
    }

    async fn with_settings(more: &str) -> Self {
        let server = |_| {
            // The port of a cluster's bus is 10,000 higher if it is not set.
            let settings =
                format!("cluster-enabled yes\ncluster-port {}\ncluster-node-timeout 2000\n{more}", free_port());
            Broker::with_settings(REDIS, &settings)
        };
        let cluster = Self { servers: (0..3).map(server).collect() };
        for (place, server) in cluster.servers.iter().enumerate() {
            let first = place as u16 * (SLOTS / 3 + 1);
            let last = (first + SLOTS / 3).min(SLOTS - 1);
            command(&server.address(), &["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
            let bus = command(&cluster.servers[0].address(), &["CONFIG", "GET", "cluster-port"]);
            let Value::Map(bus) = bus else { panic!("a setting") };
            let Value::BulkString(bus) = &bus[0].1 else { panic!("a number") };
            let port = cluster.servers[0].port().to_string();
            let meet = ["CLUSTER", "MEET", "127.0.0.1", &port, std::str::from_utf8(bus).unwrap()];
            command(&server.address(), &meet);
        }
        cluster.settle().await;
        cluster
    }

    /// Waits until all servers see the same whole cluster.
    async fn settle(&self) {
        within("the cluster settling", async {
            loop {
                let slots: Vec<Value> =
                    self.servers.iter().map(|server| command(&server.address(), &["CLUSTER", "SLOTS"])).collect();
                let is_ok = self
                    .servers
                    .iter()
                    .all(|server| text(&command(&server.address(), &["CLUSTER", "INFO"])).contains("cluster_state:ok"));
                if is_ok && slots.iter().all(|other| slot_owners(other) == slot_owners(&slots[0])) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }

    pub(crate) fn engine(&self) -> Redis {
        Redis::cluster(self.servers.iter().map(|server| format!("redis://{}", server.address())))
    }

    fn id(&self, server: usize) -> String {
        text(&command(&self.servers[server].address(), &["CLUSTER", "MYID"]))
    }

    /// The server that has the slot of a topic, and the slot.
    pub(crate) fn owner(&self, topic: &str) -> (usize, u16) {
        let key = format!("rw{{:{topic}}}");
        let Value::Int(slot) = command(&self.servers[0].address(), &["CLUSTER", "KEYSLOT", &key]) else {
            panic!("a slot")
        };
        let slot = u16::try_from(slot).expect("a slot");
        (usize::from(slot / (SLOTS / 3 + 1)), slot)
    }

    /// Begins to move a slot.
    pub(crate) fn begin_move(&self, slot: u16, from: usize, to: usize) {
        let slot = slot.to_string();
        command(&self.servers[to].address(), &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &self.id(from)]);
        command(&self.servers[from].address(), &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &self.id(to)]);
    }

    /// Moves the keys of a slot, and ends the move.
    pub(crate) fn end_move(&self, slot: u16, from: usize, to: usize) {
        let slot = slot.to_string();
        let (source, target) = (self.servers[from].address(), &self.servers[to]);
        loop {
            let keys = command(&source, &["CLUSTER", "GETKEYSINSLOT", &slot, "10"]);
            let Value::Array(keys) = keys else { panic!("keys") };
            if keys.is_empty() {
                break;
            }
            for key in keys {
                command(&source, &["MIGRATE", "127.0.0.1", &target.port().to_string(), &text(&key), "0", "5000"]);
            }
        }
        let id = self.id(to);
        for server in [to, from, 3 - to - from] {
            command(&self.servers[server].address(), &["CLUSTER", "SETSLOT", &slot, "NODE", &id]);
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(text) => String::from_utf8(text.clone()).expect("a text"),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.clone(),
        other => panic!("a text, not {other:?}"),
    }
}

/// The first and the last slot of each range, with the port of its server.
fn slot_owners(slots: &Value) -> Vec<(Value, Value, Value)> {
    let Value::Array(slots) = slots else { panic!("a list") };
    let range = |range: &Value| {
        let Value::Array(range) = range else { panic!("a range") };
        let Value::Array(server) = &range[2] else { panic!("a server") };
        (range[0].clone(), range[1].clone(), server[1].clone())
    };
    let mut owners: Vec<_> = slots.iter().map(range).collect();
    owners.sort_by_key(|range| if let Value::Int(first) = range.0 { first } else { -1 });
    owners
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_does_all_that_a_server_does() {
    let cluster = Cluster::start().await;
    let (mut one, mut two) = (Node::of(cluster.engine()).await, Node::of(cluster.engine()).await);
    let names: Vec<String> =
        (0..30).map(|number| format!("topic {number}")).chain(["}x".into(), String::new()]).collect();
    let owners: std::collections::HashSet<usize> = names.iter().map(|name| cluster.owner(name).0).collect();
    assert_eq!(owners.len(), 3, "the topics are on all servers");
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for node in [&one, &two] {
        node.subscribe(&names).await.unwrap();
    }
    let batch: Vec<(&str, &str)> = names.iter().flat_map(|&name| [(name, "1"), (name, "2")]).collect();
    for history in [None, Some(HISTORY)] {
        one.publish(history, &batch).await.unwrap();
        for node in [&mut one, &mut two] {
            let mut heard = std::collections::HashMap::<String, Vec<String>>::new();
            for _ in &batch {
                let (topic, body, place) = node.placed().await;
                let heard = heard.entry(topic).or_default();
                heard.push(body);
                assert_eq!(
                    place.map(|(at, before)| (at.offset, before)),
                    history.map(|_| (heard.len() as u64, heard.len() as u64 - 1))
                );
            }
            assert!(names.iter().all(|&name| heard[name] == ["1", "2"]), "{heard:?}");
        }
    }
    for &topic in &names {
        let end = two.session.replay(&name(topic), HISTORY, None).await.unwrap().end;
        assert_eq!(end.offset, 2);
    }
    let members: Vec<_> = names.iter().map(|topic| member(topic, "1", topic)).collect();
    one.session.join(&members, Duration::from_secs(60)).await.unwrap();
    for &topic in &names {
        assert_eq!(two.session.members(&name(topic)).await.unwrap(), [member(topic, "1", topic)]);
    }
    one.session.leave(&members).await.unwrap();
    one.unsubscribe(&names).await.unwrap();
    two.publish(None, &batch).await.unwrap();
    one.subscribe(&["end"]).await.unwrap();
    one.publish(None, &[("end", "")]).await.unwrap();
    assert_eq!(one.message().await.0, "end", "nothing is heard after unsubscribing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_a_cluster_with_the_rights_that_are_listed_can_do_all() {
    let more = "+spublish +ssubscribe +sunsubscribe +cluster|slots +cluster|info";
    let readme = include_str!("../../README.md").split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    assert!(readme.contains(more), "the README lists other rights than {more}");
    let cluster = Cluster::with_settings(&format!("{ALLOWED} {more}")).await;
    // It is asked for signs of life meanwhile.
    let engine = cluster.engine().password("rope", "secret").timeout(Duration::from_millis(200));
    let mut node = Node::of(engine).await;
    node.subscribe(&["a"]).await.unwrap();
    for history in [None, Some(HISTORY)] {
        node.publish(history, &[("a", "x")]).await.unwrap();
        assert_eq!(node.placed().await.1, "x");
    }
    node.session.replay(&name("a"), HISTORY, None).await.unwrap();
    let members = [member("a", "1", "")];
    node.session.join(&members, Duration::from_secs(60)).await.unwrap();
    assert_eq!(node.session.members(&name("a")).await.unwrap(), members);
    node.session.leave(&members).await.unwrap();
    node.unsubscribe(&["a"]).await.unwrap();
    let address = cluster.servers[0].address();
    command(&address, &["CONFIG", "RESETSTAT"]);
    within("signs of life", async {
        while !text(&command(&address, &["INFO", "commandstats"])).contains("cmdstat_cluster|info") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    node.publish(None, &[("a", "x")]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_a_cluster_that_refuses_holds_up_no_other() {
    let cluster = Cluster::start().await;
    let mut node = Node::of(cluster.engine()).await;
    let names: Vec<String> = (0..30).map(|number| format!("topic {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    node.subscribe(&names).await.unwrap();
    command(&cluster.servers[0].address(), &["CONFIG", "SET", "maxmemory", "1"]);
    let batch: Vec<(&str, &str)> = names.iter().map(|&name| (name, "x")).collect();
    let error = node.publish(Some(HISTORY), &batch).await.expect_err("one server is full");
    assert_eq!(error.fault(), EngineFault::Refused, "{error}");
    for _ in names.iter().filter(|name| cluster.owner(name).0 != 0) {
        let (topic, ..) = node.placed().await;
        assert_ne!(cluster.owner(&topic).0, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_ends_the_session_and_begins_another_history() {
    let cluster = Cluster::start().await;
    let (subscriber, publisher) = (Node::of(cluster.engine()).await, Node::of(cluster.engine()).await);
    subscriber.subscribe(&["a", "other"]).await.unwrap();
    publisher.publish(Some(HISTORY), &[("a", "1"), ("a", "2")]).await.unwrap();
    let before = publisher.session.replay(&name("a"), HISTORY, None).await.unwrap().end;
    let (from, slot) = cluster.owner("a");
    let to = (from + 1) % 3;
    cluster.begin_move(slot, from, to);
    cluster.end_move(slot, from, to);
    let error = subscriber.ended().await;
    assert!(error.to_string().contains("moved a slot"), "{error}");
    // A node that only publishes is told by the server's answer.
    let error = publisher.publish(None, &[("a", "x")]).await.expect_err("the slot is elsewhere");
    assert_eq!(error.fault(), EngineFault::Lost, "{error}");
    publisher.ended().await;
    cluster.settle().await;

    let (mut subscriber, publisher) = (Node::of(cluster.engine()).await, Node::of(cluster.engine()).await);
    subscriber.subscribe(&["a"]).await.unwrap();
    publisher.publish(None, &[("a", "again")]).await.unwrap();
    assert_eq!(subscriber.message().await.1, "again");
    // Each server counts its own runs.
    let replay = subscriber.session.replay(&name("a"), HISTORY, Some(before)).await.unwrap();
    assert!(!replay.is_complete && replay.end.epoch != before.epoch, "{replay:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_slot_moves_a_publication_waits_for_the_end_of_the_move() {
    let cluster = Cluster::start().await;
    let (mut subscriber, publisher) = (Node::of(cluster.engine()).await, Node::of(cluster.engine()).await);
    subscriber.subscribe(&["a"]).await.unwrap();
    let (from, slot) = cluster.owner("a");
    let to = (from + 1) % 3;
    cluster.begin_move(slot, from, to);
    // Without history there is no key that could be elsewhere.
    publisher.publish(None, &[("a", "x")]).await.unwrap();
    assert_eq!(subscriber.message().await.1, "x");
    // With history, the server sends the client to the other one, where nobody hears it yet.
    let publishing = publisher.publish(Some(HISTORY), &[("a", "1")]);
    let moving = async {
        within("the publication being sent away", async {
            while !text(&command(&cluster.servers[from].address(), &["INFO", "errorstats"])).contains("errorstat_ASK") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        // The move is given up.
        for server in [from, to] {
            command(&cluster.servers[server].address(), &["CLUSTER", "SETSLOT", &slot.to_string(), "STABLE"]);
        }
    };
    let (published, ()) = tokio::join!(publishing, moving);
    published.unwrap();
    assert_eq!(subscriber.placed().await.1, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_a_cluster_that_is_killed_ends_the_session() {
    let mut cluster = Cluster::start().await;
    let node = Node::of(cluster.engine()).await;
    node.subscribe(&["a"]).await.unwrap();
    cluster.servers[2].kill();
    node.ended().await;
    let error = refused(cluster.engine()).await;
    assert_eq!(error.fault(), EngineFault::Unreachable, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_all_slots_is_told() {
    let settings = format!("cluster-enabled yes\ncluster-port {}", free_port());
    let server = Broker::with_settings(REDIS, &settings);
    command(&server.address(), &["CLUSTER", "ADDSLOTSRANGE", "0", "99"]);
    let error = refused(Redis::cluster([format!("redis://{}", server.address())])).await;
    assert_eq!(error.fault(), EngineFault::Unreachable);
    assert!(error.to_string().contains("no server has slot 100"), "{error}");
}
