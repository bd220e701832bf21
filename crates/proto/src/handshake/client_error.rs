//! Why a client's handshake failed, sorted by cause: the caller's options, the server's answer, the transport.

use std::fmt;

use http::header::LOCATION;
use http::{HeaderName, Response, Version};

use super::fields::{quoted, text};
use super::head::HeadError;
use super::target::TargetError;
use crate::deflate::ExtensionError;

/// Why there is no WebSocket. `Display` says what happened, which rule it breaks, and what to do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The caller's fault: the URL cannot be connected to.
    Target(TargetError),
    /// The caller's fault: a header that the handshake itself sets.
    ReservedHeader(HeaderName),
    /// The caller's fault: a header name that is not a token. For drivers that take headers as text.
    InvalidHeaderName,
    /// The caller's fault: a value of this header with characters that it must not have. The value is not shown,
    /// because it may be a secret.
    InvalidHeaderValue(HeaderName),
    /// The caller's fault: an origin that cannot be a header value.
    InvalidOrigin,
    /// The caller's fault: a subprotocol that is not a token.
    InvalidSubprotocol(String),
    /// The caller's fault: a subprotocol that is listed twice.
    RepeatedSubprotocol(String),
    /// The server refused, or redirected the client. This has the server's answer, with at most 64 KiB of its body.
    Refused(Box<Response<Vec<u8>>>),
    /// The server's fault: its answer is not an HTTP/1.1 head within the limits.
    Head(HeadError),
    /// The server's fault: too many interim answers (1xx).
    TooManyInterim,
    /// The server's fault: a 101 in a version of HTTP other than 1.1.
    HttpVersion(Version),
    /// The server's fault: a 101 whose `Upgrade` is not websocket.
    Upgrade,
    /// The server's fault: a 101 whose `Connection` does not name upgrade.
    Connection,
    /// The server's fault: a 101 without a `Sec-WebSocket-Accept`, or with several.
    AcceptMissing,
    /// The server's fault: a 101 whose `Sec-WebSocket-Accept` does not answer the key.
    AcceptWrong,
    /// The server's fault: a subprotocol that was not offered, or several.
    Subprotocol(String),
    /// The server's fault: an extension that was not offered, or with parameters that do not fit the offer.
    Extensions(ExtensionError),
    /// The transport ended before the server's answer was whole.
    Closed {
        /// Whether a part of an answer had come.
        has_begun: bool,
    },
    /// No whole answer came in time.
    Timeout,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(error) => write!(f, "{error}"),
            Self::ReservedHeader(name) => write!(
                f,
                "the header {name} can't be set, or not twice: the opening handshake writes it (RFC 6455 section \
                 4.1); leave it out; subprotocols, compression and the origin have options of their own"
            ),
            Self::InvalidHeaderName => f.write_str(
                "the name of a header is not a token (RFC 9110 section 5.1); use letters, digits and !#$%&'*+-.^_`|~",
            ),
            Self::InvalidHeaderValue(name) => write!(
                f,
                "the value of the header {name} has characters that it must not have (RFC 9110 section 5.5); leave out \
                 control characters such as line ends"
            ),
            Self::InvalidOrigin => f.write_str(
                "the origin has characters that a header value must not have (RFC 9110 section 5.5); give something \
                 like https://example.com",
            ),
            Self::InvalidSubprotocol(name) => write!(
                f,
                "{} is no subprotocol's name (RFC 6455 section 4.1); use letters, digits and !#$%&'*+-.^_`|~",
                quoted(name)
            ),
            Self::RepeatedSubprotocol(name) => {
                write!(f, "the subprotocol {} is asked for twice (RFC 6455 section 4.1); name each once", quoted(name))
            }
            Self::Refused(answer) => refused(f, answer),
            // The caller has chosen this server, and there is no smaller head that the caller could send.
            Self::Head(HeadError::TooLarge { limit }) => write!(
                f,
                "the head of the server's answer is longer than {limit} bytes, which is the limit here (RFC 6585 section \
                 5); raise the client's limit for heads if such an answer is expected"
            ),
            Self::Head(HeadError::TooManyHeaders { limit }) => write!(
                f,
                "the server's answer has more than {limit} header lines, which is the limit here (RFC 6585 section 5); \
                 raise the client's limit for header lines if such an answer is expected"
            ),
            Self::Head(error) => write!(f, "the server's answer is not understood: {error}"),
            Self::TooManyInterim => f.write_str(
                "the server sent one interim answer (1xx) after another and no final one (RFC 9110 section 15.2); \
                 check that the URL is that of a WebSocket server",
            ),
            Self::HttpVersion(version) => write!(
                f,
                "the server switched protocols in {version:?} (RFC 6455 section 4.2.2); it must answer in HTTP/1.1"
            ),
            Self::Upgrade => f.write_str(
                "the server switched protocols, but not to \"Upgrade: websocket\" (RFC 6455 section 4.1); check that \
                 the URL is that of a WebSocket server",
            ),
            Self::Connection => f.write_str(
                "the server switched protocols without \"Connection: Upgrade\" (RFC 6455 section 4.1); if there is a \
                 proxy in between, let it pass Upgrade and Connection on",
            ),
            Self::AcceptMissing => f.write_str(
                "the server switched protocols without exactly one Sec-WebSocket-Accept (RFC 6455 section 4.1); check that \
                 the URL is that of a WebSocket server",
            ),
            Self::AcceptWrong => f.write_str(
                "the server's Sec-WebSocket-Accept does not answer this handshake's key (RFC 6455 section 4.1); the \
                 server does not compute it as section 4.2.2 says, or a cache answered in its place",
            ),
            Self::Subprotocol(name) => write!(
                f,
                "the server chose the subprotocol {}, which is not one that was offered (RFC 6455 section 4.1); offer \
                 it if you speak it; otherwise the server is at fault",
                quoted(name)
            ),
            Self::Extensions(error) => write!(f, "{error}"),
            Self::Closed { has_begun: false } => f.write_str(
                "the server closed the connection without an answer (RFC 6455 section 4.1); check host and port, and \
                 whether the port wants wss:// in place of ws://",
            ),
            Self::Closed { has_begun: true } => f.write_str(
                "the server closed the connection in the middle of its answer (RFC 6455 section 4.1); try again; its \
                 log may say why",
            ),
            Self::Timeout => f.write_str(
                "the opening handshake was not finished in time (RFC 6455 section 4.1); check host and port, or allow \
                 it more time",
            ),
        }
    }
}

fn refused(f: &mut fmt::Formatter<'_>, answer: &Response<Vec<u8>>) -> fmt::Result {
    write!(f, "the server answered {} instead of 101 Switching Protocols (RFC 6455 section 4.1); ", answer.status())?;
    match answer.headers().get(LOCATION) {
        Some(location) if answer.status().is_redirection() => {
            write!(f, "it points to {}; connect there if you trust it", quoted(&text(location)))
        }
        _ => f.write_str("the body of its answer may say why"),
    }
}

impl std::error::Error for ClientError {}

impl From<TargetError> for ClientError {
    fn from(error: TargetError) -> Self {
        Self::Target(error)
    }
}

impl From<HeadError> for ClientError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}
