//! Publishing and subscribing, and the ways in which they end.

use std::io::Write as _;
use std::net::TcpListener;
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use ropeway::engine::{Arrival, EngineFault, Outgoing};

use super::rig::{LIMIT, Rig, assert_fault, outgoing, text, within};

/// Names that a broker's own syntax cannot hold, or that mean something to it.
pub(super) const HARD_NAMES: [&str; 22] = [
    "",
    "a.b",
    "a",
    "b",
    "a b",
    "*",
    ">",
    "a.*",
    "a.>",
    ".",
    "%",
    "%2E",
    "%2e",
    "\0",
    "\r\n",
    "\u{1b}[2J",
    "é",
    "e\u{301}",
    "房间",
    "{a}",
    "[a-z]",
    "?",
];

/// A message is heard by every session that subscribed, and by its own.
pub async fn a_message_reaches_all_sessions_and_its_own(rig: Rig) {
    let (mut a, mut b) = (rig.node().await, rig.node().await);
    a.subscribe(&["room"]).await;
    b.subscribe(&["room"]).await;
    a.publish("room", &["hello"]).await;
    for node in [&mut a, &mut b] {
        let heard = node.message().await;
        assert_eq!((heard.topic.as_str(), heard.text().as_str(), heard.place), ("room", "hello", None));
    }
}

/// Thousands of messages to two topics arrive in the order of publishing.
pub async fn messages_of_a_topic_stay_in_order(rig: Rig) {
    const BATCHES: usize = 50;
    const BATCH: usize = 100;
    let (a, mut b) = (rig.node().await, rig.node().await);
    b.subscribe(&["x", "y"]).await;
    for batch in 0..BATCHES {
        let numbers = (batch * BATCH..(batch + 1) * BATCH).map(|number| number.to_string());
        let batch: Vec<_> = numbers.flat_map(|n| [outgoing("x", &n, None), outgoing("y", &n, None)]).collect();
        within("publishing", a.session.publish(&batch)).await.expect("publishing succeeds");
    }
    let (mut x, mut y) = (0, 0);
    for _ in 0..2 * BATCHES * BATCH {
        let heard = b.message().await;
        let next = if heard.topic == "x" { &mut x } else { &mut y };
        assert_eq!(heard.text(), next.to_string(), "the next message of {}", heard.topic);
        *next += 1;
    }
}

/// When subscribing returns, the broker has the subscription.
pub async fn what_is_published_after_subscribing_is_heard(rig: Rig) {
    let (a, mut b) = (rig.node().await, rig.node().await);
    for round in 0..200 {
        let topic = format!("room {round}");
        b.subscribe(&[&topic]).await;
        a.publish(&topic, &["first"]).await;
        assert_eq!(b.message().await.topic, topic);
    }
}

/// Names are never mixed up, whatever is in them.
pub async fn each_name_is_a_topic_of_its_own(rig: Rig) {
    let (a, mut b) = (rig.node().await, rig.node().await);
    let longest = "房".repeat(85);
    let names: Vec<&str> = HARD_NAMES.into_iter().chain([longest.as_str()]).collect();
    b.subscribe(&names).await;
    for topic in &names {
        a.publish(topic, &[topic]).await;
        let heard = b.message().await;
        assert_eq!((heard.topic.as_str(), heard.text().as_str()), (*topic, *topic));
    }
    // If a name had been heard by two topics, there would be another message before this one.
    b.subscribe(&["last"]).await;
    a.publish("last", &["last"]).await;
    assert_eq!(b.message().await.topic, "last");
}

/// A message that is published after unsubscribing is not delivered once the broker knows.
pub async fn nothing_is_heard_after_unsubscribing(rig: Rig) {
    let (a, mut b) = (rig.node().await, rig.node().await);
    b.subscribe(&["room", "other"]).await;
    b.unsubscribe(&["room"]).await;
    // Subscribing is acknowledged, so afterwards the broker has handled the end of the other subscription too.
    b.subscribe(&["third"]).await;
    a.publish("room", &["unheard"]).await;
    a.publish("other", &["heard"]).await;
    assert_eq!(b.message().await.text(), "heard");
    // A topic without a subscription can be unsubscribed.
    b.unsubscribe(&["room", "never"]).await;
}

