//! The opening handshake of a server: from the bytes of a browser's request to those of the 101.

use std::hint::black_box;

use ropeway_proto::handshake::{HeadReader, Limits, ServerOptions, accept};

/// The request that Firefox sends, without cookies.
const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\n\
    Host: example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: */*\r\n\
    Accept-Language: en-GB,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Origin: https://example.com\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Connection: keep-alive, Upgrade\r\n\
    Sec-Fetch-Dest: websocket\r\n\
    Sec-Fetch-Mode: websocket\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    Upgrade: websocket\r\n\r\n";

/// One handshake. Compression is declined, as by default.
pub(crate) fn server() -> impl FnMut() {
    let options = ServerOptions::default();
    move || {
        let mut head = HeadReader::new(Limits::server());
        let (request, _) = head.handle_request(REQUEST).expect("the head is well-formed").expect("the head is whole");
        let accepted = accept(&request, &options).expect("the request is a good one");
        black_box(accepted.response_bytes());
    }
}
