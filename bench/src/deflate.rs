//! permessage-deflate alone, at the default level: from a message to its payload and back.

use std::hint::black_box;

use ropeway_proto::deflate::{Compressor, Inflater, Options, Params, Side};
use testkit::deflate::Deflater;

use crate::sample;

/// Whether a message may point back into those before it.
#[derive(Clone, Copy)]
pub(crate) enum Window {
    /// No context takeover: each message is compressed by itself, with a codec from the pool.
    Fresh,
    /// Context takeover.
    Kept,
}

/// The number of different messages. If a window is kept, a message that was sent before would be one long match.
const DIFFERENT: usize = 64;

/// Compresses `count` messages of `length` bytes.
pub(crate) fn compress(window: Window, length: usize, count: usize) -> impl FnMut() {
    let mut compressor = Compressor::new(&params(window), Side::Server, &Options::default());
    let messages = messages(length, DIFFERENT.max(count));
    let mut next = (0..messages.len()).cycle();
    let mut out = Vec::new();
    move || {
        for index in next.by_ref().take(count) {
            out.clear();
            compressor.compress(&messages[index], &mut out);
            black_box(&out);
        }
    }
}

/// Inflates `count` messages of `length` bytes, always the same ones, in the order in which they were compressed. Each
/// points back only into those before it in the same round, so the window is right in every round. The compressor is
/// not ours, so that an improvement of ours does not change this count.
pub(crate) fn inflate(window: Window, length: usize, count: usize) -> impl FnMut() {
    let mut deflater = Deflater::new();
    let mut compress = |message: Vec<u8>| {
        if matches!(window, Window::Fresh) {
            deflater.restart();
        }
        deflater.deflate(&message)
    };
    let payloads: Vec<_> = messages(length, count).into_iter().map(&mut compress).collect();
    let mut inflater = Inflater::new(&params(window), Side::Client);
    let mut out = Vec::new();
    move || {
        for payload in &payloads {
            out.clear();
            inflater.inflate(payload, &mut out, usize::MAX).expect("what we compressed can be inflated");
            inflater.finish(&out).expect("what we compressed is whole");
            assert_eq!(black_box(&out).len(), length);
        }
    }
}

fn params(window: Window) -> Params {
    Params { server_no_context_takeover: matches!(window, Window::Fresh), ..Params::default() }
}

fn messages(length: usize, count: usize) -> Vec<Vec<u8>> {
    (0..count as u64).map(|seed| sample::records(length, seed)).collect()
}
