//! Input: messages that resemble real ones, frames of them, and the two ends. All of it is the same in every run.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use ropeway_proto::{Config, Connection, Role};
use testkit::wire::{self, Frame};

/// The key of every masked frame. Each of its bytes is below 0x80, so that ASCII, and with it UTF-8, stays valid
/// however often it is masked. A run unmasks bytes where they lie, and the next run takes the result as its input. So
/// nothing has to be copied between runs, and no count includes a copy that a driver would not make.
const KEY: [u8; 4] = [0x37, 0x7a, 0x21, 0x3d];

/// A client that uses the same key for all frames.
pub(crate) fn client() -> Role {
    Role::client(|| KEY)
}

/// The kind of a message. Text is checked, binary is not.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Text,
    Binary,
}

/// Records as an application sends them: ASCII of `length` bytes that compresses to about a third. No two records are
/// equal.
pub(crate) fn records(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut text = Vec::with_capacity(length + 100);
    while text.len() < length {
        // Knuth's MMIX generator. Its upper bits are good enough for numbers that resemble prices.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (id, price, size) = (state >> 44, (state >> 32) % 10_000, (state >> 24) % 500);
        let name = ["alpha", "bravo", "charlie", "delta"][(state >> 60) as usize % 4];
        let record = writeln!(text, r#"{{"id":{id},"symbol":"{name}","price":{price},"size":{size},"live":true}}"#);
        record.expect("a vector takes whatever is written to it");
    }
    text.truncate(length);
    text
}

/// ASCII of `length` bytes.
pub(crate) fn ascii(length: usize) -> Vec<u8> {
    records(length, 1)
}

/// Text in several scripts, of about `length` bytes: code points of one to four bytes.
pub(crate) fn mixed(length: usize) -> Vec<u8> {
    let words = "Seilbahn, téléphérique, телефе́рик, 索道, रज्जुमार्ग, 🚡 ";
    words.repeat(length / words.len()).into_bytes()
}

/// The bytes of `count` messages from a client, of `length` bytes of ASCII each.
pub(crate) fn masked_messages(kind: Kind, length: usize, count: usize) -> Vec<u8> {
    let frame = Frame::new(opcode(kind), ascii(length)).with_mask(Some(KEY));
    frame.encode().repeat(count)
}

/// The bytes of one message from a client in `count` fragments of `length` bytes each.
pub(crate) fn masked_fragments(kind: Kind, length: usize, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for index in 0..count {
        let opcode = if index == 0 { opcode(kind) } else { wire::CONTINUATION };
        let mut frame = Frame::new(opcode, ascii(length)).with_mask(Some(KEY));
        frame.fin = index + 1 == count;
        frame.encode_into(&mut bytes);
    }
    bytes
}

/// The bytes of `count` pings from a client.
pub(crate) fn masked_pings(count: usize) -> Vec<u8> {
    Frame::new(wire::PING, "ping").with_mask(Some(KEY)).encode().repeat(count)
}

fn opcode(kind: Kind) -> u8 {
    match kind {
        Kind::Text => wire::TEXT,
        Kind::Binary => wire::BINARY,
    }
}

/// A connection as the `ropeway` crate makes it, but with limits that no benchmark reaches.
pub(crate) fn connection(role: Role, now: Instant) -> Connection {
    let config = Config::server().max_buffered(usize::MAX).max_control_rate(u32::MAX);
    Connection::new(role, Arc::new(config), now)
}
