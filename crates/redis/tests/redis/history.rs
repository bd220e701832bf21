//! Histories: messages that are stored and published in one step.

use std::time::Duration;

use ropeway::History;
use ropeway::engine::{Position, Replay, Wanted};
use testkit::broker::{Broker, REDIS};

use crate::node::{Node, command, engine, name, within};

const LAST_10: History = History::last(10);

impl Node {
    async fn replay(&self, history: History, after: Option<Position>) -> Replay {
        within("a replay", self.session.replay(&name("a"), history, after)).await.expect("there is a history")
    }

    async fn end(&self) -> Position {
        let replay = self.replay(LAST_10, None).await;
        assert!(replay.is_complete && replay.messages.is_empty());
        replay.end
    }

    async fn numbers(&self, history: History, numbers: std::ops::RangeInclusive<u32>) {
        let bodies: Vec<String> = numbers.map(|number| number.to_string()).collect();
        let batch: Vec<(&str, &str)> = bodies.iter().map(|body| ("a", body.as_str())).collect();
        self.publish(Some(history), &batch).await.unwrap();
    }
}

/// Checks that a replay has just these messages, whose bodies are their offsets.
fn has(replay: &Replay, offsets: std::ops::RangeInclusive<u64>) {
    assert!(replay.is_complete, "{replay:?}");
    let found: Vec<(Position, String)> =
        replay.messages.iter().map(|(at, body)| (*at, String::from_utf8(body.to_vec()).unwrap())).collect();
    let epoch = replay.end.epoch;
    let expected: Vec<_> = offsets.map(|offset| (Position::new(epoch, offset), offset.to_string())).collect();
    assert_eq!(found, expected);
}

/// Checks that nothing was missed.
fn has_none(replay: &Replay) {
    assert!(replay.is_complete && replay.messages.is_empty(), "{replay:?}");
}

fn is_incomplete(replay: &Replay) {
    assert!(!replay.is_complete && replay.messages.is_empty(), "{replay:?}");
}

#[tokio::test]
async fn messages_arrive_with_their_positions_in_one_order_everywhere() {
    let broker = Broker::start(REDIS);
    let (mut one, mut two) = (Node::on(&broker).await, Node::on(&broker).await);
    for node in [&one, &two] {
        node.subscribe(&["a"]).await.unwrap();
    }
    for round in 0..20 {
        one.publish(Some(LAST_10), &[("a", &format!("one {round}")), ("a", "1"), ("b", "x")]).await.unwrap();
        two.publish(Some(LAST_10), &[("a", &format!("two {round}"))]).await.unwrap();
    }
    let mut epoch = None;
    for offset in 1..=60 {
        let (heard, also) = (one.placed().await, two.placed().await);
        assert_eq!(heard, also);
        let (position, before) = heard.2.expect("it has a place");
        assert_eq!((position.offset, before), (offset, offset - 1));
        assert_eq!(*epoch.get_or_insert(position.epoch), position.epoch);
    }
    assert_eq!(one.end().await, Position::new(epoch.unwrap(), 60));
}

#[tokio::test]
async fn a_replay_is_complete_as_long_as_nothing_is_missing() {
    let broker = Broker::start(REDIS);
    let node = Node::on(&broker).await;
    let start = node.end().await;
    assert_eq!(start.offset, 0);
    assert_eq!(node.end().await, start, "the position of a topic without messages stays good");
    has_none(&node.replay(LAST_10, Some(start)).await);
    node.numbers(LAST_10, 1..=10).await;
    let at = |offset| Some(Position::new(start.epoch, offset));
    has(&node.replay(LAST_10, at(0)).await, 1..=10);
    has(&node.replay(LAST_10, at(9)).await, 10..=10);
    has_none(&node.replay(LAST_10, at(10)).await);
    // No message has these positions.
    is_incomplete(&node.replay(LAST_10, at(11)).await);
    is_incomplete(&node.replay(LAST_10, at(u64::MAX)).await);
    is_incomplete(&node.replay(LAST_10, Some(Position::new(start.epoch ^ 1, 9))).await);
    // One more than the history keeps.
    node.numbers(LAST_10, 11..=11).await;
    is_incomplete(&node.replay(LAST_10, at(0)).await);
    has(&node.replay(LAST_10, at(1)).await, 2..=11);
    // A history that is set shorter here than where it was written.
    is_incomplete(&node.replay(History::last(9), at(1)).await);
    has(&node.replay(History::last(9), at(2)).await, 3..=11);
    let replay = node.replay(LAST_10, at(0)).await;
    assert_eq!(replay.end, Position::new(start.epoch, 11));
}

