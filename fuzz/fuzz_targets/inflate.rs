//! Compressed payloads: arbitrary bytes never inflate beyond the limit, and the output does not depend on how they are
//! cut. Messages from our own compressor are inflated to what they were, one after another.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ropeway_proto::deflate::{Compressor, Inflater, Options, Params, Side};

const LIMIT: usize = 64 * 1024;

fuzz_target!(|data: &[u8]| {
    let [choice, piece, payload @ ..] = data else { return };
    let params = Params {
        server_no_context_takeover: choice & 1 != 0,
        client_no_context_takeover: choice & 2 != 0,
        server_max_window_bits: 8 + (choice >> 2) % 8,
        client_max_window_bits: 8 + (choice >> 5),
    };
    let piece = usize::from(*piece).max(1);

    let whole = inflated(&mut Inflater::new(&params, Side::Server), payload, payload.len().max(1));
    let cut = inflated(&mut Inflater::new(&params, Side::Server), payload, piece);
    assert_eq!(whole, cut);

    for (from, to) in [(Side::Server, Side::Client), (Side::Client, Side::Server)] {
        let mut compressor = Compressor::new(&params, from, &Options::context_takeover());
        let mut inflater = Inflater::new(&params, to);
        for message in payload.chunks(piece * 8) {
            let mut compressed = Vec::new();
            compressor.compress(message, &mut compressed);
            assert_eq!(inflated(&mut inflater, &compressed, piece).as_deref(), Some(message));
        }
    }
});

/// Returns the message, or `None` if the payload is invalid. It is never longer than the limit.
fn inflated(inflater: &mut Inflater, payload: &[u8], piece: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for piece in payload.chunks(piece) {
        let result = inflater.inflate(piece, &mut out, LIMIT);
        assert!(out.len() <= LIMIT);
        result.ok()?;
    }
    inflater.finish(&out).ok()?;
    Some(out)
}
