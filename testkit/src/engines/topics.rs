//! The contract of topics that span nodes, a test for each sentence, with a real broker and links that are cut.

use std::sync::Arc;

use ropeway::engine::{Engine, EngineError, EngineFuture, Features, History, Inlet, Session};
use ropeway::{
    Delivery, Events, Heard, Listening, OutboxLimits, Position, Reach, Topic, Topics, TopicsBuilder, TopicsEvent,
};

use super::rig::{Rig, within};
use crate::link::{Link, State};

/// A node with one topic.
struct Node {
    topics: Topics,
    topic: Topic,
    heard: Listening,
    events: Events,
    link: Link,
}

/// An engine that somebody else holds too.
#[derive(Debug)]
struct Shared(Arc<dyn Engine>);

impl Engine for Shared {
    fn address(&self) -> String {
        self.0.address()
    }

    fn features(&self) -> Features {
        self.0.features()
    }

    fn connect(&self, inlet: Inlet) -> EngineFuture<'_, Arc<dyn Session>> {
        self.0.connect(inlet)
    }
}

impl Node {
    async fn new(rig: &Rig, name: &str, builder: TopicsBuilder) -> Self {
        let link = Link::to(rig.broker.port()).await;
        let engine = Shared((rig.engine)(&link.address()));
        let topics: Result<_, EngineError> = within("connecting", builder.connect(engine)).await;
        let topics = topics.expect("the broker accepts the node");
        let events = topics.events();
        let topic = topics.topic(name.to_owned()).expect("a short name");
        let heard = topic.listen();
        assert_eq!(within("a subscription", topic.reach()).await, Reach::AllNodes);
        Self { topics, topic, heard, events, link }
    }

    fn publish(&self, text: &str) -> Delivery {
        self.topic.publish(text).expect("the message is taken").engine.expect("there is an engine")
    }

    async fn next(&mut self) -> String {
        self.next_placed().await.0
    }

    /// The next message with its position, or "gap".
    async fn next_placed(&mut self) -> (String, Option<Position>) {
        match within("a message or a gap", self.heard.next()).await {
            Some(Heard::Message { message, position }) => (message.to_string(), position),
            Some(Heard::Gap) => ("gap".to_owned(), None),
            other => panic!("{other:?}"),
        }
    }

    async fn hears(&mut self, texts: &[&str]) {
        for text in texts {
            assert_eq!(self.next().await, *text);
        }
    }

    /// All that comes up to this message.
    async fn all_up_to(&mut self, last: &str) -> Vec<String> {
        let mut heard = Vec::new();
        while heard.last().is_none_or(|text| text != last) {
            heard.push(self.next().await);
        }
        heard
    }

    async fn is_down(&mut self) {
        self.event("the engine is down", |event| matches!(event, TopicsEvent::Down(_))).await;
    }

    async fn is_up(&mut self) {
        self.event("the engine is up", |event| *event == TopicsEvent::Up).await;
    }

    async fn event(&mut self, what: &str, is_it: impl Fn(&TopicsEvent) -> bool) {
        let wait = async {
            while let Some(event) = self.events.next().await {
                if is_it(&event) {
                    return;
                }
            }
            panic!("the events have ended");
        };
        within(what, wait).await;
    }

    /// Cuts the link until the node notices.
    async fn cut(&mut self) {
        self.link.set(State::Cut);
        self.is_down().await;
    }

    async fn join_again(&mut self) {
        self.link.set(State::Open);
        self.is_up().await;
    }
}

type Builder = fn() -> TopicsBuilder;

