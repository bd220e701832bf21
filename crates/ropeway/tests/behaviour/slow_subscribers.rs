//! Subscribers that stall, of topics whose messages wait for room: which messages they get when they read again, in
//! which order, and how many they miss.

use ropeway::{Overflow, ReadyState, Server, Topic, TopicSettings};
use testkit::wire::Frame;

use super::script::{Log, code_of, open};
use super::wire::{Wire, settle};

/// The bytes of a frame with one of these messages, and the room for ten of them.
const FRAME: usize = 1000;
const MAX_BUFFERED: usize = 10 * FRAME;

/// A server with room for ten messages a connection.
struct Hall {
    server: Server,
    log: Log,
}

impl Hall {
    fn new() -> Self {
        let (server, log) = (Server::builder().max_buffered(MAX_BUFFERED).build(), Log::default());
        server.handle_with(log.clone());
        Self { server, log }
    }

    async fn subscriber(&self, topic: &Topic) -> (Wire, ropeway::Handle) {
        let wire = open(&self.server).await;
        let handle = self.log.handle();
        handle.subscribe(topic);
        (wire, handle)
    }
}

fn message(text: &str) -> String {
    format!("{text:<996}")
}

/// The messages that ropeway has written since the last call, without the blanks at their ends.
fn texts(wire: &Wire) -> Vec<String> {
    wire.take_frames().iter().map(text_of).collect()
}

fn text_of(frame: &Frame) -> String {
    String::from_utf8_lossy(&frame.payload).trim_end().to_owned()
}

