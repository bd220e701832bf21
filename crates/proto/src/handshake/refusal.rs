//! The answer of a server that does not upgrade: one fault, its status, and a text that says what to do. `server` and
//! the driver find the fault.

use std::fmt;

use bytes::Bytes;
use http::header::{
    ALLOW, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};

use super::encode::announce_close;
use super::fields::{header, quoted};
use super::head::HeadError;
use crate::deflate::ExtensionError;

/// Why a request does not become a WebSocket. `Display` is the body of the answer: what happened, which rule it breaks,
/// what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The bytes are not an HTTP/1.1 head within the limits. 431 for the limits, 505 for another version, otherwise
    /// 400.
    Head(HeadError),
    /// A version of HTTP that WebSockets are not opened over: 400 for those before 1.1, 505 for those after.
    HttpVersion(Version),
    /// Not a GET: 405.
    Method(Method),
    /// `Upgrade` does not name websocket: 400.
    Upgrade,
    /// `Connection` does not name upgrade: 400.
    Connection,
    /// No `Host`: 400.
    HostMissing,
    /// More than one `Host`: 400.
    HostRepeated,
    /// A `Host` that is not a host with an optional port: 400.
    HostInvalid,
    /// An absolute target whose host is not a host with an optional port: 400.
    TargetHost,
    /// The request has a body: 400.
    Body,
    /// No `Sec-WebSocket-Key`: 400.
    KeyMissing,
    /// More than one `Sec-WebSocket-Key`: 400.
    KeyRepeated,
    /// A `Sec-WebSocket-Key` that is not the base64 of 16 bytes: 400.
    KeyInvalid,
    /// No `Sec-WebSocket-Version`: 426.
    VersionMissing,
    /// More than one `Sec-WebSocket-Version`: 400.
    VersionRepeated,
    /// A version of the protocol other than 13: 426.
    Version(String),
    /// A list of subprotocols that is empty, or has an element that is not a token: 400.
    SubprotocolInvalid(String),
    /// A list of subprotocols that names one twice: 400.
    SubprotocolRepeated(String),
    /// A list of extensions that breaks the grammar: 400.
    Extensions(ExtensionError),
    /// A page whose origin may not connect: 403.
    Origin {
        /// The page's origin.
        origin: String,
        /// The host that the request was sent to, with the scheme if a trusted proxy names it.
        host: String,
    },
    /// More than one `Origin`: 403.
    OriginRepeated,
    /// A path where no WebSocket is served: 404.
    NotFound(String),
    /// The head did not come in time: 408.
    Timeout,
    /// A request that does not ask for a WebSocket, on a server that has nothing else: 426.
    UpgradeRequired,
    /// The server accepts no more connections for now: 503.
    Unavailable,
    /// The application did not decide about the request in time: 503.
    DecisionTimeout,
    /// The application chose a subprotocol that the client does not offer: 500.
    SubprotocolNotOffered(String),
    /// The application set a header of the answer that the handshake sets by itself: 500.
    HandshakeHeader(HeaderName),
    /// The application set a header of the answer whose value is none, or, for `None`, whose name is none: 500.
    HeaderInvalid(Option<HeaderName>),
    /// The application panicked over the request: 500.
    Panicked,
    /// The HTTP server that the request came to cannot hand its connection over: 500.
    NotHandedOver,
    /// The application refuses the request, with a status and a body of its own.
    Rejected {
        /// The status of the answer.
        status: StatusCode,
        /// The body of the answer.
        body: Bytes,
    },
}

