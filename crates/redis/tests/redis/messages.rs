//! Messages between nodes.

use std::time::Duration;

use bytes::Bytes;
use ropeway::engine::{Arrival, Engine, EngineFault, Inlet, Outgoing};
use testkit::broker::{Broker, REDIS};

use crate::node::{Node, command, engine, name, within};

#[tokio::test]
async fn a_message_reaches_every_node_that_has_subscribed() {
    let broker = Broker::start(REDIS);
    let (mut one, mut two) = (Node::on(&broker).await, Node::on(&broker).await);
    one.subscribe(&["a", "b"]).await.unwrap();
    two.subscribe(&["b"]).await.unwrap();
    one.publish(None, &[("a", "1"), ("b", "2"), ("c", "3"), ("b", "4")]).await.unwrap();
    let message = |topic: &str, body: &str| (topic.to_owned(), body.to_owned());
    for expected in [message("a", "1"), message("b", "2"), message("b", "4")] {
        assert_eq!(one.message().await, expected);
    }
    for expected in [message("b", "2"), message("b", "4")] {
        assert_eq!(two.message().await, expected);
    }
}

#[tokio::test]
async fn messages_published_after_subscribing_are_heard_and_after_unsubscribing_are_not() {
    let broker = Broker::start(REDIS);
    let (publisher, mut node) = (Node::on(&broker).await, Node::on(&broker).await);
    node.subscribe(&["end"]).await.unwrap();
    for round in 0..50 {
        let body = round.to_string();
        node.subscribe(&["a"]).await.unwrap();
        publisher.publish(None, &[("a", &body)]).await.unwrap();
        assert_eq!(node.message().await, ("a".to_owned(), body));
        node.unsubscribe(&["a"]).await.unwrap();
        publisher.publish(None, &[("a", "unheard")]).await.unwrap();
    }
    publisher.publish(None, &[("end", "")]).await.unwrap();
    assert_eq!(node.message().await, ("end".to_owned(), String::new()));
}

#[tokio::test]
async fn any_text_is_the_name_of_a_topic() {
    let long = "é".repeat(127) + "x";
    let names = [
        "", " ", "a b", "a.b", "*", ">", "?", "[a]", "{", "}", "}x", "{a}b", "\0", "\r\n", "\\", "é", "\u{202e}", "rw",
        &long,
    ];
    let broker = Broker::start(REDIS);
    let mut node = Node::on(&broker).await;
    node.subscribe(&names).await.unwrap();
    for name in names {
        node.publish(None, &[(name, name)]).await.unwrap();
        assert_eq!(node.message().await, (name.to_owned(), name.to_owned()));
    }
}