#[tokio::test]
async fn a_history_keeps_no_more_than_its_count() {
    let broker = Broker::start(REDIS);
    let node = Node::on(&broker).await;
    node.numbers(LAST_10, 1..=1000).await;
    assert_eq!(command(&broker.address(), &["XLEN", "rw{:a}s"]), redis::Value::Int(10));
}

#[tokio::test]
async fn a_message_expires_although_its_topic_goes_on() {
    let broker = Broker::start(REDIS);
    let node = Node::on(&broker).await;
    // The clock cannot be set, so entries that are an hour old are put there.
    node.numbers(LAST_10, 1..=3).await;
    let end = node.end().await;
    let address = broker.address();
    command(&address, &["DEL", "rw{:a}s"]);
    let redis::Value::Array(now) = command(&address, &["TIME"]) else { panic!("a time") };
    let redis::Value::BulkString(seconds) = &now[0] else { panic!("seconds") };
    let seconds: u64 = String::from_utf8(seconds.clone()).unwrap().parse().unwrap();
    for (offset, age) in [(1, 3600), (2, 3000), (3, 0)] {
        let id = format!("{offset}-{}", (seconds - age) * 1000);
        command(&address, &["XADD", "rw{:a}s", &id, "b", &offset.to_string()]);
    }
    let at = |offset| Some(Position::new(end.epoch, offset));
    let for_at_most = |seconds| LAST_10.for_at_most(Duration::from_secs(seconds));
    has(&node.replay(for_at_most(4000), at(0)).await, 1..=3);
    is_incomplete(&node.replay(for_at_most(3500), at(0)).await);
    has(&node.replay(for_at_most(3500), at(1)).await, 2..=3);
    is_incomplete(&node.replay(for_at_most(2000), at(1)).await);
    has(&node.replay(for_at_most(2000), at(2)).await, 3..=3);
    has_none(&node.replay(for_at_most(2000), at(3)).await);
    // Publishing removes what has expired.
    node.numbers(for_at_most(2000), 4..=4).await;
    assert_eq!(command(&address, &["XLEN", "rw{:a}s"]), redis::Value::Int(2));
    has(&node.replay(for_at_most(2000), at(2)).await, 3..=4);
}

#[tokio::test]
async fn a_topic_is_forgotten_in_time_and_its_end_later() {
    let broker = Broker::start(REDIS);
    let node = Node::of(engine(&broker).remember_ends(Duration::from_secs(30))).await;
    node.numbers(LAST_10.for_at_most(Duration::from_secs(60)), 1..=3).await;
    for (key, seconds) in [("rw{:a}s", 60), ("rw{:a}h", 90)] {
        let redis::Value::Int(left) = command(&broker.address(), &["PTTL", key]) else { panic!("a number") };
        assert!((seconds * 1000 - 20_000..=seconds * 1000).contains(&left), "{key} lives {left} ms");
    }
    // The stream has expired.
    let end = node.end().await;
    command(&broker.address(), &["DEL", "rw{:a}s"]);
    has_none(&node.replay(LAST_10, Some(end)).await);
    is_incomplete(&node.replay(LAST_10, Some(Position::new(end.epoch, 2))).await);
    node.numbers(LAST_10, 4..=4).await;
    has(&node.replay(LAST_10, Some(end)).await, 4..=4);
}