impl Fault {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Head(HeadError::TooLarge { .. } | HeadError::TooManyHeaders { .. }) => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::Head(HeadError::HttpVersion) => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            // RFC 9110 section 15.6.6: 505 is for a major version that the server does not support. 1.0 has the same
            // major version as 1.1.
            Self::HttpVersion(version) if *version > Version::HTTP_11 => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            // RFC 6455 section 4.2.2: "an appropriate HTTP error code (such as 426 Upgrade Required) and a
            // |Sec-WebSocket-Version| header field indicating the version(s) the server is capable of understanding".
            Self::VersionMissing | Self::Version(_) | Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            // Section 4.2.2: "If the server does not validate the origin ... return an appropriate HTTP error code
            // (e.g., 403 Forbidden)".
            Self::Origin { .. } | Self::OriginRepeated => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Unavailable | Self::DecisionTimeout => StatusCode::SERVICE_UNAVAILABLE,
            Self::SubprotocolNotOffered(_)
            | Self::HandshakeHeader(_)
            | Self::HeaderInvalid(_)
            | Self::Panicked
            | Self::NotHandedOver => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Rejected { status, .. } => *status,
            Self::Head(_)
            | Self::HttpVersion(_)
            | Self::Upgrade
            | Self::Connection
            | Self::HostMissing
            | Self::HostRepeated
            | Self::HostInvalid
            | Self::TargetHost
            | Self::Body
            | Self::KeyMissing
            | Self::KeyRepeated
            | Self::KeyInvalid
            | Self::VersionRepeated
            | Self::SubprotocolInvalid(_)
            | Self::SubprotocolRepeated(_)
            | Self::Extensions(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl Fault {
    /// Whether the server's own application is at fault, so that its operator should know.
    pub fn is_applications(&self) -> bool {
        matches!(
            self,
            Self::Panicked
                | Self::DecisionTimeout
                | Self::SubprotocolNotOffered(_)
                | Self::HandshakeHeader(_)
                | Self::HeaderInvalid(_)
                | Self::NotHandedOver
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => write!(f, "{error}"),
            Self::HttpVersion(version) => write!(
                f,
                "a WebSocket opens over HTTP/1.1, and this request is {version:?} (RFC 6455 section 4.1); send it as \
                 HTTP/1.1"
            ),
            Self::Method(method) => write!(
                f,
                "a WebSocket opens with GET, and this request is a {} (RFC 6455 section 4.1); send GET",
                quoted(method.as_str())
            ),
            Self::Upgrade => f.write_str(
                "the request has no Upgrade header that names websocket (RFC 6455 section 4.2.1); send \"Upgrade: \
                 websocket\", and have proxies pass Upgrade and Connection on, which most drop by default",
            ),
            Self::Connection => f.write_str(
                "the request has no Connection header that names Upgrade (RFC 6455 section 4.2.1); send \"Connection: \
                 Upgrade\", and have proxies pass Upgrade and Connection on, which most drop by default",
            ),
            Self::HostMissing | Self::HostRepeated | Self::HostInvalid | Self::TargetHost => {
                f.write_str(host_text(self))
            }
            Self::Body => f.write_str(
                "the request announces a body, which the opening handshake does not have (RFC 6455 section 4.1); send \
                 neither Transfer-Encoding nor a Content-Length other than 0",
            ),
            Self::KeyMissing => f.write_str(
                "the request has no Sec-WebSocket-Key header (RFC 6455 section 4.2.1); send the base64 of 16 random \
                 bytes",
            ),
            Self::KeyRepeated => f.write_str(
                "the request has more than one Sec-WebSocket-Key header (RFC 6455 section 11.3.1); send one",
            ),
            Self::KeyInvalid => f.write_str(
                "the Sec-WebSocket-Key header is not the base64 of 16 bytes (RFC 6455 section 4.2.1); send 22 base64 \
                 characters followed by \"==\"",
            ),
            Self::VersionMissing => f.write_str(
                "the request has no Sec-WebSocket-Version header (RFC 6455 section 4.2.1); send \
                 \"Sec-WebSocket-Version: 13\"",
            ),
            Self::VersionRepeated => f.write_str(
                "the request has more than one Sec-WebSocket-Version header (RFC 6455 section 11.3.5); send one",
            ),
            Self::Version(version) => write!(
                f,
                "the request asks for version {} of the WebSocket protocol, and this server speaks version 13 (RFC \
                 6455 section 4.4); send \"Sec-WebSocket-Version: 13\"",
                quoted(version)
            ),
            Self::SubprotocolInvalid(name) => write!(
                f,
                "Sec-WebSocket-Protocol lists {}, which is no subprotocol's name (RFC 6455 section 4.1); send names \
                 of letters, digits and !#$%&'*+-.^_`|~, separated by commas, or leave the header out",
                quoted(name)
            ),
            Self::SubprotocolRepeated(name) => write!(
                f,
                "Sec-WebSocket-Protocol lists {} twice (RFC 6455 section 4.1); name each subprotocol once",
                quoted(name)
            ),
            Self::Extensions(error) => write!(f, "{error}"),
            Self::Origin { origin, host } => write!(
                f,
                "pages of the origin {} may not open WebSockets at {} (RFC 6455 section 10.2); open the page from the \
                 server's own address, or have the server's operator add the origin to those it allows",
                quoted(origin),
                quoted(host)
            ),
            Self::OriginRepeated => {
                f.write_str("the request has more than one Origin header (RFC 6454 section 7.3); send one")
            }
            Self::NotFound(path) => write!(
                f,
                "no WebSocket is served at {} (RFC 6455 section 4.2.2); check the path of the URL",
                quoted(path)
            ),
            Self::Timeout => {
                f.write_str("the opening handshake was not finished in time (RFC 9110 section 15.5.9); send it at once")
            }
            Self::UpgradeRequired => f.write_str(
                "only WebSockets are served here, and this request does not ask for one (RFC 6455 section 4.2.1); \
                 connect with a WebSocket client, at the same address with ws:// or wss:// in front",
            ),
            Self::Unavailable => f.write_str(
                "the server is full or shutting down (RFC 9110 section 15.6.4); try again after the time in \
                 Retry-After",
            ),
            Self::DecisionTimeout
            | Self::SubprotocolNotOffered(_)
            | Self::HandshakeHeader(_)
            | Self::HeaderInvalid(_)
            | Self::Panicked
            | Self::NotHandedOver => application_text(self, f),
            Self::Rejected { body, .. } => f.write_str(&String::from_utf8_lossy(body)),
        }
    }
}

/// The text of a fault of the server's own application.
fn application_text(fault: &Fault, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match fault {
        Fault::SubprotocolNotOffered(name) => write!(
            f,
            "the server's application chose the subprotocol {}, which the client does not offer (RFC 6455 section \
             4.2.2); it must choose one of the client's list, or none",
            quoted(name)
        ),
        Fault::HandshakeHeader(name) => write!(
            f,
            "the server's application set the header {name} of the answer, which the handshake sets by itself (RFC 6455 \
             section 4.2.2); it must leave that out, and choose a subprotocol or compression in their own places"
        ),
        Fault::HeaderInvalid(Some(name)) => write!(
            f,
            "the server's application set the header {name} of the answer to something that is no value of a header (RFC \
             9110 section 5.5); it must have no line break and no other control character"
        ),
        Fault::HeaderInvalid(None) => f.write_str(
            "the server's application set a header of the answer whose name is no header's (RFC 9110 section 5.1); it must \
             be of letters, digits and !#$%&'*+-.^_`|~",
        ),
        Fault::NotHandedOver => f.write_str(
            "the HTTP server that this request came to offers no way to take its connection over (RFC 9110 section 7.8); the \
             server's operator must serve it over HTTP/1.1, as axum::serve and hyper do, and nothing in front of the \
             WebSocket server may take the connection, such as a second extractor or a middleware",
        ),
        Fault::DecisionTimeout => f.write_str(
            "the server's application did not decide about the request in time (RFC 9110 section 15.6.4); try again after \
             the time in Retry-After",
        ),
        _ => f.write_str(
            "the server's application failed over the request (RFC 9110 section 15.6.1); its operator finds more in the \
             server's log",
        ),
    }
}

/// The texts of the faults that concern the host.
fn host_text(fault: &Fault) -> &'static str {
    match fault {
        Fault::HostMissing => {
            "the request has no Host header (RFC 6455 section 4.2.1); send the host and port of the URL, such as \
             \"Host: example.com\""
        }
        Fault::HostRepeated => "the request has more than one Host header (RFC 9112 section 3.2); send one",
        Fault::TargetHost => {
            "the request target's host is not a host with an optional port (RFC 9110 sections 4.2 and 4.2.4); send \
             the path alone, such as \"GET /chat HTTP/1.1\", and the host in Host"
        }
        _ => {
            "the Host header is not a host with an optional port (RFC 9112 section 3.2); send something like \
             \"Host: example.com:8005\""
        }
    }
}

/// The answer to a request that does not become a WebSocket.
///
/// ```
/// # use ropeway_proto::handshake::Refusal;
/// let refusal = Refusal::new(401, "Log in first.").header("www-authenticate", "Bearer");
/// assert_eq!(refusal.to_response().status(), 401);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why the request is refused.
    pub fault: Fault,
    /// The headers that the application adds. A list, since most refusals have none.
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal for the application's own reasons, with a body of plain text unless another
    /// [`Content-Type`](Self::header) is set.
    ///
    /// An interim status (1xx) would leave the client waiting for an answer, or make it believe that it is connected.
    /// 500 is sent instead, and also for a number that is no status. Headers are added that a status comes with, unless they
    /// are set: `Allow` for 405, `Upgrade` and `Sec-WebSocket-Version` for 426, `Retry-After` for 503. A 401 must say how to
    /// log in, which only the caller knows: set `WWW-Authenticate` (RFC 9110 section 15.5.2).
    pub fn new(status: impl TryInto<StatusCode>, body: impl Into<Bytes>) -> Self {
        let status = status.try_into().ok().filter(|status| !status.is_informational());
        Fault::Rejected { status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body: body.into() }.into()
    }

