//! Large messages are compressed a slice at a time and inflated a part at a time. Other connections get their turn in
//! between, and the result is the same.

#![expect(clippy::disallowed_methods, reason = "a driver has a clock")]

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use ropeway_proto::deflate::{self, Options, Params};
use ropeway_proto::{CloseCode, CloseFrame, Config, Connection, Event, Input, Message, Prepared, Role, SendError};
use testkit::deflate::Deflater;
use testkit::wire::{self, Frame, KEY, RSV1};

const SLICE: usize = 16 * 1024;

fn connection(role: Role, params: Params) -> Connection {
    let config = Config::server().max_buffered(1 << 20);
    Connection::new(role, Arc::new(config), Instant::now()).with_deflate(&params, &Options::default())
}

fn server() -> Connection {
    connection(Role::Server, Params::default())
}

/// Returns all that waits, as written.
fn written(connection: &mut Connection) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let mut slices = [IoSlice::new(&[]); 8];
        let count = connection.poll_transmit(&mut slices);
        let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        if bytes.is_empty() {
            return out;
        }
        connection.handle_transmitted(bytes.len());
        out.extend(bytes);
    }
}

/// Does all the work there is. Returns the number of steps.
fn work(connection: &mut Connection) -> usize {
    let mut steps = 0;
    while connection.has_work() {
        connection.handle_work(true);
        steps += 1;
    }
    steps
}

/// Returns what the peer receives: whole messages, and other events by name.
fn heard(peer: &mut Connection, mut bytes: Vec<u8>) -> Vec<Result<Message, String>> {
    let (mut input, mut heard) = (Input::new(&mut bytes), Vec::new());
    while !input.is_empty() {
        while let Some(event) = peer.handle_input(&mut input, Instant::now()) {
            heard.push(match event {
                Event::Message(message) => Ok(message.into_owned()),
                other => Err(format!("{other:?}").chars().take_while(char::is_ascii_alphabetic).collect()),
            });
        }
    }
    heard
}

fn client(params: Params) -> Connection {
    connection(Role::client(|| KEY), params)
}

/// A message that takes long to compress: there is always a longer match to look for.
fn slow(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + (state >> 31) as u8
    };
    let letters: Vec<u8> = (0..30_000).map(|_| letter()).collect();
    letters.into_iter().cycle().take(length).collect()
}

#[test]
fn a_large_message_is_compressed_in_slices_and_counts_as_buffered_meanwhile() {
    let (mut server, message) = (server(), slow(20 * SLICE));
    server.send(message.as_slice()).unwrap();
    assert_eq!(server.buffered_amount(), message.len());
    for _ in 0..19 {
        server.handle_work(true);
        assert!(server.has_work());
        assert!((1..=message.len()).contains(&server.buffered_amount()));
        assert!(written(&mut server).is_empty(), "it is one frame, whose length is not known");
    }
    server.handle_work(true);
    assert!(!server.has_work());
    let bytes = written(&mut server);
    assert!(bytes.len() < message.len() / 4);
    assert_eq!(server.buffered_amount(), 0);
    assert_eq!(heard(&mut client(Params::default()), bytes), [Ok(message.into())]);
}

#[test]
fn a_message_of_one_slice_is_compressed_at_once() {
    let mut server = server();
    server.send(vec![7; SLICE]).unwrap();
    assert!(!server.has_work());
}

#[test]
fn messages_behind_it_wait_in_order_and_pings_do_not() {
    let (mut server, mut client) = (server(), client(Params::default()));
    let (large, short) = (slow(5 * SLICE), Prepared::from("short ".repeat(500)));
    server.send(large.as_slice()).unwrap();
    server.send("behind").unwrap();
    server.send_prepared(&short).unwrap();
    server.send_fragment("frag", false).unwrap();
    server.send("held").unwrap();
    server.ping(b"now").unwrap();
    server.send_fragment("ment", true).unwrap();
    server.send(large.as_slice()).unwrap();
    server.close(Some(&CloseFrame::new(CloseCode::NORMAL, "")), Instant::now()).unwrap();
    assert_eq!(heard(&mut client, written(&mut server)), [Err("Ping".to_owned())]);
    assert!(server.buffered_amount() > 2 * large.len());
    assert!(!server.poll_shutdown());
    assert_eq!(work(&mut server), 10, "slices of two messages");
    let expected = [
        Ok(Message::from(large.clone())),
        Ok("behind".into()),
        Ok(short.message().clone()),
        Ok("fragment".into()),
        Ok("held".into()),
        Ok(large.into()),
        Err("Close".to_owned()),
    ];
    assert_eq!(heard(&mut client, written(&mut server)), expected);
    assert_eq!(server.buffered_amount(), 0);
}

