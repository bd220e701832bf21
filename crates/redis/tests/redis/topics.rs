//! Topics of two nodes, on real servers.

use ropeway::{Heard, History, Listening, Reach, Topic, Topics};
use ropeway_redis::Redis;
use testkit::broker::{Broker, REDIS};

use crate::cluster::Cluster;
use crate::node::{engine, within};

const HISTORY: History = History::last(1000);

struct Server {
    topics: Topics,
    topic: Topic,
    heard: Listening,
}

impl Server {
    async fn of(engine: Redis, history: Option<History>) -> Self {
        let mut builder = Topics::builder();
        if let Some(history) = history {
            builder = builder.history(history);
        }
        let topics = within("a connection", builder.connect(engine)).await.expect("the server is there");
        let topic = topics.topic("a").expect("a short name");
        let heard = topic.listen();
        let server = Self { topics, topic, heard };
        server.reaches_all().await;
        server
    }

    async fn reaches_all(&self) {
        within("reaching all nodes", async {
            while !self.topics.is_up() || self.topic.reach().await != Reach::AllNodes {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    fn publish(&self, number: u32) {
        self.topic.publish(number.to_string()).expect("there is room");
    }

    /// The next messages, which must have these numbers, without a gap.
    async fn hears(&mut self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            assert_eq!(self.next().await, Some(number.to_string()));
        }
    }

    /// The next message, or `None` for a gap.
    async fn next(&mut self) -> Option<String> {
        match within("a message", self.heard.next()).await {
            Some(Heard::Message { message, .. }) => Some(message.to_string()),
            Some(Heard::Gap) => None,
            other => panic!("a message or a gap should be heard, not {other:?}"),
        }
    }

    /// Waits for a gap, and then for a message. Messages before the gap may be those that were under way.
    async fn hears_after_gap(&mut self, number: u32) {
        let mut was_told = false;
        loop {
            match self.next().await {
                None => was_told = true,
                Some(heard) if heard == number.to_string() => break,
                Some(_) => {}
            }
        }
        assert!(was_told, "the gap is told before {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_hear_each_other() {
    let broker = Broker::start(REDIS);
    for history in [None, Some(HISTORY)] {
        let engine = engine(&broker).prefix(if history.is_some() { "history" } else { "plain" });
        let (mut one, mut two) = (Server::of(engine.clone(), history).await, Server::of(engine, history).await);
        (0..500).for_each(|number| one.publish(number));
        two.hears(0..500).await;
        (500..600).for_each(|number| two.publish(number));
        one.hears(0..600).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_history_on_a_durable_server_a_restart_loses_nothing() {
    let mut broker = Broker::with_settings(REDIS, "appendfsync always");
    let engine = engine(&broker).durable();
    let (mut one, mut two) = (Server::of(engine.clone(), Some(HISTORY)).await, Server::of(engine, Some(HISTORY)).await);
    for round in 0..3 {
        let first = round * 200;
        (first..first + 100).for_each(|number| one.publish(number));
        // Some are under way, and some have arrived.
        broker.kill();
        (first + 100..first + 200).for_each(|number| one.publish(number));
        broker.restart();
        let last = first + 200;
        // While the server is down, a node's own subscribers hear its messages, then perhaps others that were before them.
        two.hears(first..last).await;
        let mut heard = std::collections::HashSet::new();
        while heard.len() < 200 {
            if let Some(number) = one.next().await {
                assert!(heard.insert(number.clone()), "{number} was heard twice");
            }
        }
        one.reaches_all().await;
        two.reaches_all().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_proof_that_nothing_was_missed_a_gap_is_told() {
    let mut broker = Broker::start(REDIS);
    for history in [None, Some(HISTORY)] {
        let engine = engine(&broker).prefix(if history.is_some() { "history" } else { "plain" });
        let (mut one, mut two) = (Server::of(engine.clone(), history).await, Server::of(engine, history).await);
        one.publish(1);
        one.hears(1..2).await;
        two.hears(1..2).await;
        broker.restart();
        one.reaches_all().await;
        two.reaches_all().await;
        one.publish(2);
        one.hears_after_gap(2).await;
        two.hears_after_gap(2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_history_a_durable_cluster_moves_a_slot_and_nothing_is_missed() {
    let cluster = Cluster::start().await;
    let engine = cluster.engine().durable();
    let (one, mut two) = (Server::of(engine.clone(), Some(HISTORY)).await, Server::of(engine, Some(HISTORY)).await);
    (0..100).for_each(|number| one.publish(number));
    let (from, slot) = cluster.owner("a");
    let to = (from + 1) % 3;
    cluster.begin_move(slot, from, to);
    (100..200).for_each(|number| one.publish(number));
    cluster.end_move(slot, from, to);
    (200..300).for_each(|number| one.publish(number));
    two.hears(0..300).await;
}