    /// The same with a body of JSON, which the caller has written.
    ///
    /// ```
    /// use ropeway_proto::handshake::Refusal;
    ///
    /// let refusal = Refusal::json(403, r#"{"error":"banned"}"#);
    /// assert_eq!(refusal.to_response().headers()["content-type"], "application/json");
    /// ```
    pub fn json(status: impl TryInto<StatusCode>, body: impl Into<Bytes>) -> Self {
        Self::new(status, body).header(CONTENT_TYPE, "application/json")
    }

    /// No WebSocket is served at this path: 404.
    pub fn not_found(path: &str) -> Self {
        Fault::NotFound(path.to_owned()).into()
    }

    /// The head did not come in time: 408.
    pub fn timeout() -> Self {
        Fault::Timeout.into()
    }

    /// The request does not ask for a WebSocket, and the server has nothing else here: 426.
    pub fn upgrade_required() -> Self {
        Fault::UpgradeRequired.into()
    }

    /// The server is full or shutting down: 503, with a `Retry-After` of 5 seconds unless another is set. That is long
    /// enough for a restart, and short enough for a person who waits.
    pub fn unavailable() -> Self {
        Fault::Unavailable.into()
    }

    /// Adds a header to the answer. It replaces a header of that name that the answer would have, except `Connection`.
    ///
    /// If name or value are not valid, the answer is a 500 that says so: see [`Fault::HeaderInvalid`].
    pub fn header(mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        match header(name, value) {
            Ok(header) => self.headers.push(header),
            // The headers describe the body that this replaces.
            Err(name) => self = Fault::HeaderInvalid(name).into(),
        }
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.fault.status()
    }

