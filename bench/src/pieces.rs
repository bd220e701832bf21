//! Private parts of `ropeway-proto`, each through the smallest public operation that consists of little else.

use std::time::Instant;

use testkit::wire::{self, Frame};

use crate::sample::{self, Kind};
use crate::{receive, send};

/// The mask: a server receives one binary message, whose content is not looked at.
pub(crate) fn mask(length: usize) -> impl FnMut() {
    receive::messages(Kind::Binary, length, 1)
}

/// Parsing headers: a server receives binary messages without a payload.
pub(crate) fn header_parse(count: usize) -> impl FnMut() {
    receive::messages(Kind::Binary, 0, count)
}

/// Writing headers: a server sends binary messages without a payload.
pub(crate) fn header_write(count: usize) -> impl FnMut() {
    send::copied(ropeway_proto::Role::Server, 0, count)
}

/// UTF-8 at once: a client receives one text message, which is not masked.
pub(crate) fn utf8(text: Vec<u8>) -> impl FnMut() {
    receive::unmasked(&Frame::new(wire::TEXT, text))
}

/// UTF-8 in pieces: the same in reads of `step` bytes, which are also stored.
pub(crate) fn utf8_in_pieces(text: Vec<u8>, step: usize) -> impl FnMut() {
    let mut bytes = Frame::new(wire::TEXT, text).encode();
    let now = Instant::now();
    let mut connection = sample::connection(sample::client(), now);
    move || {
        for piece in bytes.chunks_mut(step) {
            receive::read(&mut connection, piece, now);
        }
    }
}
