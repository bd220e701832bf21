//! Presence: the members of a topic, in one process and over several nodes.

use std::collections::BTreeSet;
use std::time::Duration;

use ropeway::{MemberEvent, MemberEvents, Members, Topics};
use tokio::time::pause;

use super::broker::Broker;
use super::eventually::{eventually, within};
use super::nodes::{in_time, pass};

fn members(topics: &Topics) -> Members {
    topics.members("room").expect("a short name")
}

async fn node(broker: &Broker) -> Topics {
    within("a connection", Topics::builder().connect(broker.clone())).await.expect("the broker is up")
}

/// The values of all members, and whether the list is complete.
async fn list(members: &Members) -> (BTreeSet<String>, bool) {
    let list = within("a list", members.list()).await;
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).expect("a text");
    (list.members.iter().map(|member| text(&member.value)).collect(), list.is_complete)
}

async fn next(events: &mut MemberEvents) -> String {
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).expect("a text");
    match within("a change", events.next()).await.expect("it never ends") {
        MemberEvent::Joined { value, .. } => format!("+{}", text(&value)),
        MemberEvent::Left { value, .. } => format!("-{}", text(&value)),
        other => panic!("{other:?}"),
    }
}

fn set(values: &[&str]) -> BTreeSet<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

#[tokio::test]
async fn members_come_and_go_in_a_process() {
    let topics = Topics::new();
    let room = members(&topics);
    let ann = room.join("Ann");
    let mut events = room.events();
    let ben = members(&topics).join("Ben");
    assert_ne!(ann.key(), ben.key());
    assert_eq!(list(&room).await, (set(&["Ann", "Ben"]), true));
    drop(ann);
    ben.leave();
    assert_eq!(list(&room).await, (set(&[]), true));
    for change in ["+Ann", "+Ben", "-Ann", "-Ben"] {
        assert_eq!(next(&mut events).await, change);
    }
    drop((room, events));
    assert!(topics.is_empty(), "nothing is left of it");
}

#[tokio::test]
async fn members_of_all_nodes_are_known_to_each() {
    let broker = Broker::default();
    let (one, two) = (node(&broker).await, node(&broker).await);
    let (here, there) = (members(&one), members(&two));
    let ann = here.join("Ann");
    let mut events = there.events();
    assert_eq!(next(&mut events).await, "+Ann");
    let ben = there.join("Ben");
    assert_eq!(next(&mut events).await, "+Ben");
    eventually("both are stored", || broker.members() == 2).await;
    for room in [&here, &there] {
        assert_eq!(list(room).await, (set(&["Ann", "Ben"]), true));
    }
    drop(ann);
    assert_eq!(next(&mut events).await, "-Ann");
    eventually("one is stored", || broker.members() == 1).await;
    assert_eq!(list(&here).await, (set(&["Ben"]), true));
    // While the engine is down, each node knows its own.
    broker.kill();
    eventually("the engine is down", || !one.is_up() && !two.is_up()).await;
    assert_eq!(list(&here).await, (set(&[]), false));
    assert_eq!(list(&there).await, (set(&["Ben"]), false));
    let cid = here.join("Cid");
    drop(ben);
    broker.start();
    assert_eq!(next(&mut events).await, "-Ben");
    assert_eq!(next(&mut events).await, "+Cid");
    assert_eq!(list(&there).await, (set(&["Cid"]), true));
    drop(cid);
}

#[tokio::test]
async fn a_node_that_is_killed_disappears_in_time_and_a_living_one_does_not() {
    pause();
    let broker = Broker::default();
    let (one, two) = (node(&broker).await, node(&broker).await);
    let (here, there) = (members(&one), members(&two));
    let mut events = here.events();
    let ann = here.join("Ann");
    assert_eq!(next(&mut events).await, "+Ann");
    let ben = there.join("Ben");
    assert_eq!(next(&mut events).await, "+Ben");
    in_time("both are stored", || broker.members() == 2).await;
    for _ in 0..120 {
        pass(Duration::from_secs(1)).await;
    }
    assert_eq!(list(&here).await, (set(&["Ann", "Ben"]), true), "they are renewed");
    // The node no longer reaches the broker, and says nothing.
    broker.cut_last();
    std::mem::forget((ben, two, there));
    for _ in 0..45 {
        pass(Duration::from_secs(1)).await;
    }
    assert_eq!(list(&here).await, (set(&["Ann"]), true));
    assert_eq!(next(&mut events).await, "-Ben");
    drop(ann);
}