#[test]
fn a_message_that_has_not_begun_goes_as_it_is_if_it_may_not_and_one_that_has_is_finished() {
    let (mut server, mut client) = (server(), client(Params::default()));
    let large = slow(3 * SLICE);
    server.send(large.as_slice()).unwrap();
    server.handle_work(true);
    server.send(large.as_slice()).unwrap();
    server.send("behind").unwrap();
    server.handle_work(false);
    server.handle_work(false);
    assert!(server.has_work(), "the second has its turn");
    let first = written(&mut server);
    assert!(first.len() < large.len() / 2);
    server.handle_work(false);
    assert!(!server.has_work());
    let second = written(&mut server);
    assert!(second.len() > large.len());
    // The next message points back only into what was compressed.
    server.send(large.as_slice()).unwrap();
    assert_eq!(work(&mut server), 3);
    let third = written(&mut server);
    let expected = [Ok(large.clone().into()), Ok(large.clone().into()), Ok("behind".into()), Ok(large.into())];
    assert_eq!(heard(&mut client, [first, second, third].concat()), expected);
}

#[test]
fn a_message_holds_a_codec_from_its_first_slice_to_its_last() {
    // Other tests of this process may hold some codecs too, but not this many.
    let many = 1_000;
    let mut servers: Vec<Connection> = (0..many).map(|_| server()).collect();
    for server in &mut servers {
        server.send(slow(2 * SLICE)).unwrap();
    }
    assert!(deflate::codecs_in_use() < many / 2, "nothing has begun");
    for server in &mut servers {
        server.handle_work(true);
    }
    assert!(deflate::codecs_in_use() >= many);
    let (finished, dropped) = servers.split_at_mut(many / 2);
    for server in finished {
        server.handle_work(true);
    }
    dropped.iter_mut().for_each(Connection::terminate);
    assert!(deflate::codecs_in_use() < many / 2);
}

#[test]
fn empty_messages_that_wait_are_bounded() {
    let large = slow(2 * SLICE);
    let wait: [fn(&mut Connection, &[u8]); 2] = [
        |connection, large| connection.send(large).unwrap(),
        |connection, _| connection.send_fragment("begun", false).unwrap(),
    ];
    for wait in wait {
        let mut server = server();
        wait(&mut server, &large);
        let count = (0..1_000_000).take_while(|_| server.send("").is_ok()).count();
        assert!((10_000..100_000).contains(&count), "{count}");
    }
}

#[test]
fn it_is_sent_before_the_answer_to_a_close_frame_and_before_that_to_a_violation() {
    for (frame, end) in [(wire::CLOSE, "Close"), (11, "Close")] {
        let mut server = server();
        server.send(slow(3 * SLICE)).unwrap();
        let mut input = Frame::new(frame, "").with_mask(Some(KEY)).encode();
        assert!(server.handle_input(&mut Input::new(&mut input), Instant::now()).is_some());
        assert!(!server.poll_shutdown(), "there is something to send");
        assert!(written(&mut server).is_empty());
        assert_eq!(work(&mut server), 3);
        let heard = heard(&mut client(Params::default()), written(&mut server));
        assert_eq!(heard, [Ok(slow(3 * SLICE).into()), Err(end.to_owned())]);
        assert!(server.poll_shutdown());
    }
}

#[test]
fn while_much_waits_messages_are_refused() {
    let mut server = server();
    server.send(vec![7; 2 << 20]).unwrap();
    assert!(matches!(server.send("more"), Err(SendError::Full { .. })));
    work(&mut server);
    written(&mut server);
    server.send("more").unwrap();
}

#[test]
fn the_end_of_the_transport_is_the_end_of_the_work() {
    type End = fn(&mut Connection);
    let broken: End = |connection| connection.handle_broken_pipe(Instant::now());
    let ends: [End; 3] = [Connection::handle_reset, Connection::terminate, broken];
    for end in ends {
        let mut server = server();
        server.send(slow(5 * SLICE)).unwrap();
        server.handle_work(true);
        end(&mut server);
        assert!(!server.has_work());
        assert_eq!(server.buffered_amount(), 0);
        server.handle_work(true);
    }
}

