//! From bytes to an HTTP/1.1 head: finds the end of a request's or a response's head, and parses the head once. Bodies,
//! and the meaning of the head, are left to others.

use std::{fmt, mem};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};

use super::fields;

/// Limits for a peer's head.
///
/// ```
/// # use ropeway_proto::handshake::Limits as HeadLimits;
/// let limits = HeadLimits::server().max_headers(200);
/// assert_eq!((limits.max_head, limits.max_headers), (16 * 1024, 200));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most bytes of a head, its final empty line included. A server accepts 16 KiB by default. Browsers send a few
    /// hundred bytes, and up to about 8 KiB with large cookies and tokens. Most proxies accept no more than that. A
    /// client accepts 256 KiB, about as much as curl.
    pub max_head: usize,
    /// The most header lines. A server takes 100 by default, as hyper does: a browser sends about 20. A client takes
    /// 2,000, as Node does. More than 24,576 are never taken: a [`HeaderMap`] holds no more.
    pub max_headers: usize,
}

impl Limits {
    /// A server's defaults, since any client may send it a head.
    pub fn server() -> Self {
        Self { max_head: 16 * 1024, max_headers: 100 }
    }

    /// A client's defaults. A client has chosen its server, and reads one head a connection.
    pub fn client() -> Self {
        Self { max_head: 256 * 1024, max_headers: 2_000 }
    }

    /// The most bytes of a head: see the field [`max_head`](Self#structfield.max_head).
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.max_head = bytes;
        self
    }

    /// The most header lines: see the field [`max_headers`](Self#structfield.max_headers).
    pub fn max_headers(mut self, lines: usize) -> Self {
        self.max_headers = lines;
        self
    }
}

/// The most names that fit into a [`HeaderMap`]. It panics if more room is asked for.
const MOST_HEADERS: usize = 24_576;

/// Collects a head from the bytes of a stream.
///
/// ```
/// use ropeway_proto::handshake::{HeadReader, Limits};
///
/// let mut reader = HeadReader::new(Limits::server());
/// assert!(reader.handle_request(b"GET /chat HTTP/1.1\r\nHost: exam")?.is_none());
/// let bytes = b"ple.com\r\n\r\nwhat follows";
/// let (request, consumed) = reader.handle_request(bytes)?.expect("the head is whole");
/// assert_eq!(request.uri().path(), "/chat");
/// assert_eq!(&bytes[consumed..], b"what follows");
/// # Ok::<(), ropeway_proto::handshake::HeadError>(())
/// ```
///
/// Every byte is looked at once in the search for the end, and once more when the whole head is parsed, however small
/// the pieces are. Parsing again with every piece was the cause of CVE-2023-43669.
///
/// The reader is strict. If it and a proxy in front of it could disagree about the end of a line or of the head, it
/// refuses the head. Lines end with CRLF; RFC 9112 section 2.2 allows a recipient to accept a bare LF, but does not
/// ask for it. Folded lines and spaces before a colon are refused (sections 5.1 and 5.2).
#[derive(Debug)]
pub struct HeadReader {
    limits: Limits,
    /// The head so far, never more than `max_head` bytes.
    buf: Vec<u8>,
    /// The position up to which `buf` has been searched for line ends.
    scanned: usize,
    /// The start of the line that `scanned` is in.
    line_start: usize,
    /// The number of lines that have ended and are not empty: the start line and the headers.
    lines: usize,
}

impl HeadReader {
    /// Makes a reader that has read nothing.
    pub fn new(limits: Limits) -> Self {
        let limits = Limits { max_headers: limits.max_headers.min(MOST_HEADERS), ..limits };
        Self { limits, buf: Vec::new(), scanned: 0, line_start: 0, lines: 0 }
    }

    /// Whether no byte of the next head has come. A peer that leaves now has sent no request.
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// Takes bytes of a request. Once its head is whole, returns it, and how many of these bytes belong to it; the rest
    /// is what the peer sent after it. Returns `None` if all bytes were taken and more are needed.
    pub fn handle_request(&mut self, bytes: &[u8]) -> Result<Option<(Request<()>, usize)>, HeadError> {
        let Some(head) = self.take_head(bytes)? else { return Ok(None) };
        Ok(Some((parse_request(&head)?, head.consumed)))
    }

