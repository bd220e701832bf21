//! Positions, replays, and whether a replay says that it is complete.

use std::time::{Duration, Instant};

use ropeway::engine::{History, Position, Replay};
use tokio::time::sleep;

use super::pubsub::HARD_NAMES;
use super::rig::{LIMIT, Node, Rig, name, outgoing, text, within};

/// Long enough that nothing expires in a test.
const KEPT: History = History::last(100).for_at_most(Duration::from_secs(60));

const NOTHING: [&str; 0] = [];

/// Each message of a topic has a greater position than the one before, and names it.
pub async fn each_message_names_the_one_before_it(rig: Rig) {
    let (a, mut b) = (rig.node().await, rig.node().await);
    b.subscribe_with(&["x", "y"], Some(KEPT)).await;
    for round in 0..20 {
        let batch = [outgoing("x", &format!("x{round}"), Some(KEPT)), outgoing("y", &format!("y{round}"), Some(KEPT))];
        within("publishing", a.session.publish(&batch)).await.expect("publishing succeeds");
    }
    let (mut x, mut y) = (None, None);
    for _ in 0..40 {
        let heard = b.message().await;
        let (place, before) = heard.place.expect("a topic with history has positions");
        let last: &mut Option<Position> = if heard.topic == "x" { &mut x } else { &mut y };
        match *last {
            None => assert_eq!(before, 0, "nothing was before the first message"),
            Some(last) => {
                assert_eq!((place.epoch, before), (last.epoch, last.offset), "{} after {last}", heard.text());
                assert!(place.offset > last.offset);
            }
        }
        *last = Some(place);
    }
}

/// Two nodes publish at the same time. Both, and a third, hear all in the same order.
pub async fn all_nodes_hear_a_topic_in_one_order(rig: Rig) {
    const COUNT: usize = 200;
    let mut nodes = [rig.node().await, rig.node().await, rig.node().await];
    for node in &nodes {
        node.subscribe_with(&["room"], Some(KEPT)).await;
    }
    let publish = async |node: &Node, who: &str| {
        for number in 0..COUNT / 10 {
            let bodies: Vec<_> = (0..10).map(|n| format!("{who} {}", number * 10 + n)).collect();
            let batch: Vec<_> = bodies.iter().map(|body| outgoing("room", body, Some(KEPT))).collect();
            within("publishing", node.session.publish(&batch)).await.expect("publishing succeeds");
        }
    };
    tokio::join!(publish(&nodes[0], "a"), publish(&nodes[1], "b"));
    let [first, second, third] = &mut nodes;
    let order = first.bodies(2 * COUNT).await;
    assert_eq!(second.bodies(2 * COUNT).await, order);
    assert_eq!(third.bodies(2 * COUNT).await, order);
    for who in ["a", "b"] {
        let numbers: Vec<_> = order.iter().filter_map(|body| body.strip_prefix(who)).collect();
        let wanted: Vec<_> = (0..COUNT).map(|number| format!(" {number}")).collect();
        assert_eq!(numbers, wanted, "the messages of {who} are in order");
    }
}

/// After any position of a topic, a replay has the rest.
pub async fn a_replay_has_exactly_the_messages_after_a_position(rig: Rig) {
    let mut a = rig.node().await;
    a.subscribe_with(&["room", "other"], Some(KEPT)).await;
    for number in 0..10 {
        a.publish_with("room", &[&number.to_string()], Some(KEPT)).await;
        a.publish_with("other", &["x"], Some(KEPT)).await;
    }
    let mut places = Vec::new();
    for _ in 0..20 {
        let heard = a.message().await;
        if heard.topic == "room" {
            places.push(heard.place.expect("a position").0);
        }
    }
    let b = rig.node().await;
    for (index, place) in places.iter().enumerate() {
        let replay = b.replay("room", KEPT, Some(*place)).await;
        let missed: Vec<_> = (index + 1..10).map(|number| number.to_string()).collect();
        assert_replayed(&replay, &missed);
        let replayed: Vec<_> = replay.messages.iter().map(|(place, _)| *place).collect();
        assert_eq!(replayed, places[index + 1..]);
        assert_eq!(replay.end, places[9]);
    }
    let end = b.replay("room", KEPT, None).await;
    assert_eq!((end.end, end.messages.len()), (places[9], 0), "without a position only the end is asked for");
    let future = Position::new(places[9].epoch, places[9].offset + 1_000_000);
    assert_incomplete(&b.replay("room", KEPT, Some(future)).await);
}

