//! The contract of topics that span nodes, sentence by sentence, over a broker in memory whose failures are controlled.
//! Two nodes are two `Topics` of one program.

use std::time::Duration;

use ropeway::engine::EngineFault;
use ropeway::{
    Delivery, Events, Heard, History, Listening, Message, OutboxLimits, Position, PublishError, Reach, Topic, Topics,
    TopicsBuilder, TopicsEvent,
};
use tokio::time::{advance, pause};

use super::broker::Broker;
use super::eventually::{eventually, within};

struct Node {
    topics: Topics,
    topic: Topic,
    heard: Listening,
    events: Events,
}

impl Node {
    async fn new(broker: &Broker) -> Self {
        Self::with(broker, Topics::builder()).await
    }

    async fn with(broker: &Broker, builder: TopicsBuilder) -> Self {
        let topics = within("a connection", builder.connect(broker.clone())).await.expect("the broker is up");
        let events = topics.events();
        let topic = topics.topic("topic").expect("a short name");
        let heard = topic.listen();
        assert_eq!(within("a subscription", topic.reach()).await, Reach::AllNodes);
        Self { topics, topic, heard, events }
    }

    fn publish(&self, text: &str) -> Delivery {
        self.topic.publish(text).expect("room").engine.expect("there is an engine")
    }

    /// The next message, or "gap".
    async fn next(&mut self) -> String {
        text(within("a message", self.heard.next()).await)
    }

    async fn hears(&mut self, texts: &[&str]) {
        for text in texts {
            assert_eq!(self.next().await, *text);
        }
    }

    async fn event(&mut self, wanted: &TopicsEvent) {
        let wait = async {
            while let Some(event) = self.events.next().await {
                if event == *wanted {
                    return;
                }
            }
            panic!("the events have ended");
        };
        within(&format!("{wanted:?}"), wait).await;
    }

    async fn until(&self, is_up: bool) {
        eventually("the engine's state", || self.topics.is_up() == is_up).await;
    }
}

