//! Hostile peers: floods of pings, of fragments and of idle connections, compression bombs, and lengths that are not
//! true.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ropeway::{Cause, Config, ReadyState, Server, ServerBuilder, Violation, deflate};
use testkit::Event;
use testkit::deflate::Deflater;
use testkit::wire::{BINARY, CONTINUATION, Frame, KEY, PING, PONG, RSV1, TEXT};
use tokio::time::sleep;

use super::eventually::eventually;
use super::script::{Log, binary, code_of, connect, continuation, open, open_with, ping, pong, request, text};
use super::wire::{Wire, pass, settle};

const SECOND: Duration = Duration::from_secs(1);

/// The most large messages that are compressed at the same time, see `driver`.
pub(crate) const MOST_CODECS: usize = 64;

/// The violation that ended the only connection in a log, and the close code that the peer got.
async fn failed(log: &Log, wire: &Wire) -> (Violation, u16) {
    settle().await;
    wire.set_room(None);
    settle().await;
    let code = code_of(wire.take_frames().last().expect("a close frame"));
    assert!(wire.is_ended());
    wire.end();
    settle().await;
    match log.closed().cause {
        Cause::Violation(violation) => (violation, code),
        other => panic!("it ended by {other}"),
    }
}

// Control frames.

#[tokio::test(start_paused = true)]
async fn pings_are_not_answered_one_by_one_while_pongs_are_not_read() {
    let (log, wire) = connect(Server::builder()).await;
    wire.set_room(Some(0));
    for number in 0..1000_u32 {
        wire.send(&[ping(number.to_be_bytes().repeat(30))]);
        settle().await;
        assert!(log.handle().buffered_amount() < 5000, "{} bytes", log.handle().buffered_amount());
    }
    assert_eq!(log.take_events().len(), 1000);
    wire.set_room(None);
    settle().await;
    let pongs = wire.take_frames();
    assert!(pongs.iter().all(|pong| pong.opcode == PONG));
    assert_eq!(pongs.last().unwrap().payload, 999_u32.to_be_bytes().repeat(30), "the newest is");
    assert_eq!(log.handle().ready_state(), ReadyState::Open);
}