/// The end of a topic, also of one that nobody has published to, is a position from which nothing is missed.
pub async fn the_end_of_a_topic_is_a_position_to_come_back_to(rig: Rig) {
    let a = rig.node().await;
    for topic in ["never used", "used"] {
        if topic == "used" {
            a.publish_with("never used", &["x"], Some(KEPT)).await;
            a.publish_with("used", &["before"], Some(KEPT)).await;
        }
        let end = a.replay(topic, KEPT, None).await.end;
        assert_replayed(&a.replay(topic, KEPT, Some(end)).await, &NOTHING);
        a.publish_with(topic, &["1", "2"], Some(KEPT)).await;
        assert_replayed(&a.replay(topic, KEPT, Some(end)).await, &["1", "2"]);
    }
}

/// With a history of three messages, exactly three can be missed.
pub async fn the_count_is_exact_at_its_edge(rig: Rig) {
    let history = History::last(3).for_at_most(Duration::from_secs(60));
    let mut a = rig.node().await;
    // An older message of another topic stays, whatever is removed of this one.
    a.publish_with("neighbour", &["x"], Some(history)).await;
    a.subscribe_with(&["room"], Some(history)).await;
    let start = a.replay("room", history, None).await.end;
    let mut places = vec![start];
    let mut bodies = Vec::new();
    for number in 1..=9 {
        let body = number.to_string();
        a.publish_with("room", &[&body], Some(history)).await;
        places.push(a.message().await.place.expect("a position").0);
        bodies.push(body);
        for (index, place) in places.iter().enumerate() {
            let replay = a.replay("room", history, Some(*place)).await;
            if number - index <= 3 {
                assert_replayed(&replay, &bodies[index..]);
            } else {
                assert_incomplete(&replay);
            }
            assert_eq!(replay.end, places[number]);
        }
    }
}

/// A message is forgotten after its time, and a replay that would need it is not complete.
pub async fn a_message_that_is_too_old_is_forgotten(rig: Rig) {
    // On a machine that is so busy that a step takes longer than the time, a longer time is tried.
    for seconds in [2, 6, 18] {
        if forgets_within(&rig, Duration::from_secs(seconds)).await {
            return;
        }
    }
    panic!("this machine is too busy to tell old messages from new ones");
}

/// Returns false if the machine was too slow to tell.
async fn forgets_within(rig: &Rig, time: Duration) -> bool {
    let history = History::last(100).for_at_most(time);
    let mut a = rig.node().await;
    a.subscribe_with(&["room"], Some(history)).await;
    let start = a.replay("room", history, None).await.end;
    let first = Instant::now();
    a.publish_with("room", &["old"], Some(history)).await;
    let old = a.message().await.place.expect("a position").0;
    // It is forgotten at the same time.
    a.publish_with("neighbour", &["x"], Some(history)).await;
    let replay = a.replay("room", history, Some(start)).await;
    if first.elapsed() >= time {
        return false;
    }
    assert_replayed(&replay, &["old"]);
    sleep(time / 2).await;
    let second = Instant::now();
    a.publish_with("room", &["new"], Some(history)).await;
    // The first is now getting too old.
    while a.replay("room", history, Some(start)).await.is_complete {
        assert!(first.elapsed() < time + LIMIT, "the first message is never forgotten");
        sleep(time / 50).await;
    }
    assert!(first.elapsed() >= time, "the first message was forgotten after {:?}", first.elapsed());
    // The second is replayed as long as it is young enough, though the first is gone.
    let mut was_replayed = false;
    loop {
        let replay = a.replay("room", history, Some(old)).await;
        if second.elapsed() >= time {
            break;
        }
        assert_replayed(&replay, &["new"]);
        was_replayed = true;
        sleep(time / 50).await;
    }
    // Whether the broker still has the messages does not matter, nor whether it has removed them.
    let later = Instant::now();
    while later.elapsed() < 2 * time {
        assert_incomplete(&a.replay("room", history, Some(start)).await);
        assert_incomplete(&a.replay("room", history, Some(old)).await);
        sleep(time / 10).await;
    }
    was_replayed
}

