//! A server's half of the opening handshake, with an arbitrary request: the result is the same whether it is read whole
//! or in single bytes, and a client can read the answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ropeway_proto::deflate;
use ropeway_proto::handshake::{ForwardedHeader, HeadReader, Limits, ServerOptions, accept_from, encode_response};

fuzz_target!(|data: &[u8]| {
    let mut reader = HeadReader::new(Limits::server());
    let whole = reader.handle_request(data);
    assert_eq!(format!("{whole:?}"), in_single_bytes(data));
    let Ok(Some((request, consumed))) = whole else { return };
    assert!(consumed <= data.len());
    let mut options = ServerOptions::default();
    options.subprotocols = vec!["chat".into(), "v2.chat".into()];
    options.deflate = Some(deflate::Options::context_takeover());
    options.proxies.trusted = vec!["10.0.0.0/8".parse().unwrap()];
    let peer = Some([10, 0, 0, 1].into());
    for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
        options.proxies.header = header;
        options.proxies.client_ip(peer, request.headers());
    }
    let answer = match accept_from(peer, &request, &options) {
        Ok(accepted) => encode_response(&accepted.response.map(|_| "")),
        Err(refusal) => encode_response(&refusal.to_response()),
    };
    let read = HeadReader::new(Limits::client()).handle_response(&answer);
    assert!(matches!(read, Ok(Some(_))), "{read:?} of {:?}", String::from_utf8_lossy(&answer));
});

/// The same, one byte at a time. The number of bytes consumed is counted from the start of the input.
fn in_single_bytes(data: &[u8]) -> String {
    let mut reader = HeadReader::new(Limits::server());
    for (index, byte) in data.iter().enumerate() {
        match reader.handle_request(std::slice::from_ref(byte)) {
            Ok(None) => {}
            result => return format!("{:?}", result.map(|head| head.map(|(request, taken)| (request, index + taken)))),
        }
    }
    format!("{:?}", reader.handle_request(&[]))
}
