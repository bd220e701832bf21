//! Paused connections: no message is delivered, none is lost, and the peer's silence is not held against it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ropeway::{Cause, Config, Handle, ReadyState, Server};
use testkit::Event;
use testkit::wire::{Frame, PING, TEXT};
use tokio::time::sleep;

use super::script::{Log, code_of, connect, continuation, open, ping, pong, text};
use super::wire::{Wire, pass, settle};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_paused_connection_delivers_nothing_until_it_is_resumed() {
    let (server, log) = (Server::builder().build(), Log::default());
    server.handle_with(log.clone());
    let wire = open(&server).await;
    let handle = log.handle();
    handle.pause();
    let before = wire.read();
    wire.send(&[text("1"), ping("2")]);
    wire.send(&[text("3")]);
    settle().await;
    assert_eq!((log.take_events(), wire.read()), (vec![], before));
    handle.send("sent all the same").unwrap();
    settle().await;
    assert_eq!(wire.take_frames(), [Frame::new(TEXT, "sent all the same")]);
    handle.resume();
    settle().await;
    let expected = [Event::Text("1".into()), Event::Ping(b"2".to_vec()), Event::Text("3".into())];
    assert_eq!(log.take_events(), expected);
}

#[tokio::test(start_paused = true)]
async fn an_event_can_pause_and_the_rest_of_the_read_waits() {
    let server = Server::builder().build();
    let seen = Arc::new(Mutex::new(Vec::new()));
    server.on_connection({
        let seen = Arc::clone(&seen);
        move |ws, _| {
            let seen = Arc::clone(&seen);
            ws.on_message(move |ws, message| {
                seen.lock().unwrap().push(message.to_string());
                ws.pause();
            });
        }
    });
    let wire = open(&server).await;
    let handle = server.clients().remove(0);
    let mut bytes = Vec::new();
    for payload in ["1", "2", "3"] {
        text(payload).encode_into(&mut bytes);
    }
    let half = bytes.split_off(bytes.len() - 4);
    wire.send_bytes(bytes);
    for expected in [&["1"][..], &["1", "2"]] {
        settle().await;
        assert_eq!(*seen.lock().unwrap(), expected);
        handle.resume();
    }
    settle().await;
    wire.send_bytes(half);
    settle().await;
    assert_eq!(*seen.lock().unwrap(), ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn silence_while_reading_is_paused_does_not_count_against_the_peer() {
    let (server, log) = (Server::builder().build(), Log::default());
    server.handle_with(log.clone());
    let wire = open(&server).await;
    let handle = log.handle();
    pass(20 * SECOND).await;
    settle().await;
    let asked = wire.take_frames().remove(0);
    // The pong, and a message, come while the connection is paused for an hour.
    handle.pause();
    wire.send(&[pong(asked.payload.clone()), text("here I am")]);
    sleep(3600 * SECOND).await;
    handle.resume();
    settle().await;
    assert_eq!(log.take_events(), [Event::Pong(asked.payload), Event::Text("here I am".into())]);
    assert_eq!(handle.ready_state(), ReadyState::Open);
    // After that, silence counts again.
    pass(40 * SECOND).await;
    settle().await;
    assert_eq!(log.closed().cause, Cause::KeepaliveTimeout);
}

#[tokio::test(start_paused = true)]
async fn the_pongs_of_a_long_pause_are_no_flood_though_they_come_at_once() {
    let (server, log) = (Server::builder().build(), Log::default());
    server.handle_with(log.clone());
    let wire = open(&server).await;
    let handle = log.handle();
    handle.pause();
    let mut pongs = 0;
    while pongs <= 1_000 {
        sleep(3600 * SECOND).await;
        settle().await;
        let pings = wire.take_frames();
        wire.send(&pings.iter().map(|ping| pong(ping.payload.clone())).collect::<Vec<_>>());
        pongs += pings.len();
    }
    handle.resume();
    settle().await;
    assert_eq!((log.take_events().len(), handle.ready_state()), (pongs, ReadyState::Open));
}

#[tokio::test(start_paused = true)]
async fn the_pings_of_a_peer_that_was_not_read_from_are_no_flood_though_they_come_at_once() {
    type Act = fn(&Handle, &Wire);
    /// How reading stops, how it stays so for a third of a second, and how it goes on.
    const PAUSES: [[Act; 3]; 2] = [
        [|handle, _| handle.pause(), |_, _| {}, |handle, _| handle.resume()],
        [
            |handle, wire| {
                wire.set_room(Some(0));
                handle.send(vec![7; 100_000]).unwrap();
            },
            // The peer takes a byte now and then, so it is alive.
            |_, wire| wire.set_room(Some(1)),
            |_, wire| wire.set_room(None),
        ],
    ];
    for [stop, stay, go_on] in PAUSES {
        let (log, wire) = connect(Server::builder().max_buffered(50_000)).await;
        let handle = log.handle();
        stop(&handle, &wire);
        settle().await;
        for _ in 0..1_010 {
            sleep(SECOND / 3).await;
            stay(&handle, &wire);
            wire.send(&[ping("")]);
        }
        settle().await;
        assert_eq!(log.take_events(), []);
        go_on(&handle, &wire);
        settle().await;
        assert_eq!((log.take_events().len(), handle.ready_state()), (1_010, ReadyState::Open));
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_after_a_pause_is_one_that_would_have_been_one_in_it() {
    let (log, wire) = connect(Server::builder()).await;
    let handle = log.handle();
    handle.pause();
    wire.send(&[ping("unread")]);
    sleep(5 * SECOND).await;
    handle.resume();
    wire.send(&vec![ping(""); 5_900]);
    settle().await;
    assert_eq!((log.take_events().len(), handle.ready_state()), (5_901, ReadyState::Open));
    wire.send(&vec![ping(""); 200]);
    settle().await;
    assert_eq!(log.take_events().pop(), Some(Event::Violation("ControlFlood".into())));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_message_stops_while_reading_is_paused() {
    let config = Config::server().message_timeout(5 * SECOND);
    let (server, log) = (Server::builder().config(config).build(), Log::default());
    server.handle_with(log.clone());
    let wire = open(&server).await;
    let handle = log.handle();
    wire.send(&[text("begun ").unfinished()]);
    settle().await;
    handle.pause();
    wire.send(&[continuation("done")]);
    sleep(60 * SECOND).await;
    handle.resume();
    settle().await;
    assert_eq!(log.take_texts(), ["begun done"]);
    // The peer was pinged all the same.
    assert!(wire.take_frames().iter().all(|frame| frame.opcode == PING));
    // The next message has its own time.
    wire.send(&[text("begun ").unfinished()]);
    pass(5 * SECOND).await;
    settle().await;
    assert_eq!(log.take_events(), [Event::Violation("MessageTooSlow".into())]);
    assert_eq!(wire.take_frames().iter().map(code_of).collect::<Vec<_>>(), [1008]);
}