fn numbers(range: std::ops::RangeInclusive<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Publishes these numbers. The subscribers have their turn after each.
async fn publish(topic: &Topic, numbers: std::ops::RangeInclusive<usize>) {
    for number in numbers {
        topic.publish(message(&number.to_string())).expect("no loop is behind");
        settle().await;
    }
}

fn drop_oldest(max_waiting: usize) -> Topic {
    Topic::with_settings(TopicSettings::default().overflow(Overflow::DropOldest).max_waiting(max_waiting))
}

fn conflate() -> Topic {
    Topic::with_overflow(Overflow::Conflate)
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_comes_back_gets_the_newest_messages_and_others_get_all() {
    let (hall, topic) = (Hall::new(), drop_oldest(5));
    let ((stalls, handle), (reads, _)) = (hall.subscriber(&topic).await, hall.subscriber(&topic).await);
    stalls.set_room(Some(0));
    publish(&topic, 1..=30).await;
    assert_eq!(texts(&reads), numbers(1..=30));
    assert_eq!((handle.dropped(), handle.buffered_amount()), (15, MAX_BUFFERED));
    stalls.set_room(None);
    settle().await;
    assert_eq!(texts(&stalls), [numbers(1..=10), numbers(26..=30)].concat());
    publish(&topic, 31..=31).await;
    assert_eq!(texts(&stalls), numbers(31..=31));
    assert_eq!((handle.dropped(), handle.ready_state()), (15, ReadyState::Open));
}

#[tokio::test(start_paused = true)]
async fn messages_that_wait_are_sent_from_half_of_the_room_on_and_later_ones_stay_behind_them() {
    let (hall, topic) = (Hall::new(), drop_oldest(5));
    let (wire, handle) = hall.subscriber(&topic).await;
    wire.set_room(Some(0));
    publish(&topic, 1..=15).await;
    assert_eq!(handle.dropped(), 0);
    wire.set_room(Some(4 * FRAME));
    settle().await;
    assert_eq!(texts(&wire), numbers(1..=4));
    // There is room in the queue, but other messages of the topic wait.
    publish(&topic, 16..=16).await;
    assert_eq!((handle.dropped(), handle.buffered_amount()), (1, 6 * FRAME));
    // It is for this connection alone, and overtakes those that wait.
    handle.send(message("alone")).expect("room");
    settle().await;
    wire.set_room(Some(2 * FRAME));
    settle().await;
    assert_eq!(handle.buffered_amount(), 5 * FRAME, "half of the room is not less than half");
    wire.set_room(Some(FRAME));
    settle().await;
    assert_eq!(handle.buffered_amount(), 5 * FRAME, "one left, and one of those that waited came");
    assert_eq!(texts(&wire), numbers(5..=7));
    publish(&topic, 17..=17).await;
    assert_eq!(handle.dropped(), 1, "it took the place of the one that was queued");
    wire.set_room(None);
    settle().await;
    let expected = [numbers(8..=10), vec!["alone".to_owned()], numbers(12..=17)].concat();
    assert_eq!(texts(&wire), expected);
    assert_eq!((handle.dropped(), handle.buffered_amount()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_conflated_subscriber_gets_the_latest_value_of_each_key() {
    let (hall, topic) = (Hall::new(), conflate());
    let ((stalls, handle), (reads, _)) = (hall.subscriber(&topic).await, hall.subscriber(&topic).await);
    publish(&topic, 1..=10).await;
    assert_eq!((texts(&stalls), texts(&reads)), (numbers(1..=10), numbers(1..=10)));
    stalls.set_room(Some(0));
    publish(&topic, 1..=10).await;
    for round in 1..=20 {
        for key in ["ACME", "BOLT", "CORN"] {
            // The second key is heard of in every other round only.
            if key != "BOLT" || round % 2 == 0 {
                topic.publish_keyed(key, message(&format!("{key} {round}"))).expect("no loop is behind");
                settle().await;
            }
        }
    }
    publish(&topic, 11..=12).await;
    assert_eq!(texts(&reads).len(), 10 + 20 + 20 + 10 + 2);
    assert_eq!(handle.dropped(), 19 + 19 + 9 + 1);
    stalls.set_room(None);
    settle().await;
    let latest = ["ACME 20", "CORN 20", "BOLT 20", "12"].map(str::to_owned).to_vec();
    assert_eq!(texts(&stalls), [numbers(1..=10), latest].concat());
    topic.publish_keyed("ACME", message("ACME 21")).expect("no loop is behind");
    settle().await;
    assert_eq!(texts(&stalls), ["ACME 21"]);
}

#[tokio::test(start_paused = true)]
async fn messages_that_wait_when_the_connection_closes_are_dropped_and_counted() {
    for (closes, code) in [(true, 1000), (false, 1013)] {
        let (hall, topic, strict) = (Hall::new(), drop_oldest(5), Topic::with_overflow(Overflow::Close));
        let (wire, handle) = hall.subscriber(&topic).await;
        handle.subscribe(&strict);
        wire.set_room(Some(0));
        publish(&topic, 1..=20).await;
        assert_eq!(handle.dropped(), 5);
        if closes {
            handle.close(1000, "").expect("it can be sent");
        } else {
            publish(&strict, 1..=1).await;
        }
        settle().await;
        wire.set_room(None);
        settle().await;
        publish(&topic, 21..=21).await;
        let frames = wire.take_frames();
        assert_eq!((frames.len(), code_of(&frames[10])), (11, code));
        assert_eq!(handle.dropped(), if closes { 10 } else { 11 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_leaves_is_sent_the_messages_that_wait_and_one_that_is_gone_is_sent_none() {
    let (hall, topic) = (Hall::new(), drop_oldest(5));
    let ((leaves, handle), (lost, gone)) = (hall.subscriber(&topic).await, hall.subscriber(&topic).await);
    for wire in [&leaves, &lost] {
        wire.set_room(Some(0));
    }
    publish(&topic, 1..=12).await;
    handle.unsubscribe(&topic);
    publish(&topic, 13..=13).await;
    lost.reset();
    settle().await;
    assert_eq!((gone.ready_state(), gone.dropped()), (ReadyState::Closed, 3));
    leaves.set_room(None);
    settle().await;
    assert_eq!((texts(&leaves), handle.dropped()), (numbers(1..=12), 0));
    assert!(topic.is_empty());
}

#[tokio::test(start_paused = true)]
async fn topics_wait_side_by_side_and_one_that_is_not_behind_is_not_held_up() {
    let (hall, waits, other) = (Hall::new(), drop_oldest(5), conflate());
    let (wire, handle) = hall.subscriber(&waits).await;
    handle.subscribe(&other);
    wire.set_room(Some(0));
    publish(&waits, 1..=12).await;
    publish(&other, 101..=102).await;
    publish(&waits, 13..=13).await;
    assert_eq!(handle.dropped(), 1, "of the conflated one");
    wire.set_room(Some(4 * FRAME));
    settle().await;
    // The messages that were published first wait in front, whatever their topic.
    wire.set_room(None);
    settle().await;
    let expected = [numbers(1..=12), numbers(102..=102), numbers(13..=13)].concat();
    assert_eq!(texts(&wire), expected);

    wire.set_room(Some(0));
    publish(&waits, 1..=12).await;
    wire.set_room(Some(3 * FRAME));
    settle().await;
    publish(&other, 101..=101).await;
    wire.set_room(None);
    settle().await;
    assert_eq!(texts(&wire), [numbers(1..=10), numbers(101..=101), numbers(11..=12)].concat());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_leaves_a_subscriber_out_does_not_wait_for_it() {
    let (hall, topic) = (Hall::new(), drop_oldest(5));
    let (wire, handle) = hall.subscriber(&topic).await;
    wire.set_room(Some(0));
    publish(&topic, 1..=11).await;
    for _ in 0..10 {
        let others = topic.publish_except(handle.id(), message("for others"));
        assert_eq!(others.map(|published| published.local), Ok(0));
        settle().await;
    }
    assert_eq!(handle.dropped(), 0);
    wire.set_room(None);
    settle().await;
    assert_eq!(texts(&wire), numbers(1..=11));
}

/// The policies of a route and a server are also those of topics without one. A message to one connection alone never
/// waits beside the queue.
#[tokio::test(start_paused = true)]
async fn a_route_can_let_the_messages_of_all_topics_wait() {
    for overflow in [Overflow::DropOldest, Overflow::Conflate] {
        let (server, log, topic) = (Server::builder().max_buffered(MAX_BUFFERED).build(), Log::default(), Topic::new());
        server.at("/chat").overflow(overflow).handle_with(log.clone());
        let wire = open(&server).await;
        let handle = log.handle();
        handle.subscribe(&topic);
        wire.set_room(Some(0));
        publish(&topic, 1..=12).await;
        let conflated = u64::from(overflow == Overflow::Conflate);
        assert_eq!(handle.dropped(), conflated);
        handle.send(message("too much")).expect("it is dropped, which is no error");
        assert_eq!(handle.dropped(), conflated + 1);
        wire.set_room(None);
        settle().await;
        let last = if conflated == 1 { numbers(12..=12) } else { numbers(11..=12) };
        assert_eq!(texts(&wire), [numbers(1..=10), last].concat());
    }
}

/// Topics have a thousand messages of room, but a connection has room for ten beside its queue, in bytes.
#[tokio::test(start_paused = true)]
async fn a_subscriber_that_never_reads_costs_a_bounded_amount_whatever_the_number_of_topics() {
    let hall = Hall::new();
    let topics: Vec<_> = (0..100).map(|_| drop_oldest(1000)).collect();
    let (wire, handle) = hall.subscriber(&topics[0]).await;
    for topic in &topics[1..] {
        handle.subscribe(topic);
    }
    wire.set_room(Some(0));
    for _ in 0..10 {
        for topic in &topics {
            publish(topic, 1..=1).await;
        }
    }
    wire.set_room(None);
    settle().await;
    let heard = wire.take_frames().len();
    // Each that waits counts for its 996 bytes and 128 more.
    assert_eq!(heard, 10 + MAX_BUFFERED / (996 + 128));
    assert_eq!(handle.dropped(), 1000 - heard as u64);
}

/// The queue is empty before the connection's own turn comes, and nothing but the messages that wait calls for it.
#[tokio::test(start_paused = true)]
async fn messages_that_begin_to_wait_before_the_connection_has_its_turn_are_sent_in_it() {
    let (hall, topic) = (Hall::new(), drop_oldest(5));
    let (wire, handle) = hall.subscriber(&topic).await;
    for number in 1..=20 {
        topic.publish(message(&number.to_string())).expect("no loop is behind");
    }
    settle().await;
    let heard = texts(&wire);
    assert_eq!(heard.len() as u64 + handle.dropped(), 20);
    assert_eq!(heard.last().map(String::as_str), Some("20"));
}