/// Without history and with it, each under a name of its own.
fn both() -> [(&'static str, Builder); 2] {
    [("plain", Topics::builder), ("kept", kept)]
}

fn kept() -> TopicsBuilder {
    Topics::builder().history(History::last(5))
}

fn messages(mut heard: Vec<String>) -> Vec<String> {
    heard.retain(|text| text != "gap");
    heard
}

/// Delivery: at most once to each subscriber.
pub async fn a_message_that_is_sent_twice_is_heard_once(rig: Rig) {
    for (name, builder) in both() {
        let (mut one, mut two) = (Node::new(&rig, name, builder()).await, Node::new(&rig, name, builder()).await);
        // The first message with history takes more than one call.
        one.publish("first");
        for node in [&mut one, &mut two] {
            node.hears(&["first"]).await;
        }
        // Its answer must have come, or the next one would wait for it.
        assert!(within("the first message is confirmed", one.topics.flush()).await);
        // The broker gets the message, but its answer is lost, so it is sent again.
        one.link.set(State::Deaf);
        one.publish("a");
        two.hears(&["a"]).await;
        one.cut().await;
        one.join_again().await;
        one.publish("b");
        assert_eq!(messages(two.all_up_to("b").await), ["b"]);
        assert_eq!(messages(one.all_up_to("b").await), ["a", "b"]);
    }
}

/// Delivery: a message's own node hears it once, never again through the broker.
pub async fn a_node_hears_its_own_message_once(rig: Rig) {
    for (name, builder) in both() {
        let (mut one, mut two) = (Node::new(&rig, name, builder()).await, Node::new(&rig, name, builder()).await);
        one.publish("a");
        two.hears(&["a"]).await;
        two.publish("b");
        one.hears(&["a", "b"]).await;
        two.hears(&["b"]).await;
    }
}

/// Order: messages of one publisher on one topic arrive in order everywhere.
pub async fn messages_of_one_publisher_are_heard_in_order_everywhere(rig: Rig) {
    for (name, builder) in both() {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(Node::new(&rig, name, builder()).await);
        }
        for round in 0..10 {
            for count in 0..200 {
                nodes[0].publish(&format!("{round}/{count}"));
            }
            for node in &mut nodes {
                for count in 0..200 {
                    node.hears(&[&format!("{round}/{count}")]).await;
                }
            }
        }
    }
}

/// Order: with history on, all nodes deliver in the one order of the engine, with no hole.
pub async fn with_history_all_nodes_hear_one_order_without_holes(rig: Rig) {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Node::new(&rig, "kept", kept()).await);
    }
    for count in 0..200 {
        for (index, node) in nodes.iter().enumerate() {
            node.publish(&format!("{index}/{count}"));
        }
        tokio::task::yield_now().await;
    }
    let mut last = 0;
    for _ in 0..600 {
        let heard = nodes[0].next_placed().await;
        let offset = heard.1.expect("a position").offset;
        assert!(offset > last, "{heard:?} came after {last}");
        last = offset;
        for node in &mut nodes[1..] {
            assert_eq!(node.next_placed().await, heard);
        }
    }
}

/// Subscribing: once it is ready, what is published afterwards anywhere is heard.
pub async fn once_subscribed_a_node_hears_all(rig: Rig) {
    for (name, builder) in both() {
        let (one, two) = (Node::new(&rig, name, builder()).await, Node::new(&rig, name, builder()).await);
        for round in 0..50 {
            let name = format!("{name} {round}");
            let topic = two.topics.topic(name.clone()).expect("a short name");
            let mut heard = topic.listen();
            assert_eq!(within("a subscription", topic.reach()).await, Reach::AllNodes);
            one.topics.topic(name).expect("a short name").publish("x").expect("room");
            let heard = within("a message after the subscription", heard.next()).await;
            assert!(matches!(&heard, Some(Heard::Message { message, .. }) if message.to_string() == "x"), "{heard:?}");
        }
    }
}

/// Engine down: `publish` says `Offline`; local subscribers go on hearing; events say down and up.
pub async fn while_the_engine_is_down_local_subscribers_go_on(mut rig: Rig) {
    for (name, builder) in both() {
        let mut one = Node::new(&rig, name, builder()).await;
        rig.broker.kill();
        one.is_down().await;
        assert!(!one.topics.is_up());
        for text in ["a", "b"] {
            assert_eq!(one.publish(text), Delivery::Offline);
        }
        one.hears(&["a", "b"]).await;
        rig.broker.restart();
        one.is_up().await;
        one.publish("c");
        assert_eq!(messages(one.all_up_to("c").await), ["c"]);
    }
}

/// Engine down: a bounded outbox keeps the newest messages. The others are a gap elsewhere.
pub async fn the_outbox_keeps_the_newest_and_tells_of_the_others(rig: Rig) {
    for (name, builder) in both() {
        let limits = OutboxLimits { messages: 2, bytes: 10_000 };
        let mut one = Node::new(&rig, name, builder().outbox(limits)).await;
        let mut two = Node::new(&rig, name, builder()).await;
        one.cut().await;
        for text in ["a", "b", "c"] {
            assert_eq!(one.publish(text), Delivery::Offline);
        }
        assert_eq!(one.topics.dropped(), 1);
        one.join_again().await;
        one.publish("d");
        let heard = two.all_up_to("d").await;
        assert!(heard.contains(&"gap".to_owned()), "a was lost: {heard:?}");
        assert_eq!(messages(heard), ["b", "c", "d"]);
    }
}