    /// Takes bytes of a response, as [`handle_request`](Self::handle_request) takes those of a request.
    pub fn handle_response(&mut self, bytes: &[u8]) -> Result<Option<(Response<()>, usize)>, HeadError> {
        let Some(head) = self.take_head(bytes)? else { return Ok(None) };
        Ok(Some((parse_response(&head)?, head.consumed)))
    }

    fn take_head(&mut self, bytes: &[u8]) -> Result<Option<WholeHead>, HeadError> {
        let before = self.buf.len();
        let room = self.limits.max_head - before;
        self.buf.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let Some(end) = self.find_end()? else {
            // A head that fills the limit without an end cannot end within it.
            let is_full = self.buf.len() == self.limits.max_head;
            return if is_full { Err(HeadError::TooLarge { limit: self.limits.max_head }) } else { Ok(None) };
        };
        let whole = mem::replace(self, Self::new(self.limits));
        let mut bytes = whole.buf;
        bytes.truncate(end);
        Ok(Some(WholeHead { bytes: bytes.into(), lines: whole.lines, consumed: end - before }))
    }

    /// Continues the search for the empty line that ends the head.
    fn find_end(&mut self) -> Result<Option<usize>, HeadError> {
        self.check_first_byte()?;
        while let Some(distance) = self.buf[self.scanned..].iter().position(|byte| *byte == b'\n') {
            let line_feed = self.scanned + distance;
            match &self.buf[self.line_start..line_feed] {
                // RFC 9112 section 2.2: "A server that is expecting to receive and parse a request-line SHOULD ignore
                // at least one empty line (CRLF) received prior to the request-line."
                b"\r" if self.lines == 0 => {}
                b"\r" => return Ok(Some(line_feed + 1)),
                // A peer that speaks another protocol, such as SSH, may send one line and then wait for ours.
                [start_line @ .., b'\r'] if self.lines == 0 && !names_http(start_line) => {
                    return Err(HeadError::StartLine);
                }
                [.., b'\r'] => self.lines += 1,
                _ => return Err(HeadError::BareLineFeed),
            }
            // The headers are never used in part: in CVE-2024-37890 the `Upgrade` header lay beyond the limit. The
            // start line counts as a line but is not a header.
            if self.lines > self.limits.max_headers.saturating_add(1) {
                return Err(HeadError::TooManyHeaders { limit: self.limits.max_headers });
            }
            self.scanned = line_feed + 1;
            self.line_start = self.scanned;
        }
        self.scanned = self.buf.len();
        Ok(None)
    }

    /// Refuses bytes that cannot become HTTP as soon as the first one is there, since a line end may never come.
    fn check_first_byte(&self) -> Result<(), HeadError> {
        /// The content types of a TLS record (RFC 8446 section 5.1): a client begins with a handshake. A server that
        /// expected TLS and got plain bytes answers with an alert.
        const TLS: [u8; 2] = [0x16, 0x15];
        match self.buf.first() {
            None | Some(b'\r' | b'\n') => Ok(()),
            Some(first) if TLS.contains(first) => Err(HeadError::Tls),
            Some(first) if fields::token(&[*first]).is_none() => Err(HeadError::StartLine),
            Some(_) => Ok(()),
        }
    }
}

/// Whether the line contains `HTTP/`, as all request lines and status lines do.
fn names_http(start_line: &[u8]) -> bool {
    start_line.windows(5).any(|window| window == b"HTTP/")
}