#[tokio::test(start_paused = true)]
async fn more_than_a_thousand_control_frames_a_second_are_answered_with_1008() {
    for frame in [ping(""), pong("")] {
        let (log, wire) = connect(Server::builder()).await;
        wire.set_room(Some(0));
        wire.send(&vec![frame.clone(); 1000]);
        settle().await;
        assert_eq!(log.handle().ready_state(), ReadyState::Open);
        wire.send(&[text("whole"), frame.clone(), text("behind")]);
        assert_eq!(failed(&log, &wire).await, (Violation::ControlFlood(1000), 1008));
        let events = log.take_events();
        let last = [Event::Text("whole".into()), Event::Violation("ControlFlood".into())];
        assert_eq!(events[1000..], last, "what came whole before is delivered");
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_control_frames_in_every_second_are_no_flood() {
    let (log, wire) = connect(Server::builder()).await;
    for _ in 0..5 {
        wire.send(&vec![ping("x"); 1000]);
        settle().await;
        sleep(SECOND).await;
    }
    assert_eq!(log.take_events().len(), 5000);
    assert_eq!(log.handle().ready_state(), ReadyState::Open);
}

#[tokio::test(start_paused = true)]
async fn pings_between_the_bytes_of_a_slow_reader_do_not_pile_up() {
    let (log, wire) = connect(Server::builder()).await;
    for round in 0..500 {
        // Just enough is read for pongs to be always in the middle of being sent.
        wire.set_room(Some(3));
        wire.send(&vec![ping(vec![7; 125]); 2]);
        settle().await;
        assert!(log.handle().buffered_amount() < 10_000, "round {round}: {}", log.handle().buffered_amount());
        sleep(SECOND / 100).await;
    }
    wire.set_room(None);
    settle().await;
    assert!(wire.take_frames().iter().all(|frame| *frame == Frame::new(PONG, vec![7; 125])));
}

// Fragments and messages.

#[tokio::test(start_paused = true)]
async fn a_message_of_endless_empty_fragments_is_answered_with_1008() {
    let config = Config::server().max_fragments(100);
    let (log, wire) = connect(Server::builder().config(config)).await;
    wire.send(&[text("begun").unfinished()]);
    wire.send(&vec![continuation("").unfinished(); 99]);
    settle().await;
    assert_eq!(log.handle().ready_state(), ReadyState::Open);
    wire.send(&[continuation("").unfinished()]);
    assert_eq!(failed(&log, &wire).await, (Violation::TooManyFragments(100), 1008));
}

#[tokio::test(start_paused = true)]
async fn by_default_a_message_has_65_536_fragments_at_most() {
    const MOST: usize = 1 << 16;
    let (log, wire) = connect(Server::builder()).await;
    wire.send(&[text("").unfinished()]);
    wire.send(&vec![continuation("").unfinished(); MOST - 2]);
    wire.send(&[continuation("whole")]);
    eventually("it is whole", || log.take_texts() == ["whole"]).await;
    wire.send(&[text("").unfinished()]);
    wire.send(&vec![continuation("").unfinished(); MOST]);
    eventually("it is answered", || wire.is_ended()).await;
    assert_eq!(failed(&log, &wire).await, (Violation::TooManyFragments(1 << 16), 1008));
}

fn too_big(limit: usize, announced: Option<u64>) -> Violation {
    Violation::too_big(limit, announced)
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_limit_is_answered_with_1009_before_it_comes() {
    let (log, wire) = connect(Server::builder().max_payload(1000)).await;
    wire.send(&[text("fits"), binary(vec![7; 1001])]);
    assert_eq!(failed(&log, &wire).await, (too_big(1000, Some(1001)), 1009));
    assert_eq!(log.take_events()[0], Event::Text("fits".into()));
}

#[tokio::test(start_paused = true)]
async fn lengths_that_no_machine_holds_are_refused_by_their_headers() {
    // RFC 6455 section 5.2: 63 bits, and the last of these has 64.
    for (length, expected, code) in [
        (u64::MAX >> 1, too_big(16 << 20, Some(u64::MAX >> 1)), 1009),
        (1 << 62, too_big(16 << 20, Some(1 << 62)), 1009),
        (u64::MAX, Violation::LengthTopBit, 1002),
    ] {
        for is_begun in [false, true] {
            let (log, wire) = connect(Server::builder()).await;
            if is_begun {
                wire.send(&[binary("begun").unfinished()]);
            }
            let opcode = if is_begun { CONTINUATION } else { BINARY };
            let header = [&[0x80 | opcode, 0xff][..], &length.to_be_bytes(), &KEY].concat();
            wire.send_bytes(header);
            assert_eq!(failed(&log, &wire).await, (expected.clone(), code));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_announce_much_and_send_little_stay_open() {
    let server = Server::builder().build();
    server.handle_with(Log::default());
    // The announced lengths add up to 16 GiB. The core's own tests measure how little memory is held for them.
    let mut wires = Vec::new();
    for _ in 0..1000 {
        let wire = open(&server).await;
        let header = [&[0x82, 0xff][..], &(16_u64 << 20).to_be_bytes(), &KEY, b"a"].concat();
        wire.send_bytes(header);
        wires.push(wire);
    }
    settle().await;
    assert_eq!(server.clients().iter().filter(|client| client.ready_state() == ReadyState::Open).count(), 1000);
}

// Compression.

/// A server that compresses, and a connection that has agreed to it.
async fn connect_deflated(builder: ServerBuilder) -> (Log, Wire) {
    let (server, log) = (builder.per_message_deflate(deflate::Options::default()).build(), Log::default());
    server.handle_with(log.clone());
    let wire = open_with(&server, request("Sec-WebSocket-Extensions: permessage-deflate\r\n")).await;
    (log, wire)
}

#[tokio::test(start_paused = true)]
async fn a_bomb_is_answered_with_1009_whole_and_in_fragments() {
    let bomb = Deflater::new().deflate(&vec![0; 100 << 20]);
    assert!(bomb.len() < 200_000, "it is small: {}", bomb.len());
    let (log, wire) = connect_deflated(Server::builder()).await;
    wire.send(&[binary(bomb.clone()).with_rsv(RSV1)]);
    assert_eq!(failed(&log, &wire).await, (too_big(16 << 20, None), 1009));

    let (log, wire) = connect_deflated(Server::builder()).await;
    let (first, rest) = bomb.split_at(100);
    wire.send(&[binary(first).with_rsv(RSV1).unfinished()]);
    for piece in rest.chunks(1000) {
        wire.send(&[continuation(piece).unfinished()]);
    }
    settle().await;
    assert_eq!(failed(&log, &wire).await, (too_big(16 << 20, None), 1009));
}

#[tokio::test(start_paused = true)]
async fn many_small_bombs_in_one_read_let_others_have_their_turn() {
    let server = Server::builder().per_message_deflate(deflate::Options::no_context_takeover()).build();
    let (inflated, when_quiet) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(usize::MAX)));
    server.on_connection({
        let (inflated, when_quiet) = (Arc::clone(&inflated), Arc::clone(&when_quiet));
        move |ws, _| {
            let (inflated, when_quiet) = (Arc::clone(&inflated), Arc::clone(&when_quiet));
            ws.on_message(move |_, message| {
                let before = inflated.fetch_add(message.len(), Ordering::Relaxed);
                if message.as_text() == Some("quiet") {
                    when_quiet.store(before, Ordering::Relaxed);
                }
            });
        }
    });
    let bombs = open_with(&server, request("Sec-WebSocket-Extensions: permessage-deflate\r\n")).await;
    let quiet = open(&server).await;
    let bomb = binary(Deflater::new().deflate(&vec![0; 100_000])).with_rsv(RSV1);
    // All of them come in one read.
    bombs.send(&vec![bomb; 500]);
    quiet.send(&[text("quiet")]);
    settle().await;
    assert_eq!(inflated.load(Ordering::Relaxed), 50_000_005);
    let before = when_quiet.load(Ordering::Relaxed);
    assert!(before <= 400_000, "{before} bytes were inflated first");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_does_not_inflate_is_answered_with_1007() {
    let (log, wire) = connect_deflated(Server::builder()).await;
    wire.send(&[text("fine"), binary([0xff; 10]).with_rsv(RSV1)]);
    assert_eq!(failed(&log, &wire).await, (Violation::CorruptDeflate, 1007));
    let (log, wire) = connect_deflated(Server::builder()).await;
    wire.send(&[text(Deflater::new().deflate(&[0xff])).with_rsv(RSV1)]);
    assert_eq!(failed(&log, &wire).await, (Violation::NotUtf8, 1007));
}

#[tokio::test(start_paused = true)]
async fn compressed_messages_go_both_ways() {
    let server = Server::builder().per_message_deflate(deflate::Options::default()).build();
    server.on_connection(|ws, _| {
        ws.on_message(|ws, message| ws.send(message).unwrap());
    });
    let wire = open_with(&server, request("Sec-WebSocket-Extensions: permessage-deflate\r\n")).await;
    let (mut deflater, mut inflater) = (Deflater::new(), testkit::deflate::Inflater::new(15));
    for round in 0..5 {
        let message = format!("round {round} ").repeat(1000).into_bytes();
        wire.send(&[text(deflater.deflate(&message)).with_rsv(RSV1), text("short")]);
        settle().await;
        let frames = wire.take_frames();
        assert_eq!((frames[0].opcode, frames[0].rsv), (TEXT, RSV1));
        assert!(frames[0].payload.len() < 500, "{}", frames[0].payload.len());
        assert_eq!(inflater.inflate(&frames[0].payload).unwrap(), message);
        assert_eq!(frames[1..], [Frame::new(TEXT, "short")]);
    }
}

#[tokio::test(start_paused = true)]
async fn large_replies_beyond_those_that_have_a_codec_go_uncompressed() {
    let server = Server::builder().per_message_deflate(deflate::Options::default()).build();
    server.on_connection(|ws, _| {
        ws.on_message(|ws, message| ws.send(message).unwrap());
    });
    let message = b"ropeway ".repeat(32 * 1024);
    let mut wires = Vec::new();
    for _ in 0..MOST_CODECS + 6 {
        wires.push(open_with(&server, request("Sec-WebSocket-Extensions: permessage-deflate\r\n")).await);
    }
    for wire in &wires {
        wire.send(&[binary(message.clone())]);
    }
    settle().await;
    let (mut compressed, mut plain) = (0, 0);
    for wire in &wires {
        let [reply] = &wire.take_frames()[..] else { panic!("one message was sent") };
        if reply.rsv == RSV1 {
            compressed += 1;
            assert!(testkit::deflate::Inflater::new(15).inflate(&reply.payload).unwrap() == message);
        } else {
            plain += 1;
            assert!(reply.payload == message);
        }
    }
    assert!(compressed > 0 && plain >= 6, "{compressed} compressed, {plain} plain");
}

#[tokio::test(start_paused = true)]
async fn a_ping_of_a_flooded_server_still_goes_out() {
    let server = Server::builder().build();
    server.on_connection(|ws, _| {
        ws.on_message(|ws, message| ws.send(message).unwrap());
    });
    let wire = open(&server).await;
    wire.set_room(Some(0));
    let flood = vec![binary(vec![7; 10_000]); 200];
    wire.send(&flood);
    pass(20 * SECOND).await;
    settle().await;
    wire.set_room(None);
    settle().await;
    let frames = wire.take_frames();
    assert_eq!(frames[0].opcode, PING, "ahead of what had not started");
}
