//! The end of a connection: closing handshakes from both sides, peers that never finish one, transports that break in
//! any state.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ropeway::{Cause, Client, CloseCode, Error, Handle, ReadyState, Server};
use testkit::wire::{BINARY, Frame, TEXT, decode_all};
use testkit::{Event, variant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::LATE;
use super::receiving::pull;
use super::script::{
    Log, binary, close, code_of, codes, connect, continuation, open, open_client, ping, request, text,
};
use super::wire::{Wire, pass, settle};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// The end of the only connection in a log: code, reason, and whether it was clean.
fn end(log: &Log) -> (u16, String, bool) {
    let closed = log.closed();
    (closed.code.as_u16(), closed.reason.to_string(), closed.clean)
}

// Ends that are errors, for both APIs.

/// Causes an end.
type Ending = fn(&Wire, &Handle);

/// Ends, each with the cause that both APIs are to report as an error.
const ENDINGS: [(&str, Ending, Option<&str>); 8] = [
    ("the peer closes", |wire, _| wire.send(&[close(1000, "")]), None),
    ("this side terminates", |_, handle| handle.terminate(), None),
    ("the peer's half ends without a close frame", |wire, _| wire.end(), Some("Eof")),
    ("the transport is reset", |wire, _| wire.reset(), Some("Broken")),
    ("the peer breaks the protocol", |wire, _| wire.send(&[continuation("")]), Some("NothingToContinue")),
    ("the peer is silent", |_, _| {}, Some("KeepaliveTimeout")),
    ("our close is not answered", |_, handle| handle.close(1000, "").unwrap(), Some("CloseTimeout")),
    (
        "our close is answered by an end",
        |wire, handle| {
            handle.close(1000, "").unwrap();
            wire.end();
        },
        Some("Eof"),
    ),
];

fn cause_of(error: &Error) -> String {
    match error {
        Error::Violation(violation) => variant(violation),
        Error::Lost(closed) => variant(&closed.cause),
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_nobody_asked_for_is_an_error_once_and_both_apis_agree() {
    for (name, bring_about, expected) in ENDINGS {
        let (log, wire) = connect(Server::builder()).await;
        let (mut ws, pulled) = pull(Server::builder()).await;
        bring_about(&wire, &log.handle());
        bring_about(&pulled, &ws.handle());
        // Keepalive gives up after two times 20 s.
        for _ in 0..2 {
            pass(20 * SECOND).await;
            settle().await;
        }
        let mut told: Vec<String> = log.told().lost.iter().map(|closed| variant(&closed.cause)).collect();
        told.extend(log.take_events().into_iter().filter_map(|event| match event {
            Event::Violation(violation) => Some(violation),
            _ => None,
        }));
        assert_eq!(told, expected.map(String::from).into_iter().collect::<Vec<_>>(), "{name}, to a handler");
        assert_eq!(log.told().closed.len(), 1, "{name}");
        match expected {
            Some(expected) => assert_eq!(cause_of(&ws.recv().await.unwrap_err()), expected, "{name}, when pulled"),
            None => assert_eq!(ws.recv().await.unwrap(), None, "{name}, when pulled"),
        }
        assert_eq!(ws.recv().await.unwrap(), None, "{name}: an error is told once");
    }
}

// The closing handshake.

#[tokio::test(start_paused = true)]
async fn after_both_close_frames_a_server_ends_the_transport_at_once() {
    let (log, wire) = connect(Server::builder()).await;
    wire.send(&[text("before"), close(4001, "bye"), text("behind")]);
    settle().await;
    assert_eq!(wire.take_frames(), [Frame::close(Some((4001, "bye")))]);
    assert_eq!(log.take_texts(), ["before"]);
    // A server then waits for nothing more (RFC 6455 section 7.1.1), and the clock stands still here.
    assert!(wire.is_dropped());
    assert_eq!(end(&log), (4001, "bye".into(), true));
    log.handle().closed().await;
}

#[tokio::test(start_paused = true)]
async fn our_close_goes_behind_what_is_queued_and_waits_for_the_peers() {
    let (log, wire) = connect(Server::builder()).await;
    let handle = log.handle();
    wire.set_room(Some(10));
    handle.send(vec![7; 100_000]).unwrap();
    handle.close(1000, "done").unwrap();
    settle().await;
    wire.set_room(None);
    settle().await;
    let expected = [Frame::new(BINARY, vec![7; 100_000]), Frame::close(Some((1000, "done")))];
    assert_eq!(wire.take_frames(), expected);
    assert!(!wire.is_ended());
    // Before that, messages still come.
    wire.send(&[text("one more")]);
    settle().await;
    assert_eq!(log.take_texts(), ["one more"]);
    wire.send(&[close(1000, "")]);
    settle().await;
    assert!(wire.is_ended());
    wire.end();
    settle().await;
    assert_eq!(end(&log), (1000, String::new(), true));
}

#[tokio::test(start_paused = true)]
async fn closing_twice_sends_one_close_frame() {
    let (log, wire) = connect(Server::builder()).await;
    log.handle().close(1000, "first").unwrap();
    log.handle().close(1001, "second").unwrap();
    settle().await;
    log.handle().close(1002, "third").unwrap();
    settle().await;
    assert_eq!(wire.take_frames(), [Frame::close(Some((1000, "first")))]);
}

#[tokio::test(start_paused = true)]
async fn both_may_close_at_the_same_time() {
    let (log, wire) = connect(Server::builder()).await;
    wire.set_room(Some(0));
    log.handle().close(1000, "mine").unwrap();
    settle().await;
    wire.send(&[close(1001, "theirs")]);
    settle().await;
    assert!(!wire.is_ended(), "ours is not written yet");
    wire.set_room(None);
    settle().await;
    assert_eq!(wire.take_frames(), [Frame::close(Some((1000, "mine")))]);
    assert!(wire.is_ended());
    wire.end();
    settle().await;
    assert_eq!(end(&log), (1001, "theirs".into(), true));
}

#[tokio::test(start_paused = true)]
async fn a_client_leaves_it_to_the_server_to_end_the_transport() {
    let (mut ws, wire) = open_client(&Client::new()).await;
    let closing = tokio::spawn(async move { ws.close(1000, "").await.unwrap() });
    settle().await;
    assert_eq!(codes(&wire), [1000]);
    wire.send(&[Frame::close(Some((1000, "")))]);
    settle().await;
    assert!(!wire.is_ended() && !closing.is_finished());
    wire.end();
    assert!(closing.await.unwrap().clean);
    assert!(wire.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_client_does_not_wait_for_ever_for_a_server_to_end_the_transport() {
    let (mut ws, wire) = open_client(&Client::new()).await;
    wire.send(&[Frame::close(Some((1001, "")))]);
    let start = Instant::now();
    assert_eq!(ws.recv().await.unwrap(), None);
    assert!((SECOND..=SECOND + LATE).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(ws.outcome().unwrap().code, CloseCode::GOING_AWAY);
    assert_eq!(codes(&wire), [1001]);
    assert!(wire.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_not_waited_for_goes_on() {
    let (log, wire) = connect(Server::builder()).await;
    let (mut ws, client) = open_client(&Client::new()).await;
    drop(ws.close(1000, ""));
    settle().await;
    assert_eq!(client.take_frames(), [], "it was never asked for");
    let closing = tokio::spawn(async move { ws.close(1000, "").await });
    settle().await;
    closing.abort();
    settle().await;
    assert_eq!(codes(&client), [1000]);
    client.send(&[Frame::close(Some((1000, "")))]);
    client.end();
    settle().await;
    assert!(client.is_dropped());
    assert!(!wire.is_dropped() && log.told().closed.is_empty(), "others do not notice");
}

// Peers that do not finish the closing handshake.

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_our_close_is_given_up_after_the_close_timeout() {
    let (log, wire) = connect(Server::builder().close_timeout(3 * SECOND)).await;
    log.handle().close(1000, "").unwrap();
    for _ in 0..2 {
        sleep(SECOND).await;
        // Other frames from the peer change nothing.
        wire.send(&[text("still talking"), ping("")]);
    }
    sleep(SECOND - 2 * MS).await;
    settle().await;
    assert!(!wire.is_dropped());
    pass(MS).await;
    settle().await;
    assert!(wire.is_dropped());
    assert_eq!(log.closed().cause, Cause::CloseTimeout);
    assert_eq!(end(&log), (1006, String::new(), false));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_cannot_hold_up_a_close() {
    let (log, wire) = connect(Server::builder()).await;
    wire.set_room(Some(0));
    log.handle().send(vec![7; 100_000]).unwrap();
    log.handle().close(1000, "").unwrap();
    pass(10 * SECOND).await;
    settle().await;
    assert!(wire.is_dropped());
    assert_eq!(log.closed().cause, Cause::CloseTimeout);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_take_the_answer_to_its_close_is_dropped_after_the_close_timeout() {
    let (log, wire) = connect(Server::builder()).await;
    wire.set_room(Some(0));
    wire.send(&[close(1000, "")]);
    sleep(10 * SECOND - 2 * MS).await;
    settle().await;
    assert!(!wire.is_dropped());
    pass(MS).await;
    settle().await;
    assert!(wire.is_dropped());
    assert_eq!(end(&log), (1000, String::new(), true), "its close frame came");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_end_its_half_after_a_violation_is_dropped_after_the_close_timeout() {
    let (log, wire) = connect(Server::builder()).await;
    wire.send(&[Frame::new(TEXT, "not masked")]);
    sleep(10 * SECOND - 2 * MS).await;
    settle().await;
    assert!(wire.is_ended() && !wire.is_dropped());
    pass(MS).await;
    settle().await;
    assert!(wire.is_dropped());
    assert!(matches!(log.closed().cause, Cause::Violation(_)));
}

#[tokio::test(start_paused = true)]
async fn at_most_64_mib_are_read_from_a_peer_after_its_violation() {
    let (log, wire) = connect(Server::builder()).await;
    wire.send(&[Frame::new(TEXT, "not masked")]);
    settle().await;
    for _ in 0..1_000 {
        wire.send_bytes(vec![0; 1 << 20]);
    }
    settle().await;
    let most = (64 << 20) + 256 * 1024;
    assert!(wire.read() <= most, "{} bytes were read", wire.read());
    assert!(wire.is_dropped());
    assert!(matches!(log.closed().cause, Cause::Violation(_)));
}

#[tokio::test(start_paused = true)]
async fn a_paused_connection_that_closes_waits_no_longer_than_the_close_timeout() {
    let (log, wire) = connect(Server::builder()).await;
    log.handle().pause();
    log.handle().close(1000, "").unwrap();
    wire.send(&[text("not wanted"), close(1000, "")]);
    pass(10 * SECOND).await;
    settle().await;
    assert!(wire.is_dropped());
    assert_eq!(log.take_events(), []);
    assert_eq!(log.closed().cause, Cause::CloseTimeout);
}

#[tokio::test(start_paused = true)]
async fn a_paused_connection_whose_transport_is_broken_can_still_be_closed() {
    let (log, wire) = connect(Server::builder()).await;
    let handle = log.handle();
    handle.pause();
    settle().await;
    wire.reset();
    handle.send("to nobody").unwrap();
    settle().await;
    assert_eq!(handle.ready_state(), ReadyState::Closing, "that much is known");
    handle.close(1000, "").unwrap();
    pass(10 * SECOND).await;
    settle().await;
    assert!(wire.is_dropped());
    assert_eq!(end(&log), (1006, String::new(), false));
}

// Transports that break.

/// A name for a state, the way into it, and the code of an end in it.
type Before = (&'static str, fn(&Log, &Wire), u16);

/// All states that a connection can be in when its transport breaks.
const STATES: [Before; 11] = [
    ("at rest", |_, _| {}, 1006),
    ("in a header", |_, wire| wire.send_bytes([0x81]), 1006),
    ("in a payload", |_, wire| wire.send_bytes(&text("Hello").encode()[..8]), 1006),
    ("in a large payload", |_, wire| wire.send_bytes(&binary(vec![7; 1 << 20]).encode()[..70_000]), 1006),
    ("between fragments", |_, wire| wire.send(&[text("Hel").unfinished()]), 1006),
    ("in a control frame", |_, wire| wire.send_bytes(&ping("Hello").encode()[..8]), 1006),
    (
        "with something to write",
        |log, wire| {
            wire.set_room(Some(3));
            log.handle().send("not written").unwrap();
        },
        1006,
    ),
    ("with fragments to come", |log, _| log.handle().send_fragment("Hel", false).unwrap(), 1006),
    ("behind our close frame", |log, _| log.handle().close(1000, "").unwrap(), 1006),
    (
        "before our close frame",
        |log, wire| {
            wire.set_room(Some(0));
            log.handle().close(1000, "").unwrap();
        },
        1006,
    ),
    (
        "before our answer",
        |_, wire| {
            wire.set_room(Some(1));
            wire.send(&[close(4000, "")]);
        },
        4000,
    ),
];

#[tokio::test(start_paused = true)]
async fn a_transport_that_ends_or_breaks_in_any_state_is_one_close_event() {
    for (name, before, code) in STATES {
        for ends in [Wire::end as fn(&Wire), Wire::reset] {
            let (log, wire) = connect(Server::builder()).await;
            before(&log, &wire);
            settle().await;
            assert_eq!(log.told().closed.len(), 0, "{name}");
            ends(&wire);
            // A peer that has ended its half may still read what is queued.
            wire.set_room(None);
            settle().await;
            assert_eq!(log.closed().code.as_u16(), code, "{name}");
            assert_eq!(log.handle().ready_state(), ReadyState::Closed, "{name}");
            assert!(wire.is_dropped(), "{name}");
            log.handle().closed().await;
            sleep(3600 * SECOND).await;
            assert_eq!(log.told().closed.len(), 1, "{name}: it is told once");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_breaks_is_noticed_while_nothing_is_read_for_want_of_room() {
    let (log, wire) = connect(Server::builder()).await;
    wire.set_room(Some(0));
    while log.handle().send(vec![7; 100_000]).is_ok() {}
    settle().await;
    wire.send(&[text("read at last")]);
    settle().await;
    assert_eq!(log.take_events(), [], "the peer is not asked for more");
    wire.reset();
    settle().await;
    assert_eq!(log.take_texts(), ["read at last"]);
    assert_eq!(end(&log), (1006, String::new(), false));
}

#[tokio::test(start_paused = true)]
async fn messages_before_a_broken_transport_are_delivered() {
    let (log, wire) = connect(Server::builder()).await;
    wire.send(&[text("1")]);
    wire.send(&[text("2"), ping("answered by nobody")]);
    wire.send(&[text("3"), close(1000, "")]);
    wire.reset();
    settle().await;
    let expected = [
        Event::Text("1".into()),
        Event::Text("2".into()),
        Event::Ping(b"answered by nobody".to_vec()),
        Event::Text("3".into()),
    ];
    assert_eq!(log.take_events(), expected);
    assert_eq!(end(&log), (1000, String::new(), true), "the peer's close frame came");
}

#[tokio::test(start_paused = true)]
async fn behind_a_violation_the_rest_is_read_and_thrown_away_until_the_peer_ends() {
    let (log, wire) = connect(Server::builder()).await;
    wire.send(&[text("before"), Frame::new(TEXT, "not masked")]);
    settle().await;
    assert_eq!(codes(&wire), [1002]);
    assert!(wire.is_ended() && !wire.is_dropped());
    for _ in 0..10 {
        wire.send_bytes(vec![0; 100_000]);
        settle().await;
    }
    assert!(wire.read() > 1_000_000, "what is left unread would reset the connection");
    assert_eq!(log.take_events(), [Event::Text("before".into()), Event::Violation("MaskMissing".into())]);
    wire.end();
    settle().await;
    assert!(wire.is_dropped());
    assert!(matches!(log.closed().cause, Cause::Violation(_)));
    assert_eq!(end(&log), (1006, String::new(), false));
}

#[tokio::test]
async fn a_client_that_is_still_sending_gets_the_close_frame_that_says_why() {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    server.handle_with(Log::default());
    let mut tcp = TcpStream::connect(server.local_addr().unwrap()).await.unwrap();
    tokio::spawn(async move { server.run().await });
    tcp.write_all(request("").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tcp.read_u8().await.unwrap());
    }
    let (mut read, mut write) = tcp.split();
    let sending = async {
        write.write_all(&Frame::new(3, "").encode()).await.unwrap();
        for _ in 0..100 {
            write.write_all(&vec![0; 100_000]).await.unwrap();
        }
        write.shutdown().await.unwrap();
    };
    let reading = async {
        let mut written = Vec::new();
        read.read_to_end(&mut written).await.unwrap();
        written
    };
    let ((), written) = tokio::join!(sending, reading);
    let (frames, _) = decode_all(&written).unwrap();
    assert_eq!(frames.iter().map(code_of).collect::<Vec<_>>(), [1002]);
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_before_it_is_waited_for() {
    let told = Arc::new(Mutex::new(false));
    let server = Server::builder().build();
    server.on_connection({
        let told = Arc::clone(&told);
        move |ws, _| {
            let told = Arc::clone(&told);
            ws.on_close(move |_, _| *told.lock().unwrap() = true);
        }
    });
    let wire = open(&server).await;
    let handle = server.clients().remove(0);
    let waiting = tokio::spawn(async move { handle.closed().await });
    wire.end();
    waiting.await.unwrap();
    assert!(*told.lock().unwrap());
    assert_eq!(server.clients().len(), 0);
}