/// A topic that is left and entered again, or subscribed to twice, is heard once.
pub async fn subscribing_again_hears_each_message_once(rig: Rig) {
    let (a, mut b) = (rig.node().await, rig.node().await);
    for round in 0..50 {
        b.subscribe(&["room"]).await;
        b.subscribe(&["room"]).await;
        let bodies = [format!("{round} a"), format!("{round} b")];
        a.publish("room", &[&bodies[0], &bodies[1]]).await;
        assert_eq!(b.bodies(2).await, bodies);
        b.unsubscribe(&["room"]).await;
    }
}

/// A body is bytes: none, any, and many.
pub async fn any_bytes_pass_unchanged(rig: Rig) {
    let (a, mut b) = (rig.node().await, rig.node().await);
    b.subscribe(&["room"]).await;
    let all: Vec<u8> = (0..=255).collect();
    let bodies =
        [Bytes::new(), Bytes::from(all.clone()), Bytes::from(all.repeat(400)), Bytes::from_static(b"\r\n.\r\n")];
    let batch: Vec<_> =
        bodies.iter().map(|body| Outgoing { body: body.clone(), ..outgoing("room", "", None) }).collect();
    within("publishing", a.session.publish(&batch)).await.expect("publishing succeeds");
    for body in bodies {
        assert!(b.message().await.body == body, "a body of {} bytes was changed", body.len());
    }
}

/// A message over the broker's limit is an error that says so, and nothing else is lost.
pub async fn a_message_that_is_too_long_is_refused_and_the_session_goes_on(rig: Rig) {
    let (a, mut b) = (rig.node().await, rig.node().await);
    let Some(limit) = a.session.max_message() else { return };
    b.subscribe(&["room"]).await;
    let batch = [outgoing("room", &"x".repeat(limit), None), outgoing("room", &"y".repeat(limit + 1), None)];
    let refused = within("publishing", a.session.publish(&batch)).await.expect_err("it is too long");
    assert_fault(&refused, &[EngineFault::Refused]);
    assert!(refused.to_string().contains(&limit.to_string()), "{refused}");
    a.publish("room", &["z"]).await;
    assert_eq!(b.message().await.body.len(), limit);
    assert_eq!(b.message().await.text(), "z");
}

/// A node with a full inlet loses messages of its own, is told so, and holds up no other node.
pub async fn a_node_that_does_not_listen_stops_nobody_else(rig: Rig) {
    const COUNT: usize = 20_000;
    let (a, mut slow, mut quick) = (rig.node().await, rig.node_with(1).await, rig.node_with(COUNT + 1).await);
    slow.subscribe(&["room"]).await;
    quick.subscribe(&["room"]).await;
    let numbers: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
    for batch in numbers.chunks(500) {
        let batch: Vec<_> = batch.iter().map(|number| outgoing("room", number, None)).collect();
        within("publishing", a.session.publish(&batch)).await.expect("publishing succeeds");
    }
    assert_eq!(quick.bodies(COUNT).await, numbers);
    // The slow node now listens again. All that it hears is in order, and where something is missing it is told.
    a.publish("room", &["last"]).await;
    let (mut next, mut was_told) = (0, false);
    while next < COUNT {
        match slow.arrival().await {
            Arrival::Missed { .. } => was_told = true,
            Arrival::Message { body, .. } if body == "last" => break,
            Arrival::Message { body, .. } => {
                let number: usize = text(&body).parse().expect("a number");
                assert!(number >= next, "{number} came after {next}");
                next = number + 1;
            }
            other => panic!("unexpected: {other:?}"),
        }
        if was_told && next > 0 {
            return;
        }
    }
    assert!(was_told || next == COUNT, "messages after {next} were lost, and the node was not told");
}

