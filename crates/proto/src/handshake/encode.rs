//! HTTP/1.1 heads to bytes: for both roles, and for all HTTP answers of a port of our own. Reading is left to `head`.

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};

/// Returns the bytes of a whole answer: status line, headers, body.
///
/// `Content-Length` is the body's, whatever the headers say, since the body is sent in one piece. Answers that have no
/// body (1xx, 204 and 304) get neither (RFC 9110 section 8.6). A header cannot break its line, because `http` has
/// checked it.
///
/// ```
/// use ropeway_proto::handshake::encode_response;
///
/// let response = http::Response::builder().header("etag", "\"1\"").body("hello").unwrap();
/// assert_eq!(encode_response(&response), b"HTTP/1.1 200 OK\r\nEtag: \"1\"\r\nContent-Length: 5\r\n\r\nhello");
/// ```
pub fn encode_response<B: AsRef<[u8]>>(response: &Response<B>) -> Vec<u8> {
    let mut bytes = encode_response_to_head(response);
    if has_body(response.status()) {
        bytes.extend_from_slice(response.body().as_ref());
    }
    bytes
}

/// Returns the bytes of the answer to a HEAD request: the same as [`encode_response`], `Content-Length` included, but
/// without the body (RFC 9110 section 9.3.2).
pub fn encode_response_to_head<B: AsRef<[u8]>>(response: &Response<B>) -> Vec<u8> {
    encode_head(response, response.body().as_ref().len())
}

/// Says in an answer that the connection ends behind it.
pub fn announce_close(headers: &mut HeaderMap) {
    // RFC 9112 section 9.6: a server that ends the connection behind an answer says so in it. RFC 9110 section 7.8: "A
    // sender of Upgrade MUST also send an 'Upgrade' connection option".
    let connection = if headers.contains_key(UPGRADE) { "close, Upgrade" } else { "close" };
    headers.insert(CONNECTION, HeaderValue::from_static(connection));
}

/// Returns the head of an answer whose body has this many bytes.
pub(super) fn encode_head<B>(response: &Response<B>, body_length: usize) -> Vec<u8> {
    let status = response.status();
    // RFC 9112 section 4: the space after the code stays even if there is no reason phrase.
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    put_headers(&mut bytes, response.headers());
    if has_body(status) {
        put_header(&mut bytes, &CONTENT_LENGTH, body_length.to_string().as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Returns the bytes of a request without a body.
pub(super) fn encode_request(request: &Request<()>) -> Vec<u8> {
    let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
    put_headers(&mut bytes, request.headers());
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn has_body(status: StatusCode) -> bool {
    !status.is_informational() && status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED
}

fn put_headers(bytes: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        if *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING {
            put_header(bytes, name, value.as_bytes());
        }
    }
}

fn put_header(bytes: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    put_name(bytes, name.as_str());
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(b"\r\n");
}

/// Writes a name in RFC 6455's capitals, such as `Sec-WebSocket-Key`. Names have no case (RFC 9110 section 5.1), but
/// some small devices compare them letter by letter, and people read them.
fn put_name(bytes: &mut Vec<u8>, name: &str) {
    let rest = name.strip_prefix("sec-websocket-").inspect(|_| bytes.extend_from_slice(b"Sec-WebSocket-"));
    let mut begins_word = true;
    for byte in rest.unwrap_or(name).bytes() {
        bytes.push(if begins_word { byte.to_ascii_uppercase() } else { byte });
        begins_word = byte == b'-';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_length_is_the_bodys_and_answers_without_body_have_none() {
        let with = |status: u16| Response::builder().status(status).header("Content-Length", 99).body("four").unwrap();
        assert_eq!(text(encode_response(&with(404))), "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nfour");
        assert_eq!(text(encode_response(&with(499))), "HTTP/1.1 499 \r\nContent-Length: 4\r\n\r\nfour");
        assert_eq!(text(encode_response(&with(204))), "HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(text(encode_response(&with(101))), "HTTP/1.1 101 Switching Protocols\r\n\r\n");
    }

    #[test]
    fn a_head_request_gets_the_length_and_no_body() {
        let page = Response::new("page");
        assert_eq!(text(encode_response_to_head(&page)), "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
    }

    #[test]
    fn names_are_written_as_the_rfcs_write_them() {
        let name = |name: &str| {
            let mut bytes = Vec::new();
            put_name(&mut bytes, name);
            text(bytes)
        };
        assert_eq!(name("sec-websocket-accept"), "Sec-WebSocket-Accept");
        assert_eq!(name("x-content-type-options"), "X-Content-Type-Options");
        assert_eq!(name("host"), "Host");
    }
}