#[test]
fn work_that_is_given_up_is_sent_uncompressed_with_all_behind_it() {
    for begun in [0, 1] {
        let (mut server, mut client) = (server(), client(Params::default()));
        let (large, shared) = (slow(5 * SLICE), Prepared::from("shared ".repeat(500)));
        server.send("before ".repeat(500)).unwrap();
        server.send(large.as_slice()).unwrap();
        (0..begun).for_each(|_| server.handle_work(true));
        server.send("behind ".repeat(500)).unwrap();
        server.send(large.as_slice()).unwrap();
        server.send_prepared(&shared).unwrap();
        server.give_up_work();
        assert!(!server.has_work());
        server.send(large.as_slice()).unwrap();
        let expected = [
            Ok("before ".repeat(500).into()),
            Ok(large.clone().into()),
            Ok("behind ".repeat(500).into()),
            Ok(large.clone().into()),
            Ok(shared.message().clone()),
            Ok(Message::from(large)),
        ];
        assert_eq!(heard(&mut client, written(&mut server)), expected);
    }
}

#[test]
fn the_end_of_the_peers_half_is_not() {
    let mut server = server();
    server.send(slow(3 * SLICE)).unwrap();
    server.handle_eof(Instant::now());
    assert!(!server.poll_shutdown(), "there is something to send");
    assert_eq!(work(&mut server), 3);
    assert_eq!(heard(&mut client(Params::default()), written(&mut server)), [Ok(slow(3 * SLICE).into())]);
    assert!(server.poll_shutdown());
}

#[test]
fn a_large_message_for_many_is_sent_as_it_is() {
    for (length, compressions) in [(64 * 1024, 1), (64 * 1024 + 1, 0)] {
        let (mut server, message) = (server(), Prepared::from(slow(length)));
        server.send_prepared(&message).unwrap();
        assert!(!server.has_work());
        assert_eq!(message.compressions(), compressions);
        assert_eq!(heard(&mut client(Params::default()), written(&mut server)), [Ok(message.message().clone())]);
    }
}

#[test]
fn one_frame_that_inflates_to_much_is_inflated_in_parts() {
    let message = vec![b'a'; 8 << 20];
    let mut frame = Frame::new(wire::BINARY, Deflater::new().deflate(&message)).with_mask(Some(KEY));
    frame.rsv = RSV1;
    let mut bytes = frame.encode();
    assert!(bytes.len() < 128 * 1024, "one read: {}", bytes.len());
    let (mut server, mut input) = (server(), Input::new(&mut bytes));
    let (mut calls, mut before) = (0, 0);
    let event = loop {
        match server.handle_input(&mut input, Instant::now()) {
            Some(event) => break event,
            None => assert!(!input.is_empty(), "it is all there"),
        }
        let came = server.received_amount() - before;
        assert!((256 * 1024..1280 * 1024).contains(&came), "{came} bytes at once");
        before = server.received_amount();
        calls += 1;
    };
    assert!(calls >= 7, "{calls} times");
    let Event::Message(received) = event else { panic!("{event:?}") };
    assert!(received.into_owned() == Message::from(message));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn messages_of_any_length_come_back_whenever_the_work_is_done_or_refused(
        forgets in any::<bool>(),
        bits in 8..=15_u8,
        lengths in prop::collection::vec((0..100_000_usize, 0..4_usize, any::<bool>()), 1..8),
    ) {
        let params = Params { server_no_context_takeover: forgets, server_max_window_bits: bits, ..Params::default() };
        let (mut server, mut client) = (connection(Role::Server, params), client(params));
        let (mut sent, mut received) = (Vec::new(), Vec::new());
        for (length, steps, may_begin) in lengths {
            let message = Message::from(slow(length));
            server.send_promised(&message).unwrap();
            sent.push(Ok(message));
            for _ in 0..steps {
                server.handle_work(may_begin);
            }
            received.extend(heard(&mut client, written(&mut server)));
        }
        work(&mut server);
        received.extend(heard(&mut client, written(&mut server)));
        prop_assert!(received == sent);
        prop_assert_eq!(server.buffered_amount(), 0);
    }
}
