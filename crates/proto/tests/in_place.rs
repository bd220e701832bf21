//! Reading the rest of a large message directly into it has the same result as reading it into another buffer.

#![expect(clippy::disallowed_methods, reason = "a driver has a clock")]

use std::sync::Arc;
use std::time::Instant;

use ropeway_proto::{Config, Connection, Event, Input, Message, Role};
use testkit::wire::{self, Frame, KEY};

/// An event: a message, or the violation if there was one.
#[derive(Debug, PartialEq)]
enum Seen {
    Message(Message),
    Violation(String),
}

/// Reads `bytes`, at most `step` at a time, and in place if the connection offers it. Also counts the bytes that were
/// read in place.
fn read(config: Config, mut bytes: &[u8], step: usize, in_place: bool) -> (Vec<Seen>, usize) {
    let now = Instant::now();
    let mut connection = Connection::new(Role::Server, Arc::new(config), now);
    let (mut seen, mut placed) = (Vec::new(), 0);
    while !bytes.is_empty() {
        if in_place && let Some(room) = connection.poll_read_buffer() {
            let count = step.min(room.len()).min(bytes.len());
            room[..count].copy_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            placed += count;
            seen.extend(connection.handle_read_in_place(count, now).map(note));
        } else {
            let count = step.min(bytes.len());
            let mut buffer = bytes[..count].to_vec();
            bytes = &bytes[count..];
            let mut input = Input::new(&mut buffer);
            while let Some(event) = connection.handle_input(&mut input, now) {
                seen.push(note(event));
            }
        }
    }
    (seen, placed)
}

fn note(event: Event<'_>) -> Seen {
    match event {
        Event::Message(message) => Seen::Message(message.into_owned()),
        other => Seen::Violation(format!("{other:?}")),
    }
}

fn frame(opcode: u8, payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(opcode, payload).with_mask(Some(KEY))
}

#[test]
fn large_messages_are_the_same_and_mostly_not_copied() {
    let text = "Seilbahn, телефе́рик, 索道, 🚡 ".repeat(6_000);
    let binary: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut bytes = frame(wire::TEXT, text.clone()).encode();
    bytes.extend(frame(wire::BINARY, binary.clone()).encode());
    bytes.extend(frame(wire::TEXT, "short").encode());
    let expected = [Message::from(text), Message::from(binary), Message::from("short")].map(Seen::Message);
    for step in [1_000, 1_021, 16 * 1024, 100_000] {
        let (seen, placed) = read(Config::server(), &bytes, step, true);
        assert_eq!(seen, expected, "reads of {step} bytes");
        assert!(placed > bytes.len() / 2, "reads of {step} bytes: {placed} in place of {}", bytes.len());
    }
}

#[test]
fn a_bad_byte_fails_at_once_in_place_too() {
    let mut text = vec![b'a'; 300_000];
    text[200_000] = 0xff;
    let bytes = frame(wire::TEXT, text).encode();
    for step in [999, 4_096, 50_000] {
        // The frame never ends. The bytes up to the bad one have to be enough.
        let bytes = &bytes[..210_000 + step];
        let (in_place, _) = read(Config::server(), bytes, step, true);
        assert_eq!(in_place, read(Config::server(), bytes, step, false).0);
        assert_eq!(in_place, [Seen::Violation("Violation(NotUtf8)".to_owned())]);
    }
}

#[test]
fn control_frames_and_small_rests_are_not_read_in_place() {
    let mut fragmented = frame(wire::BINARY, vec![1; 100_000]);
    fragmented.fin = false;
    let mut bytes = fragmented.encode();
    bytes.extend(frame(wire::PING, "x").encode());
    bytes.extend(frame(wire::CONTINUATION, vec![2; 1_000]).encode());
    let (seen, placed) = read(Config::server(), &bytes, 64, true);
    assert_eq!(seen, read(Config::server(), &bytes, 64, false).0);
    assert_eq!(seen.len(), 2);
    assert!((65_000..68_000).contains(&placed), "{placed}: all of the large fragment but 16 KiB at either end");
}