/// A position of a history that is not this one.
pub async fn a_position_of_another_epoch_is_not_complete(rig: Rig) {
    let a = rig.node().await;
    a.publish_with("room", &["x"], Some(KEPT)).await;
    let end = a.replay("room", KEPT, None).await.end;
    let other = Position::new(end.epoch ^ 1, end.offset);
    let replay = a.replay("room", KEPT, Some(other)).await;
    assert_incomplete(&replay);
    assert_eq!(replay.end, end);
}

/// Positions hold over a restart of the broker.
pub async fn a_restart_with_data_loses_nothing(mut rig: Rig) {
    let a = rig.node().await;
    a.publish_with("room", &["1"], Some(KEPT)).await;
    let place = a.replay("room", KEPT, None).await.end;
    a.publish_with("room", &["2"], Some(KEPT)).await;
    rig.broker.restart();
    a.end().await;
    let mut a = rig.node().await;
    a.subscribe_with(&["room"], Some(KEPT)).await;
    a.publish_with("room", &["3"], Some(KEPT)).await;
    let (last, _) = a.message().await.place.expect("a position");
    let replay = a.replay("room", KEPT, Some(place)).await;
    assert_replayed(&replay, &["2", "3"]);
    assert_eq!(replay.end, last);
}

/// A history that was lost is not taken for the one before.
pub async fn a_restart_without_data_is_another_epoch(mut rig: Rig) {
    let a = rig.node().await;
    a.publish_with("room", &["1", "2", "3"], Some(KEPT)).await;
    let place = a.replay("room", KEPT, None).await.end;
    rig.broker.restart_empty();
    a.end().await;
    let mut a = rig.node().await;
    let replay = a.replay("room", KEPT, Some(place)).await;
    assert_incomplete(&replay);
    a.subscribe_with(&["room"], Some(KEPT)).await;
    a.publish_with("room", &["1", "2", "3", "4"], Some(KEPT)).await;
    let (first, _) = a.message().await.place.expect("a position");
    assert_ne!(first.epoch, place.epoch);
    assert_incomplete(&a.replay("room", KEPT, Some(place)).await);
}

/// Histories are never mixed up, whatever the names are.
pub async fn hard_names_have_histories_of_their_own(rig: Rig) {
    let a = rig.node().await;
    let mut starts = Vec::new();
    for topic in HARD_NAMES {
        starts.push(a.replay(topic, KEPT, None).await.end);
    }
    for topic in HARD_NAMES {
        a.publish_with(topic, &[topic], Some(KEPT)).await;
    }
    for (topic, start) in HARD_NAMES.into_iter().zip(starts) {
        assert_replayed(&a.replay(topic, KEPT, Some(start)).await, &[topic]);
    }
}

/// The count is that of one topic, not of all.
pub async fn a_busy_neighbour_forgets_nothing_of_a_quiet_topic(rig: Rig) {
    let history = History::last(5).for_at_most(Duration::from_secs(60));
    let a = rig.node().await;
    a.publish_with("quiet", &["1"], Some(history)).await;
    let place = a.replay("quiet", history, None).await.end;
    a.publish_with("quiet", &["2"], Some(history)).await;
    let busy: Vec<_> = (0..500).map(|number| outgoing("busy", &number.to_string(), Some(history))).collect();
    within("publishing", a.session.publish(&busy)).await.expect("publishing succeeds");
    assert_replayed(&a.replay("quiet", history, Some(place)).await, &["2"]);
}

impl Node {
    async fn replay(&self, topic: &str, history: History, after: Option<Position>) -> Replay {
        let topic = name(topic);
        within("a replay", self.session.replay(&topic, history, after)).await.expect("the history can be read")
    }
}

fn assert_replayed(replay: &Replay, bodies: &[impl AsRef<str>]) {
    assert!(replay.is_complete, "nothing is missing: {replay:?}");
    let replayed: Vec<_> = replay.messages.iter().map(|(_, body)| text(body)).collect();
    let wanted: Vec<_> = bodies.iter().map(AsRef::as_ref).collect();
    assert_eq!(replayed, wanted);
}

fn assert_incomplete(replay: &Replay) {
    assert!(!replay.is_complete && replay.messages.is_empty(), "it is not complete: {replay:?}");
}