    /// The body of the answer: plain text that says what happened, which rule it breaks, and what to do, or what the application
    /// gave.
    pub fn body(&self) -> Bytes {
        match &self.fault {
            Fault::Rejected { body, .. } => body.clone(),
            fault => format!("{fault}\n").into(),
        }
    }

    /// The answer. The connection must be closed after it: a proxy in front may believe that the connection was
    /// upgraded, and would then pass a client's frames on as requests.
    pub fn to_response(&self) -> Response<Bytes> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            // The HTTP server that sends the body says how long it is (RFC 9112 section 6.3).
            if ![CONTENT_LENGTH, TRANSFER_ENCODING].contains(name) {
                headers.append(name, value.clone());
            }
        }
        for (name, value) in self.own_headers() {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        announce_close(&mut headers);
        let mut response = Response::new(self.body());
        *response.status_mut() = self.status();
        *response.headers_mut() = headers;
        response
    }

    fn own_headers(&self) -> Vec<(HeaderName, &'static str)> {
        // The text quotes what the client sent, so browsers must not show it as a page.
        let mut headers = vec![(CONTENT_TYPE, "text/plain; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
        match self.status() {
            // RFC 9110 section 15.5.6: "The origin server MUST generate an Allow header field in a 405 response".
            StatusCode::METHOD_NOT_ALLOWED => headers.push((ALLOW, "GET")),
            // RFC 9110 section 15.5.22: "The server MUST send an Upgrade header field in a 426 response".
            StatusCode::UPGRADE_REQUIRED => {
                headers.extend([(UPGRADE, "websocket"), (SEC_WEBSOCKET_VERSION, "13")]);
            }
            StatusCode::SERVICE_UNAVAILABLE => headers.push((RETRY_AFTER, "5")),
            _ => {}
        }
        headers
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self { fault, headers: Vec::new() }
    }
}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Self {
        Fault::Head(error).into()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused with {}: {}", self.status(), self.fault)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use http::header::CONNECTION;

    use super::*;

    fn header(refusal: &Refusal, name: HeaderName) -> Vec<String> {
        refusal.to_response().headers().get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_drivers_own_refusals_have_their_statuses_and_headers() {
        assert_eq!(Refusal::timeout().status(), 408);
        assert_eq!(Refusal::not_found("/x").status(), 404);
        assert!(Refusal::not_found("/x").to_string().contains("\"/x\""));
        assert_eq!(Refusal::unavailable().status(), 503);
        assert_eq!(header(&Refusal::unavailable(), RETRY_AFTER), ["5"]);
        let required = Refusal::upgrade_required();
        assert_eq!(required.status(), 426);
        assert_eq!(header(&required, UPGRADE), ["websocket"]);
        assert_eq!(header(&required, CONNECTION), ["close, Upgrade"]);
    }

    #[test]
    fn values_that_are_secret_are_not_shown() {
        let refusal = Refusal::new(401, "").header("set-cookie", "session=s3cret").header("x-user", "anna");
        let shown = format!("{refusal:?} {:?}", refusal.to_response());
        assert!(!shown.contains("s3cret") && shown.contains("anna"), "{shown}");
    }

    #[test]
    fn the_length_of_the_body_is_left_to_the_server_that_sends_it() {
        let refusal = Refusal::new(401, "four").header("content-length", "5").header("transfer-encoding", "chunked");
        assert_eq!((header(&refusal, CONTENT_LENGTH), header(&refusal, TRANSFER_ENCODING)), (vec![], vec![]));
    }

    #[test]
    fn a_header_that_is_none_replaces_the_answer_with_all_its_headers() {
        let refusal = Refusal::json(401, "{}").header("x-user", "\n");
        assert_eq!(
            (refusal.status().as_u16(), header(&refusal, CONTENT_TYPE)),
            (500, vec!["text/plain; charset=utf-8".into()])
        );
    }

    #[test]
    fn added_headers_replace_the_answers_own_and_may_repeat() {
        let value = HeaderValue::from_static;
        let refusal = Refusal::unavailable()
            .header(RETRY_AFTER, value("60"))
            .header(http::header::SET_COOKIE, value("a=1"))
            .header(http::header::SET_COOKIE, value("b=2"))
            .header(CONNECTION, value("keep-alive"));
        assert_eq!(header(&refusal, RETRY_AFTER), ["60"]);
        assert_eq!(header(&refusal, http::header::SET_COOKIE), ["a=1", "b=2"]);
        assert_eq!(header(&refusal, CONNECTION), ["close"]);
    }

    #[test]
    fn the_application_can_refuse_with_anything_but_an_interim_status() {
        let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "Log in.");
        assert_eq!((refusal.status().as_u16(), refusal.body()), (401, Bytes::from("Log in.")));
        for status in [100, 101, 7, 1000] {
            assert_eq!(Refusal::new(status, "").status(), 500, "{status}");
        }
        // RFC 9110 sections 15.5.6 and 15.5.22.
        assert_eq!(header(&Refusal::new(405, ""), ALLOW), ["GET"]);
        assert_eq!(header(&Refusal::new(426, ""), UPGRADE), ["websocket"]);
        assert_eq!(header(&Refusal::new(426, ""), CONNECTION), ["close, Upgrade"]);
        assert_eq!(header(&Refusal::json(403, "{}"), CONTENT_TYPE), ["application/json"]);
        assert_eq!(Refusal::new(403, vec![0xff, 0]).to_response().into_body(), Bytes::from_static(&[0xff, 0]));
    }

    #[test]
    fn a_header_that_is_none_makes_the_refusal_a_500_that_says_so() {
        let refusal = Refusal::new(403, "no").header("x-user", "a\r\nb: c");
        assert_eq!((refusal.status().as_u16(), refusal.to_response().headers().get("x-user")), (500, None));
        assert!(
            refusal.to_string().contains("x-user") && refusal.to_string().contains("RFC 9110 section 5.5"),
            "{refusal}"
        );
        let refusal = Refusal::new(403, "no").header("no name", "value");
        assert!(refusal.to_string().contains("RFC 9110 section 5.1"), "{refusal}");
    }
}
