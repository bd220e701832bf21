//! A client's half of the opening handshake, with an arbitrary answer: the result is the same whether it is read whole
//! or in pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ropeway_proto::handshake::{ClientHandshake, ClientOptions};

fuzz_target!(|data: &[u8]| {
    let whole = judged(data, data.len().max(1));
    assert_eq!(whole, judged(data, 1));
});

/// The result for an answer in pieces of this length: the agreed terms and the number of bytes left over, or the error.
fn judged(data: &[u8], piece: usize) -> String {
    let mut options = ClientOptions::default();
    options.subprotocols = vec!["chat".into(), "v2.chat".into()];
    let target = "ws://example.com/chat".parse().unwrap();
    // The nonce of RFC 6455 section 1.3. The seeds contain its accept value.
    let mut handshake = ClientHandshake::new(&target, &options, *b"the sample nonce").unwrap();
    let mut before = 0;
    for piece in data.chunks(piece) {
        match handshake.handle(piece) {
            Ok(None) => before += piece.len(),
            Ok(Some(opened)) => return format!("{:?}, {} bytes", opened.negotiated, before + opened.consumed),
            Err(error) => return format!("{error:?}"),
        }
    }
    format!("{:?}", handshake.handle_eof())
}
