//! The reasons for which a request does not become a WebSocket, each with its status and its text. `server` and the driver
//! find them.

use std::fmt;

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, Version};

use super::fields::quoted;
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