/// Lets this time pass on the paused clock. All tasks have run before and after.
pub(crate) async fn pass(time: Duration) {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    advance(time).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Lets time pass until the condition holds, at most a minute.
pub(crate) async fn in_time(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..60 {
        if is_so() {
            return;
        }
        pass(Duration::from_secs(1)).await;
    }
    panic!("a minute has passed without this: {what}");
}

fn text(heard: Option<Heard>) -> String {
    match heard {
        Some(Heard::Message { message, .. }) => message.to_string(),
        Some(Heard::Gap) => "gap".to_owned(),
        other => panic!("{other:?}"),
    }
}

fn history() -> TopicsBuilder {
    Topics::builder().history(History::last(5))
}

#[tokio::test]
async fn a_message_is_heard_once_on_each_node_in_order() {
    for builder in [Topics::builder, history] {
        let broker = Broker::default();
        let (mut one, mut two) = (Node::with(&broker, builder()).await, Node::with(&broker, builder()).await);
        for count in 0..500 {
            assert!(matches!(one.publish(&format!("{count}")), Delivery::Sent | Delivery::Queued));
            if count % 7 == 0 {
                // Messages of one publisher stay in order, however they are cut into batches.
                tokio::task::yield_now().await;
            }
        }
        for count in 0..500 {
            for node in [&mut one, &mut two] {
                assert_eq!(node.next().await, count.to_string());
            }
        }
        two.publish("last");
        one.hears(&["last"]).await;
        two.hears(&["last"]).await;
        assert_eq!((one.topics.dropped(), broker.published()), (0, 501));
    }
}

#[tokio::test]
async fn with_history_all_nodes_hear_one_order() {
    let broker = Broker::default();
    let (mut one, mut two) = (Node::with(&broker, history()).await, Node::with(&broker, history()).await);
    for count in 0..100 {
        one.publish(&format!("one {count}"));
        two.publish(&format!("two {count}"));
        if count % 3 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut positions = Vec::new();
    for _ in 0..200 {
        let heard = (within("a message", one.heard.next()).await, within("a message", two.heard.next()).await);
        assert_eq!(heard.0, heard.1);
        let Some(Heard::Message { position: Some(position), .. }) = heard.0 else { panic!("{heard:?}") };
        positions.push(position.offset);
    }
    assert_eq!(positions, (1..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn while_the_engine_is_down_local_subscribers_hear_and_the_outbox_keeps_the_newest() {
    for builder in [Topics::builder, history] {
        let broker = Broker::default();
        let limits = OutboxLimits { messages: 2, bytes: 10_000 };
        let mut one = Node::with(&broker, builder().outbox(limits)).await;
        let mut two = Node::with(&broker, builder()).await;
        broker.kill();
        one.until(false).await;
        two.until(false).await;
        for text in ["a", "b", "c"] {
            assert_eq!(one.publish(text), Delivery::Offline);
        }
        one.hears(&["a", "b", "c"]).await;
        assert_eq!(one.topics.dropped(), 1);
        one.event(&TopicsEvent::Down("the broker was killed".into())).await;
        // Both nodes are back before the next message.
        broker.start();
        one.event(&TopicsEvent::Up).await;
        two.event(&TopicsEvent::Up).await;
        one.publish("d");
        // A node that was away may have missed messages, and those of the outbox may have come before it was back.
        let mut heard = Vec::new();
        while heard.last().is_none_or(|text| text != "d") {
            heard.push(two.next().await);
        }
        let messages: Vec<_> = heard.iter().filter(|text| *text != "gap").collect();
        assert!(["bcd", "cd", "d"].contains(&messages.into_iter().cloned().collect::<String>().as_str()), "{heard:?}");
        assert!(heard.contains(&"gap".to_owned()), "a was lost: {heard:?}");
        assert_eq!(one.topics.dropped(), 1);
    }
}

#[tokio::test]
async fn without_an_outbox_nothing_is_kept() {
    let broker = Broker::default();
    let one = Node::with(&broker, Topics::builder().outbox(OutboxLimits::OFF)).await;
    broker.kill();
    one.until(false).await;
    assert_eq!(one.publish("a"), Delivery::Offline);
    assert_eq!(one.topics.dropped(), 1);
}

#[tokio::test]
async fn a_node_that_was_away_is_told_of_a_gap() {
    let broker = Broker::default();
    let mut one = Node::new(&broker).await;
    broker.kill();
    one.until(false).await;
    broker.start();
    one.event(&TopicsEvent::Gap("topic".try_into().expect("a short name"))).await;
    one.hears(&["gap"]).await;
}

#[tokio::test]
async fn history_proves_that_nothing_was_missed_and_fills_in_what_was() {
    let broker = Broker::default();
    let (mut one, mut two) = (Node::with(&broker, history()).await, Node::with(&broker, history()).await);
    one.publish("a");
    one.hears(&["a"]).await;
    two.hears(&["a"]).await;
    broker.kill();
    one.until(false).await;
    two.until(false).await;
    broker.start();
    one.event(&TopicsEvent::Up).await;
    two.event(&TopicsEvent::Up).await;
    one.publish("b");
    one.hears(&["b"]).await;
    two.hears(&["b"]).await;
    // Deliveries get lost on the way: the next one shows the hole.
    broker.lose(2);
    one.publish("c");
    one.publish("d");
    eventually("two messages", || broker.published() == 4).await;
    one.publish("e");
    one.hears(&["c", "d", "e"]).await;
    two.hears(&["c", "d", "e"]).await;
    // More than the history keeps.
    broker.lose(6);
    for count in 0..6 {
        one.publish(&count.to_string());
    }
    eventually("six messages", || broker.published() == 11).await;
    one.publish("f");
    one.hears(&["gap", "f"]).await;
    two.hears(&["gap", "f"]).await;
    // The broker comes back without its data.
    broker.kill();
    one.until(false).await;
    broker.forget();
    broker.start();
    one.hears(&["gap"]).await;
}

#[tokio::test]
async fn a_hole_in_the_messages_of_a_node_is_told() {
    let broker = Broker::default();
    let (one, mut two) = (Node::new(&broker).await, Node::new(&broker).await);
    one.publish("a");
    two.hears(&["a"]).await;
    broker.lose(1);
    one.publish("b");
    eventually("two messages", || broker.published() == 2).await;
    one.publish("c");
    two.hears(&["gap", "c"]).await;
}

#[tokio::test]
async fn a_loss_while_the_engine_is_up_is_told_without_a_further_message() {
    for builder in [Topics::builder, history] {
        let broker = Broker::default();
        let (mut one, mut two) = (Node::with(&broker, builder()).await, Node::with(&broker, builder()).await);
        broker.stop(true);
        let large = "x".repeat(1 << 19);
        let mut kept = 0;
        while one.publish(&large) != Delivery::Full {
            kept += 1;
            assert!(kept < 100, "there is no bound");
        }
        broker.stop(false);
        for _ in 0..kept {
            two.hears(&[&large]).await;
        }
        two.hears(&["gap"]).await;
        // With history the message is lost on its own node too.
        let has_history = one.topic.position().is_some();
        let mut heard = Vec::new();
        for _ in 0..=kept {
            heard.push(one.next().await);
        }
        assert_eq!(heard.iter().filter(|text| *text == "gap").count(), usize::from(has_history));
        one.publish("next");
        two.hears(&["next"]).await;
        one.hears(&["next"]).await;
        assert_eq!(one.topics.dropped(), 1);
    }
}

#[tokio::test]
async fn a_loss_is_told_at_its_place() {
    for builder in [Topics::builder, history] {
        let broker = Broker::default();
        let (one, mut two) = (Node::with(&broker, builder()).await, Node::with(&broker, builder()).await);
        broker.stop(true);
        let large = "x".repeat(1 << 19);
        let mut kept = 0;
        while one.publish(&large) != Delivery::Full {
            kept += 1;
        }
        // It is small enough to be taken.
        assert_eq!(one.publish("next"), Delivery::Queued);
        broker.stop(false);
        for _ in 0..kept {
            two.hears(&[&large]).await;
        }
        two.hears(&["gap", "next"]).await;
    }
}

#[tokio::test]
async fn a_message_that_the_broker_refuses_is_heard_here_and_a_gap_elsewhere() {
    for builder in [Topics::builder, history] {
        let broker = Broker::default();
        let (mut one, mut two) = (Node::with(&broker, builder()).await, Node::with(&broker, builder()).await);
        broker.refuse(true);
        one.publish("a");
        one.hears(&["a"]).await;
        one.event(&TopicsEvent::Refused("not allowed".into())).await;
        broker.refuse(false);
        one.publish("b");
        one.hears(&["b"]).await;
        two.hears(&["gap", "b"]).await;
        assert_eq!(one.topics.dropped(), 1);
    }
}

#[tokio::test]
async fn history_of_a_quiet_topic_proves_that_nothing_was_missed() {
    let broker = Broker::default();
    let (one, mut two) = (Node::with(&broker, history()).await, Node::with(&broker, history()).await);
    assert_eq!(two.topic.position(), Some(Position::new(0, 0)));
    broker.cut(1);
    one.publish("a");
    eventually("a message", || broker.published() == 1).await;
    two.event(&TopicsEvent::Up).await;
    two.hears(&["a"]).await;
}

#[tokio::test]
async fn a_topic_that_is_heard_again_knows_what_was_heard_while_the_engine_was_down() {
    let broker = Broker::default();
    let Node { topics, topic, mut heard, mut events } = Node::with(&broker, history()).await;
    broker.kill();
    eventually("the engine is down", || !topics.is_up()).await;
    topic.publish("a").expect("room");
    assert_eq!(text(within("a message", heard.next()).await), "a");
    drop((heard, topic));
    let topic = topics.topic("topic").expect("a short name");
    let mut heard = topic.listen();
    topic.publish("b").expect("room");
    broker.start();
    while within("an event", events.next()).await != Some(TopicsEvent::Up) {}
    topic.publish("c").expect("room");
    let mut texts = Vec::new();
    while texts.last().is_none_or(|last| last != "c") {
        texts.push(text(within("a message", heard.next()).await));
    }
    texts.retain(|text| text != "gap");
    assert_eq!(texts, ["b", "c"]);
    // Messages that wait keep neither the topics nor their task alive.
    broker.kill();
    eventually("the engine is down", || !topics.is_up()).await;
    topic.publish("d").expect("room");
    drop((heard, topic, topics));
    let ended = async { while within("an event", events.next()).await.is_some() {} };
    within("the end of the events", ended).await;
}

#[tokio::test]
async fn a_batch_that_was_not_confirmed_is_heard_once() {
    for builder in [Topics::builder, history] {
        let broker = Broker::default();
        let (mut one, mut two) = (Node::with(&broker, builder()).await, Node::with(&broker, builder()).await);
        broker.leave_unconfirmed();
        one.publish("a");
        eventually("a first attempt", || broker.published() == 1).await;
        one.event(&TopicsEvent::Up).await;
        eventually("a second attempt", || broker.published() == 2).await;
        one.publish("b");
        two.hears(&["a", "b"]).await;
        let mut heard = Vec::new();
        while heard.last().is_none_or(|text| text != "b") {
            heard.push(one.next().await);
        }
        // Without history the node may have missed messages of others.
        heard.retain(|text| text != "gap");
        assert_eq!(heard, ["a", "b"]);
    }
}

#[tokio::test]
async fn publishing_into_a_broker_that_does_not_answer_is_bounded() {
    let broker = Broker::default();
    let mut one = Node::new(&broker).await;
    broker.stop(true);
    let mut last = Delivery::Sent;
    let mut count = 0;
    while last != Delivery::Full {
        last = one.publish("x");
        count += 1;
        one.hears(&["x"]).await;
        assert!(count < 100_000, "there is no bound");
    }
    assert_eq!((count, one.topics.dropped()), (16 * 1024 + 1, 1));
    // After the longest wait for an answer the broker counts as down.
    pause();
    in_time("the engine is down", || !one.topics.is_up()).await;
    assert_eq!(one.publish("x"), Delivery::Offline);
}

#[tokio::test]
async fn a_message_that_the_broker_does_not_take_is_refused_by_name() {
    let broker = Broker::default();
    let mut one = Node::new(&broker).await;
    let error = one.topic.publish(vec![0; 1 << 20]).expect_err("it is too large");
    assert!(matches!(error, PublishError::TooLarge { limit } if limit < 1 << 20), "{error}");
    broker.refuse(true);
    one.publish("a");
    one.event(&TopicsEvent::Refused("not allowed".into())).await;
    assert_eq!(one.topics.dropped(), 1);
}

#[tokio::test]
async fn an_unreachable_broker_at_the_start_is_an_error_or_waited_for() {
    let broker = Broker::default();
    broker.kill();
    let error = Topics::builder().connect(broker.clone()).await.expect_err("it is down");
    assert_eq!(error.fault(), EngineFault::Unreachable);
    let topics = Topics::builder().start(broker.clone()).expect("it waits");
    let topic = topics.topic("topic").expect("a short name");
    let mut heard = topic.listen();
    assert_eq!(within("an attempt", topic.reach()).await, Reach::Offline);
    broker.start();
    assert_eq!(text(within("a gap", heard.next()).await), "gap");
    assert_eq!(within("a subscription", topic.reach()).await, Reach::AllNodes);
}

#[tokio::test]
async fn a_topic_is_subscribed_while_it_is_heard_and_a_little_longer() {
    pause();
    let broker = Broker::default();
    let topics = Topics::builder().connect(broker.clone()).await.expect("the broker is up");
    assert_eq!(broker.calls(), ["connect"]);
    let topic = topics.topic("a.b *>").expect("a short name");
    assert_eq!(within("an answer", topic.reach()).await, Reach::Unheard);
    let (first, second) = (topic.listen(), topic.listen());
    assert_eq!(within("a subscription", topic.reach()).await, Reach::AllNodes);
    assert_eq!(broker.calls(), ["+a.b *>"]);
    drop(first);
    drop(second);
    drop(topic.listen());
    for _ in 0..3 {
        pass(Duration::from_secs(1)).await;
    }
    let third = topic.listen();
    for _ in 0..60 {
        pass(Duration::from_secs(1)).await;
    }
    assert_eq!(broker.calls(), [""; 0], "it was heard again in time");
    drop((third, topic));
    assert_eq!(topics.len(), 1, "it lingers");
    in_time("it is forgotten", || topics.is_empty()).await;
    assert_eq!(broker.calls(), ["-a.b *>"]);
}

#[tokio::test]
async fn the_position_can_be_put_into_a_message_and_gaps_are_told_to_clients() {
    let topics = Topics::builder()
        .history(History::last(3))
        .encode(|publication| {
            let position = publication.position.expect("there is history");
            Message::from(format!("{} {} {}", publication.topic, position.offset, publication.message))
        })
        .build();
    let topic = topics.topic("room").expect("a short name");
    let mut heard = topic.listen();
    let published = topic.publish("hello").expect("room");
    assert_eq!((published.local, published.engine), (0, None));
    let position = published.position.expect("there is history");
    assert_eq!((position.offset, topic.position()), (1, Some(position)));
    let message = Message::from("hello");
    assert_eq!(heard.next().await, Some(Heard::Message { message, position: Some(position) }));
    assert_eq!(position.to_string().parse(), Ok::<Position, _>(position));
}

#[tokio::test]
async fn a_gap_is_told_before_the_first_message_behind_it() {
    let broker = Broker::default();
    let (one, mut two) = (Node::new(&broker).await, Node::new(&broker).await);
    broker.be_slow();
    broker.lose(1);
    one.publish("lost");
    one.publish("late");
    assert!(within("the messages are at the broker", one.topics.flush()).await);
    broker.cut_last();
    two.until(false).await;
    broker.start();
    two.hears(&["gap", "late"]).await;
}

#[tokio::test]
async fn a_topic_that_the_broker_refuses_keeps_no_other_from_being_heard() {
    let broker = Broker::default();
    let mut one = Node::new(&broker).await;
    broker.forbid("secret");
    let topics: Vec<_> = ["a", "secret", "b"].map(|name| one.topics.topic(name).expect("a short name")).into();
    let _heard: Vec<_> = topics.iter().map(Topic::listen).collect();
    for topic in [&topics[0], &topics[2]] {
        assert_eq!(within("a subscription", topic.reach()).await, Reach::AllNodes);
    }
    assert_eq!(within("an answer", topics[1].reach()).await, Reach::Refused);
    one.event(&TopicsEvent::Refused("this topic is forbidden".into())).await;
}

#[tokio::test]
async fn flushing_waits_until_the_engine_has_all_that_was_published() {
    let broker = Broker::default();
    let one = Node::new(&broker).await;
    for _ in 0..2000 {
        one.publish("x");
    }
    assert!(within("a flush", one.topics.flush()).await);
    assert_eq!(broker.published(), 2000);
    broker.kill();
    one.until(false).await;
    assert!(within("a flush", one.topics.flush()).await, "nothing waits");
    one.publish("y");
    assert!(!within("a flush", one.topics.flush()).await);
    assert!(within("a flush", Topics::new().flush()).await);
}
