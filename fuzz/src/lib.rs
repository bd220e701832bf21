//! Shared by several targets: a connection that gets arbitrary frames.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use ropeway_proto::deflate::{Options, Params};
use ropeway_proto::{CloseFrame, Config, Connection, Event, Input, Message, Role, Violation};

/// Small limits, so that the fuzzer reaches them with small inputs.
const MAX_PAYLOAD: usize = 4096;
const MAX_BUFFERED: usize = 16 * 1024;

/// The bytes that may be queued on top of the messages: a pong, a close frame, and the headers of frames.
const OVERHEAD: usize = 512;

/// An event that a user of the connection gets.
#[derive(Debug, PartialEq)]
enum Seen {
    Message(Message),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<CloseFrame>),
    Violation(Violation),
}

/// The events and the output for one input.
#[derive(Debug, PartialEq)]
struct Run {
    seen: Vec<Seen>,
    sent: Vec<u8>,
}

/// Passes `data` to a connection that echoes: a byte of options, the length of the pieces that the rest is cut into,
/// and the rest, which is the peer's input.
///
/// Events and output do not depend on the cuts, and no input makes more output wait than the limits allow.
pub fn frames(role: Role, data: &[u8]) {
    let [options, piece, bytes @ ..] = data else { return };
    let deflate = match options & 0b11 {
        0 | 1 => None,
        2 => Some(Params::default()),
        _ => Some(Params {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: 9,
            client_max_window_bits: 9,
        }),
    };
    let whole = run(role.clone(), deflate, bytes, bytes.len().max(1));
    let cut = run(role, deflate, bytes, usize::from(*piece).max(1));
    let violated = matches!(whole.seen.last(), Some(Seen::Violation(_)));
    if deflate.is_some() && violated {
        // A message that is invalid in two ways, such as too big and not UTF-8, is refused for the fault that is
        // inflated first. That depends on the cuts. That it is refused must not.
        assert!(matches!(cut.seen.last(), Some(Seen::Violation(_))), "{whole:?}\n{cut:?}");
        assert_eq!(whole.seen[..whole.seen.len() - 1], cut.seen[..cut.seen.len() - 1]);
    } else {
        assert_eq!(whole, cut);
    }
}

fn run(role: Role, deflate: Option<Params>, bytes: &[u8], piece: usize) -> Run {
    let now = Instant::now();
    let config = Config::server().max_payload(MAX_PAYLOAD).max_buffered(MAX_BUFFERED).max_fragments(64);
    let mut connection = Connection::new(role, Arc::new(config), now);
    if let Some(params) = deflate {
        connection = connection.with_deflate(&params, &Options::context_takeover());
    }
    let mut seen = Vec::new();
    for piece in bytes.chunks(piece) {
        let mut piece = piece.to_vec();
        let mut input = Input::new(&mut piece);
        // No message here is large enough to be left for a later turn.
        while let Some(event) = connection.handle_input(&mut input, now) {
            seen.push(match event {
                Event::Message(message) => {
                    assert!(message.len() <= MAX_PAYLOAD);
                    // It is refused if the queue is full or the connection is closing, as it should be.
                    let message = message.into_owned();
                    let _ = connection.send(&message);
                    Seen::Message(message)
                }
                Event::Ping(payload) => Seen::Ping(payload.to_vec()),
                Event::Pong(payload) => Seen::Pong(payload.to_vec()),
                Event::Close(frame) => Seen::Close(frame),
                Event::Violation(violation) => Seen::Violation(violation),
                other => unreachable!("an event that the targets do not know: {other:?}"),
            });
            assert!(connection.buffered_amount() <= MAX_BUFFERED + MAX_PAYLOAD + OVERHEAD);
        }
        assert!(input.is_empty(), "without an event, all of the input was taken");
    }
    let sent = drain(&mut connection);
    connection.handle_eof(now);
    drain(&mut connection);
    if connection.poll_shutdown() {
        connection.handle_shutdown();
    }
    assert!(connection.outcome().is_some(), "after the end of the transport it is closed");
    Run { seen, sent }
}

/// Takes all that waits to be written, in writes that end anywhere.
fn drain(connection: &mut Connection) -> Vec<u8> {
    let mut sent = Vec::new();
    loop {
        let mut slices = [IoSlice::new(&[]); 3];
        let filled = connection.poll_transmit(&mut slices);
        if filled == 0 {
            assert_eq!(connection.buffered_amount(), 0);
            return sent;
        }
        let offered: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
        let written = (offered.len() / 2).max(1);
        sent.extend_from_slice(&offered[..written]);
        connection.handle_transmitted(written);
    }
}