/// Engine down: the outbox can be off. All that is published is then a gap elsewhere, without a further message.
pub async fn without_an_outbox_others_are_told(rig: Rig) {
    for (name, builder) in both() {
        let mut one = Node::new(&rig, name, builder().outbox(OutboxLimits::OFF)).await;
        let mut two = Node::new(&rig, name, builder()).await;
        one.cut().await;
        one.publish("a");
        one.join_again().await;
        two.hears(&["gap"]).await;
        one.publish("b");
        two.hears(&["b"]).await;
    }
}

/// Engine back: each topic gets a gap.
pub async fn a_node_that_was_away_is_told_of_a_gap(rig: Rig) {
    let (one, mut two) =
        (Node::new(&rig, "plain", Topics::builder()).await, Node::new(&rig, "plain", Topics::builder()).await);
    two.cut().await;
    one.publish("a");
    two.join_again().await;
    two.hears(&["gap"]).await;
    one.publish("b");
    // The loss may be seen a second time in the next message.
    assert_eq!(messages(two.all_up_to("b").await), ["b"]);
}

/// Engine back: no gap if the history proves that nothing was missed, or has what was.
pub async fn history_fills_in_what_a_node_missed(rig: Rig) {
    let (mut one, mut two) = (Node::new(&rig, "kept", kept()).await, Node::new(&rig, "kept", kept()).await);
    two.cut().await;
    two.join_again().await;
    one.publish("a");
    two.hears(&["a"]).await;
    two.cut().await;
    for text in ["b", "c", "d"] {
        one.publish(text);
    }
    one.hears(&["a", "b", "c", "d"]).await;
    two.join_again().await;
    one.publish("e");
    two.hears(&["b", "c", "d", "e"]).await;
}

/// Engine back: a gap, and no part of what was missed, if the history has not all of it.
pub async fn history_that_forgot_something_is_a_gap(rig: Rig) {
    let (mut one, mut two) = (Node::new(&rig, "kept", kept()).await, Node::new(&rig, "kept", kept()).await);
    one.publish("a");
    two.hears(&["a"]).await;
    two.cut().await;
    for count in 0..8 {
        one.publish(&count.to_string());
    }
    one.all_up_to("7").await;
    two.join_again().await;
    two.hears(&["gap"]).await;
    one.publish("b");
    two.hears(&["b"]).await;
}

/// Engine back: a gap, if the broker has lost its data.
pub async fn a_broker_that_lost_its_data_is_a_gap(mut rig: Rig) {
    let (mut one, mut two) = (Node::new(&rig, "kept", kept()).await, Node::new(&rig, "kept", kept()).await);
    one.publish("a");
    for node in [&mut one, &mut two] {
        node.hears(&["a"]).await;
    }
    rig.broker.restart_empty();
    for node in [&mut one, &mut two] {
        node.is_up().await;
        node.hears(&["gap"]).await;
    }
    one.publish("b");
    for node in [&mut one, &mut two] {
        node.hears(&["b"]).await;
    }
}

/// A broker that does not answer costs counted drops beyond a bound. They are a gap elsewhere.
pub async fn a_stopped_broker_costs_drops_that_are_told(rig: Rig) {
    for (name, builder) in both() {
        let (mut one, mut two) = (Node::new(&rig, name, builder()).await, Node::new(&rig, name, builder()).await);
        let large = "x".repeat(1 << 19);
        rig.broker.stop();
        let mut taken = 0;
        // The bound is in force while the broker counts as up, and another one afterwards.
        while one.topics.dropped() == 0 {
            one.publish(&large);
            taken += 1;
            assert!(taken < 1000, "there is no bound");
        }
        rig.broker.go_on();
        let heard = two.next_gap(taken).await;
        assert!(heard < taken, "all were heard");
        // Local subscribers hear all, or are told too.
        let mut heard = 0;
        while heard < taken && one.next().await != "gap" {
            heard += 1;
        }
        one.next_up().await;
    }
}

impl Node {
    /// The number of messages before the next gap. There are at most so many.
    async fn next_gap(&mut self, most: usize) -> usize {
        for count in 0..=most {
            if self.next().await == "gap" {
                return count;
            }
        }
        panic!("no gap was told");
    }

    async fn next_up(&mut self) {
        let wait = async {
            while !self.topics.is_up() {
                self.events.next().await.expect("the topics live");
            }
        };
        within("the engine is up", wait).await;
    }
}