#[tokio::test]
async fn many_topics_are_one_batch() {
    let broker = Broker::start(REDIS);
    let mut node = Node::on(&broker).await;
    let names: Vec<String> = (0..5000).map(|number| format!("topic {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    node.subscribe(&names).await.unwrap();
    let batch: Vec<(&str, &str)> = names.iter().map(|&name| (name, "x")).collect();
    node.publish(None, &batch).await.unwrap();
    for &name in &names {
        assert_eq!(node.message().await.0, name);
    }
    node.unsubscribe(&names).await.unwrap();
    let redis::Value::Array(left) = command(&broker.address(), &["PUBSUB", "CHANNELS"]) else { panic!("a list") };
    assert_eq!(left, []);
}

#[tokio::test]
async fn applications_with_their_own_prefixes_do_not_hear_each_other() {
    let broker = Broker::start(REDIS);
    let mut one = Node::of(engine(&broker).prefix("one")).await;
    let mut two = Node::of(engine(&broker).prefix("two")).await;
    for node in [&one, &two] {
        node.subscribe(&["a"]).await.unwrap();
    }
    one.publish(None, &[("a", "of one")]).await.unwrap();
    two.publish(None, &[("a", "of two")]).await.unwrap();
    assert_eq!(one.message().await.1, "of one");
    assert_eq!(two.message().await.1, "of two");
}

#[tokio::test]
async fn a_message_of_another_program_is_ignored() {
    let broker = Broker::start(REDIS);
    let mut node = Node::on(&broker).await;
    node.subscribe(&["a"]).await.unwrap();
    command(&broker.address(), &["PUBLISH", "rw{:a}", "hello"]);
    node.publish(None, &[("a", "ours")]).await.unwrap();
    assert_eq!(node.message().await.1, "ours");
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_and_the_others_are_sent() {
    let broker = Broker::with_settings(REDIS, "proto-max-bulk-len 1mb");
    let mut node = Node::on(&broker).await;
    node.subscribe(&["a"]).await.unwrap();
    let max = node.session.max_message().expect("Redis has a limit");
    assert!((1 << 20) - 100 < max && max < 1 << 20, "{max}");
    let outgoing = |length| Outgoing { topic: name("a"), body: Bytes::from(vec![b'x'; length]), history: None };
    let batch = [outgoing(max), outgoing(max + 1), outgoing(1)];
    let error = within("publishing", node.session.publish(&batch)).await.expect_err("one is too long");
    assert_eq!(error.fault(), EngineFault::Refused);
    assert!(error.to_string().contains("proto-max-bulk-len"), "{error}");
    assert_eq!(node.message().await.1.len(), max);
    assert_eq!(node.message().await.1.len(), 1);
}

#[tokio::test]
async fn the_longest_message_is_one_that_subscribers_can_be_given() {
    let broker = Broker::with_settings(REDIS, "client-output-buffer-limit pubsub 1mb 0 0");
    let mut node = Node::on(&broker).await;
    node.subscribe(&["a"]).await.unwrap();
    let max = node.session.max_message().expect("Redis has a limit");
    let batch = [Outgoing { topic: name("a"), body: Bytes::from(vec![b'x'; max]), history: None }];
    within("publishing", node.session.publish(&batch)).await.unwrap();
    assert_eq!(node.message().await.1.len(), max);
}

#[tokio::test]
async fn a_node_that_does_not_keep_up_is_told_which_topics_miss_messages() {
    let broker = Broker::start(REDIS);
    let (inlet, mut arrivals) = Inlet::new(1);
    let session = within("connecting", engine(&broker).max_waiting(16 << 10).connect(inlet)).await.unwrap();
    let node = Node { session, arrivals: Inlet::new(1).1 };
    node.subscribe(&["a", "quiet", "end"]).await.unwrap();
    let publisher = Node::on(&broker).await;
    let kilobyte = "x".repeat(1024);
    publisher.publish(None, &[("quiet", "1")]).await.unwrap();
    for _ in 0..100 {
        publisher.publish(None, &[("a", &kilobyte)]).await.unwrap();
    }
    // When this is answered, all that was published has been read.
    node.subscribe(&["b"]).await.unwrap();
    let (mut messages, mut missed) = (0, 0);
    while messages + missed < 2 || missed == 0 {
        match within("an arrival", arrivals.recv()).await.expect("the session goes on") {
            Arrival::Message { .. } => messages += 1,
            Arrival::Missed { topic } => {
                assert_eq!(topic, Some(name("a")));
                missed += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((2..30).contains(&messages), "{messages} messages of a kilobyte fit into 16 KiB and the inlet");
    assert_eq!(missed, 1);
    // There is room again.
    publisher.publish(None, &[("a", "again")]).await.unwrap();
    let arrival = within("an arrival", arrivals.recv()).await;
    assert!(matches!(&arrival, Some(Arrival::Message { body, .. }) if body == "again"), "{arrival:?}");
}

#[tokio::test]
async fn a_session_that_is_dropped_disconnects() {
    let broker = Broker::start(REDIS);
    let node = Node::on(&broker).await;
    node.subscribe(&["a"]).await.unwrap();
    drop(node);
    within("the server seeing the end of the subscription", async {
        while command(&broker.address(), &["PUBSUB", "CHANNELS"]) != redis::Value::Array(Vec::new()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