/// Why bytes are not accepted as an HTTP/1.1 head. Servers answer with a [`Refusal`](super::Refusal) made from this.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// More bytes than [`Limits::max_head`].
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// More header lines than [`Limits::max_headers`].
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// A TLS record: one side speaks TLS, the other does not.
    Tls,
    /// A line that ends with LF alone.
    BareLineFeed,
    /// A version of HTTP other than 1.0 and 1.1.
    HttpVersion,
    /// A first line that is neither a request line nor a status line.
    StartLine,
    /// A request target that is neither a path nor a URL.
    RequestTarget,
    /// A request target with a fragment identifier.
    Fragment,
    /// A header line without a proper name before the colon.
    HeaderName,
    /// A header value with control characters.
    HeaderValue,
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => write!(
                f,
                "the HTTP head is longer than {limit} bytes, which is the limit here (RFC 6585 section 5); send fewer \
                 or smaller headers; cookies are the usual cause"
            ),
            Self::TooManyHeaders { limit } => write!(
                f,
                "the HTTP head has more than {limit} header lines, which is the limit here (RFC 6585 section 5); send \
                 fewer headers"
            ),
            Self::Tls => f.write_str(
                "these bytes are TLS, not HTTP: one side speaks TLS and the other does not (RFC 6455 section 3); use \
                 wss:// for a port with TLS, ws:// for one without",
            ),
            Self::BareLineFeed => f.write_str(
                "a line of the HTTP head ends with LF alone (RFC 9112 section 2.2); end every line with CRLF",
            ),
            Self::HttpVersion => f.write_str(
                "the HTTP version is neither 1.0 nor 1.1 (RFC 6455 section 4.1); open WebSockets over HTTP/1.1",
            ),
            Self::StartLine => f.write_str(
                "the first line is not HTTP/1.1 (RFC 9112 sections 3 and 4); begin a request with \"GET /path \
                 HTTP/1.1\", a response with \"HTTP/1.1 101 Switching Protocols\", single spaces between",
            ),
            Self::RequestTarget => f.write_str(
                "the request target is neither a path that begins with a slash nor a URL (RFC 9112 section 3.2); \
                 percent-encode whatever a URL does not allow",
            ),
            Self::Fragment => f.write_str(
                "the request target has a fragment identifier (RFC 6455 section 3 forbids it); leave out the part \
                 from # on, or write %23 for a # that is meant",
            ),
            Self::HeaderName => f.write_str(
                "a header line has no proper name before its colon (RFC 9112 sections 5.1 and 5.2); write \"Name: \
                 value\", without spaces before the colon, and never fold a line",
            ),
            Self::HeaderValue => {
                f.write_str("a header value has a control character in it (RFC 9110 section 5.5); encode such values")
            }
        }
    }
}

impl std::error::Error for HeadError {}

/// A whole head that is not parsed yet.
struct WholeHead {
    /// The values of headers are slices of it, not copies.
    bytes: Bytes,
    /// The number of lines: the start line and every header. Folded lines are refused, so a line is a header.
    lines: usize,
    consumed: usize,
}

fn parse_request(head: &WholeHead) -> Result<Request<()>, HeadError> {
    let mut headers = vec![httparse::EMPTY_HEADER; head.lines];
    let mut parsed = httparse::Request::new(&mut headers);
    let status = parsed.parse(&head.bytes).map_err(head_error)?;
    let (httparse::Status::Complete(_), Some(method), Some(target), Some(version)) =
        (status, parsed.method, parsed.path, parsed.version)
    else {
        return Err(HeadError::StartLine);
    };
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| HeadError::StartLine)?;
    *request.uri_mut() = request_target(request.method(), target)?;
    *request.version_mut() = http_version(version);
    *request.headers_mut() = header_map(parsed.headers, &head.bytes)?;
    Ok(request)
}

fn parse_response(head: &WholeHead) -> Result<Response<()>, HeadError> {
    let mut headers = vec![httparse::EMPTY_HEADER; head.lines];
    let mut parsed = httparse::Response::new(&mut headers);
    let status = parsed.parse(&head.bytes).map_err(head_error)?;
    let (httparse::Status::Complete(_), Some(code), Some(version)) = (status, parsed.code, parsed.version) else {
        return Err(HeadError::StartLine);
    };
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(code).map_err(|_| HeadError::StartLine)?;
    *response.version_mut() = http_version(version);
    *response.headers_mut() = header_map(parsed.headers, &head.bytes)?;
    Ok(response)
}

/// Parses the request target in one of the forms of RFC 9112 section 3.2. `Uri` alone would silently drop a fragment,
/// and accept a bare host for any method.
fn request_target(method: &Method, target: &str) -> Result<Uri, HeadError> {
    if target.contains('#') {
        return Err(HeadError::Fragment);
    }
    let uri: Uri = target.parse().map_err(|_| HeadError::RequestTarget)?;
    let is_path_or_url = target.starts_with('/') || uri.scheme().is_some();
    let is_special = target == "*" || *method == Method::CONNECT;
    if is_path_or_url || is_special { Ok(uri) } else { Err(HeadError::RequestTarget) }
}