#[tokio::test]
async fn the_end_of_a_history_is_known_as_long_as_it_is_subscribed() {
    let broker = Broker::start(REDIS);
    let node = Node::of(engine(&broker).remember_ends(Duration::from_secs(3))).await;
    let history = LAST_10.for_at_most(Duration::from_secs(60));
    let wanted = Wanted { topic: name("a"), history: Some(history) };
    within("subscribing", node.session.subscribe(std::slice::from_ref(&wanted))).await.unwrap();
    node.numbers(history, 1..=1).await;
    let left = || {
        let redis::Value::Int(left) = command(&broker.address(), &["PTTL", "rw{:a}h"]) else { panic!("a number") };
        left
    };
    for _ in 0..2 {
        let before = left();
        within("more time for the history", async {
            let mut least = before;
            while left() <= least {
                least = least.min(left());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
    assert!((40_000..=63_000).contains(&left()), "{} ms", left());
    node.unsubscribe(&["a"]).await.unwrap();
    drop(node);
}

#[tokio::test]
async fn what_is_lost_at_the_server_is_never_taken_for_complete() {
    let broker = Broker::start(REDIS);
    let address = broker.address();
    let node = Node::on(&broker).await;
    node.numbers(LAST_10, 1..=5).await;
    let end = node.end().await;
    let before = Some(Position::new(end.epoch, 4));

    // One entry is removed by hand.
    let redis::Value::Array(entries) = command(&address, &["XREVRANGE", "rw{:a}s", "+", "-", "COUNT", "2"]) else {
        panic!()
    };
    let redis::Value::Array(fourth) = &entries[1] else { panic!("an entry") };
    let redis::Value::BulkString(id) = &fourth[0] else { panic!("an id") };
    command(&address, &["XDEL", "rw{:a}s", std::str::from_utf8(id).unwrap()]);
    is_incomplete(&node.replay(LAST_10, Some(Position::new(end.epoch, 2))).await);
    has(&node.replay(LAST_10, before).await, 5..=5);

    // The stream is evicted, and the hash about it is not.
    command(&address, &["DEL", "rw{:a}s"]);
    is_incomplete(&node.replay(LAST_10, before).await);
    has_none(&node.replay(LAST_10, Some(end)).await);
    node.numbers(LAST_10, 6..=6).await;
    is_incomplete(&node.replay(LAST_10, before).await);
    has(&node.replay(LAST_10, Some(end)).await, 6..=6);

    // The hash about it is evicted, and the stream is not.
    command(&address, &["DEL", "rw{:a}h"]);
    is_incomplete(&node.replay(LAST_10, Some(end)).await);
    let next = node.end().await;
    assert_ne!(next.epoch, end.epoch);
    node.numbers(LAST_10, 1..=1).await;
    has(&node.replay(LAST_10, Some(next)).await, 1..=1);

    // The same, and the next call publishes. The old stream is further than the new one.
    node.numbers(LAST_10, 2..=8).await;
    command(&address, &["DEL", "rw{:a}h"]);
    node.numbers(LAST_10, 1..=2).await;
    let third = node.end().await;
    assert_eq!(third.offset, 2);
    assert!(third.epoch != next.epoch && third.epoch != end.epoch);
    is_incomplete(&node.replay(LAST_10, Some(next)).await);
    has(&node.replay(LAST_10, Some(Position::new(third.epoch, 0))).await, 1..=2);

    // All is gone.
    command(&address, &["FLUSHALL"]);
    is_incomplete(&node.replay(LAST_10, Some(third)).await);
    assert_ne!(node.end().await.epoch, third.epoch);
}

#[tokio::test]
async fn a_restart_begins_another_history() {
    let mut broker = Broker::start(REDIS);
    for with_data in [false, true] {
        let node = Node::on(&broker).await;
        node.numbers(LAST_10, 1..=5).await;
        let end = node.end().await;
        if with_data {
            broker.restart();
        } else {
            broker.restart_empty();
        }
        // The server has not the last messages perhaps, and would give their offsets again.
        let node = Node::on(&broker).await;
        is_incomplete(&node.replay(LAST_10, Some(end)).await);
        node.numbers(LAST_10, 1..=5).await;
        is_incomplete(&node.replay(LAST_10, Some(Position::new(end.epoch, 4))).await);
        assert_ne!(node.end().await.epoch, end.epoch);
    }
}

#[tokio::test]
async fn a_server_that_forgets_scripts_is_given_them_again() {
    let broker = Broker::start(REDIS);
    let mut node = Node::on(&broker).await;
    node.subscribe(&["a", "b"]).await.unwrap();
    for round in 0..5 {
        command(&broker.address(), &["SCRIPT", "FLUSH"]);
        node.publish(Some(LAST_10), &[("a", "1"), ("b", "2"), ("a", "3")]).await.unwrap();
        for offset in [1, 2] {
            let (position, _) = node.placed().await.2.expect("it has a place");
            assert!(position.offset == 2 * round + offset || position.offset == round + 1);
        }
        node.placed().await;
    }
    assert_eq!(node.end().await.offset, 10);
}

#[tokio::test]
async fn a_history_is_binary_safe() {
    let broker = Broker::start(REDIS);
    let node = Node::on(&broker).await;
    let start = node.end().await;
    let body: Vec<u8> = (0..=255).chain(*b"\r\n:+-").collect();
    let outgoing = ropeway::engine::Outgoing { topic: name("a"), body: body.clone().into(), history: Some(LAST_10) };
    node.session.publish(&[outgoing]).await.unwrap();
    assert_eq!(node.replay(LAST_10, Some(start)).await.messages[0].1, body);
}