/// The end comes soon after the kill, and every call fails from then on.
pub async fn a_killed_broker_ends_the_session(mut rig: Rig) {
    let a = rig.node().await;
    a.subscribe(&["room"]).await;
    rig.broker.kill();
    assert_fault(&a.end().await, &[EngineFault::Lost]);
    let batch = [outgoing("room", "x", None)];
    let error = within("publishing", a.session.publish(&batch)).await.expect_err("the session is over");
    assert_fault(&error, &[EngineFault::Lost]);
}

/// A broker that does not answer makes calls fail in time, and then the session ends.
pub async fn a_stopped_broker_holds_up_no_call_for_long(rig: Rig) {
    let (a, b) = (rig.node().await, rig.node().await);
    rig.broker.stop();
    // More than the buffers on the way can hold.
    let body = "x".repeat(50_000);
    let batch: Vec<_> = (0..1000).map(|_| outgoing("room", &body, None)).collect();
    let started = Instant::now();
    let error = within("publishing", a.session.publish(&batch)).await.expect_err("the broker is stopped");
    assert_fault(&error, &[EngineFault::Lost]);
    assert_fault(&a.end().await, &[EngineFault::Lost]);
    // A session without calls notices too.
    assert_fault(&b.end().await, &[EngineFault::Lost]);
    assert!(started.elapsed() < LIMIT, "it took {:?}", started.elapsed());
    rig.broker.go_on();
    rig.node().await;
}

/// A new session works as the first did.
pub async fn a_restarted_broker_takes_new_sessions(mut rig: Rig) {
    let a = rig.node().await;
    rig.broker.restart();
    a.end().await;
    let mut a = rig.node().await;
    a.subscribe(&["room"]).await;
    a.publish("room", &["again"]).await;
    assert_eq!(a.message().await.text(), "again");
}

/// A session that has ended does not come back by itself, not even when its broker does.
pub async fn an_ended_session_delivers_nothing_more(mut rig: Rig) {
    let mut a = rig.node().await;
    a.subscribe(&["room"]).await;
    rig.broker.restart();
    a.end().await;
    let b = rig.node().await;
    b.publish("room", &["unheard"]).await;
    let error = within("subscribing", a.session.subscribe(&[])).await.expect_err("the session is over");
    assert_fault(&error, &[EngineFault::Lost]);
    b.publish("room", &["unheard"]).await;
    assert!(a.arrivals.try_recv().is_err(), "nothing was delivered");
}

/// The error says which address it was.
pub async fn a_broker_that_is_not_there_is_unreachable(rig: Rig) {
    let address = format!("127.0.0.1:{}", crate::broker::free_port());
    let error = rig.refused(&address).await;
    assert_fault(&error, &[EngineFault::Unreachable]);
    assert!(error.to_string().contains(&address), "{error}");
}

/// A peer that accepts and says nothing does not hold up connecting.
pub async fn a_silent_peer_is_told_within_the_time_limit(rig: Rig) {
    let peer = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = peer.local_addr().expect("it has an address").to_string();
    let error = rig.refused(&address).await;
    assert_fault(&error, &[EngineFault::Unreachable, EngineFault::WrongBroker]);
    assert!(error.to_string().contains(&address), "{error}");
}

/// Another kind of server is recognised by its words.
pub async fn a_peer_that_speaks_http_is_the_wrong_broker(rig: Rig) {
    let peer = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = peer.local_addr().expect("it has an address").to_string();
    let serving = thread::spawn(move || {
        // As many as an engine may try.
        for stream in peer.incoming().take(1) {
            let mut stream = stream.expect("a connection");
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").expect("the engine reads");
            // The engine's own words are read, since a close with unread bytes is a reset.
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    let error = rig.refused(&address).await;
    assert_fault(&error, &[EngineFault::WrongBroker]);
    assert!(error.to_string().contains(&address), "{error}");
    serving.join().expect("the peer has ended");
}