/// httparse accepts only HTTP/1.0 and HTTP/1.1.
fn http_version(minor: u8) -> Version {
    if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 }
}

/// The headers, whose values are slices of `head`.
fn header_map(parsed: &[httparse::Header<'_>], head: &Bytes) -> Result<HeaderMap, HeadError> {
    let mut headers = HeaderMap::with_capacity(parsed.len());
    for header in parsed {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| HeadError::HeaderName)?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(header.value));
        let mut value = value.map_err(|_| HeadError::HeaderValue)?;
        value.set_sensitive(fields::is_secret(&name));
        headers.try_append(name, value).map_err(|_| HeadError::TooManyHeaders { limit: parsed.len() })?;
    }
    Ok(headers)
}

fn head_error(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::HeaderName => HeadError::HeaderName,
        httparse::Error::HeaderValue => HeadError::HeaderValue,
        httparse::Error::Version => HeadError::HttpVersion,
        // `TooManyHeaders` cannot occur, since there is a slot for every line.
        httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token
        | httparse::Error::TooManyHeaders => HeadError::StartLine,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SMALL: Limits = Limits { max_head: 64, max_headers: 2 };

    fn read(limits: Limits, pieces: &[&[u8]]) -> Result<Option<Request<()>>, HeadError> {
        let mut reader = HeadReader::new(limits);
        for piece in pieces {
            if let Some((request, _)) = reader.handle_request(piece)? {
                return Ok(Some(request));
            }
        }
        Ok(None)
    }

    #[test]
    fn a_head_may_be_exactly_as_long_as_the_limit() {
        let mut head = b"GET / HTTP/1.1\r\nA: ".to_vec();
        head.resize(60, b'a');
        head.extend_from_slice(b"\r\n\r\n");
        assert_eq!(head.len(), SMALL.max_head);
        assert!(read(SMALL, &[&head]).unwrap().is_some());

        head.insert(30, b'a');
        let too_large = HeadError::TooLarge { limit: 64 };
        assert_eq!(read(SMALL, &[&head]).unwrap_err(), too_large);
        let bytewise: Vec<&[u8]> = head.chunks(1).collect();
        assert_eq!(read(SMALL, &bytewise).unwrap_err(), too_large);
    }

    #[test]
    fn one_header_too_many_is_an_error_before_the_head_has_ended() {
        assert!(read(SMALL, &[b"GET / HTTP/1.1\r\na: 1\r\nb: 2\r\n\r\n"]).unwrap().is_some());
        let error = read(SMALL, &[b"GET / HTTP/1.1\r\na: 1\r\nb: 2\r\nUpgrade: websocket\r\n"]).unwrap_err();
        assert_eq!(error, HeadError::TooManyHeaders { limit: 2 });
    }

    #[test]
    fn no_limit_reaches_beyond_what_a_header_map_holds() {
        let limits = Limits { max_head: usize::MAX, max_headers: usize::MAX };
        let lines = |count| (0..count).map(|number| format!("a{number}: b\r\n")).collect::<Vec<_>>().concat();
        for (count, expected) in [
            (MOST_HEADERS, Ok(MOST_HEADERS)),
            (MOST_HEADERS + 1, Err(HeadError::TooManyHeaders { limit: MOST_HEADERS })),
            (40_000, Err(HeadError::TooManyHeaders { limit: MOST_HEADERS })),
        ] {
            let head = format!("GET / HTTP/1.1\r\n{}\r\n", lines(count));
            let read = read(limits, &[head.as_bytes()]).map(|request| request.expect("it is whole").headers().len());
            assert_eq!(read, expected, "{count} headers");
        }
    }

    #[test]
    fn no_more_than_the_limit_is_kept_of_endless_bytes() {
        let mut reader = HeadReader::new(Limits::server());
        let endless = vec![b'a'; 1 << 20];
        assert_eq!(reader.handle_request(&endless).unwrap_err(), HeadError::TooLarge { limit: 16 * 1024 });
        assert!(reader.buf.len() <= 16 * 1024);
    }

    #[test]
    fn a_reader_goes_on_with_the_next_head() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nbody";
        let mut reader = HeadReader::new(Limits::server());
        let (first, consumed) = reader.handle_response(bytes).unwrap().unwrap();
        assert_eq!(first.status(), StatusCode::CONTINUE);
        assert!(reader.is_empty());
        let (second, more) = reader.handle_response(&bytes[consumed..]).unwrap().unwrap();
        assert_eq!(second.status(), StatusCode::OK);
        assert_eq!(&bytes[consumed + more..], b"body");
    }

    #[test]
    fn wrong_heads_are_told_apart() {
        for (head, error) in [
            (&b"\x16\x03\x01\x02\x00"[..], HeadError::Tls),
            (b"\0", HeadError::StartLine),
            (b"\nGET / HTTP/1.1\r\n\r\n", HeadError::BareLineFeed),
            (b"GET / HTTP/1.1\n", HeadError::BareLineFeed),
            (b"GET / HTTP/1.1\r\nA: b\n\r\n", HeadError::BareLineFeed),
            (b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", HeadError::HeaderValue),
            (b"GET /\r\n", HeadError::StartLine),
            (b"SSH-2.0-OpenSSH_9.2p1\r\n", HeadError::StartLine),
            (b"GET  / HTTP/1.1\r\n\r\n", HeadError::StartLine),
            (b"PRI * HTTP/2.0\r\n\r\n", HeadError::HttpVersion),
            (b"GET example.com HTTP/1.1\r\n\r\n", HeadError::RequestTarget),
            (b"GET /a|b\\c<> HTTP/1.1\r\n\r\n", HeadError::RequestTarget),
            (b"GET /a#b HTTP/1.1\r\n\r\n", HeadError::Fragment),
            (b"GET / HTTP/1.1\r\nA : b\r\n\r\n", HeadError::HeaderName),
            (b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", HeadError::HeaderName),
            (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", HeadError::HeaderName),
            (b"GET / HTTP/1.1\r\nA: \0\r\n\r\n", HeadError::HeaderValue),
        ] {
            assert_eq!(read(Limits::server(), &[head]).unwrap_err(), error, "{:?}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn every_form_of_request_target_is_read() {
        for (line, path) in [
            ("GET /a?b=c HTTP/1.1", "/a"),
            ("GET http://example.com/a HTTP/1.1", "/a"),
            ("OPTIONS * HTTP/1.1", "*"),
            ("CONNECT example.com:443 HTTP/1.1", ""),
            ("\r\n\r\nGET /a HTTP/1.0", "/a"),
        ] {
            let request = read(Limits::server(), &[line.as_bytes(), b"\r\n\r\n"]).expect(line).expect(line);
            assert_eq!(request.uri().path(), path, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_one_outcome(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..200),
                "(GET|HTTP/1.1) [ -~]{0,20}( HTTP/1.1)?\r\n([A-Za-z:]{0,9}: [ \
                 -~\u{80}-\u{ff}]{0,9}\r?\n){0,4}(\r\n)?.{0,5}"
                    .prop_map(String::into_bytes),
            ],
            piece in 1_usize..20,
        ) {
            let mut whole = HeadReader::new(SMALL);
            let mut pieces = HeadReader::new(SMALL);
            let expected = whole.handle_request(&bytes);
            let mut fed = 0;
            let mut got = Ok(None);
            for chunk in bytes.chunks(piece) {
                got = pieces.handle_request(chunk);
                if !matches!(got, Ok(None)) {
                    break;
                }
                fed += chunk.len();
            }
            match (expected, got) {
                (Ok(None), Ok(None)) => {}
                (Ok(Some((one, consumed))), Ok(Some((other, last)))) => {
                    prop_assert_eq!(format!("{one:?}"), format!("{other:?}"));
                    prop_assert_eq!(consumed, fed + last);
                }
                (Err(one), Err(other)) => prop_assert_eq!(one, other),
                (one, other) => prop_assert!(false, "whole: {:?}, in pieces: {:?}", one, other),
            }
            let _ = HeadReader::new(SMALL).handle_response(&bytes);
        }
    }
}
