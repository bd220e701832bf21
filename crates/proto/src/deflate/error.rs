//! Errors of the peer's extension header, and of its compressed messages.

use std::fmt;

/// Why a `Sec-WebSocket-Extensions` header fails the opening handshake.
///
/// A server answers the first two with status 400. It never returns the others, because it declines an offer that it
/// cannot honour. A client fails the connection on any of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtensionError {
    /// The header does not follow the grammar.
    Syntax {
        /// The byte of the header's value at which it stops making sense.
        at: usize,
        /// A description of what should be there.
        expected: &'static str,
    },
    /// More extensions, or more parameters of one, than this limit.
    TooMany(usize),
    /// The answer has an extension of this name, which was not offered.
    NotOffered(String),
    /// The answer accepts permessage-deflate more than once.
    Repeated,
    /// A parameter of this name, which RFC 7692 does not define.
    UnknownParam(String),
    /// The parameter of this name, twice.
    DuplicateParam(String),
    /// A parameter whose value is not allowed, or that lacks the value it needs.
    InvalidValue {
        /// The parameter.
        param: String,
        /// The value, if there is one.
        value: Option<String>,
    },
    /// The answer allows a larger window than was offered.
    WindowTooBig {
        /// The parameter.
        param: String,
        /// The bits that were offered.
        offered: u8,
        /// The bits in the answer.
        answered: u8,
    },
    /// The answer leaves out the parameter of this name, which the offer demanded.
    Ignored(String),
}

impl fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { at, expected } => write!(
                f,
                "Sec-WebSocket-Extensions is malformed: expected {expected} at byte {at} (RFC 6455 section 9.1); write it as \
                 `name; param; param=value`, with a comma between extensions"
            ),
            Self::TooMany(limit) => write!(
                f,
                "Sec-WebSocket-Extensions has more than {limit} extensions, or more than {limit} parameters in one of them \
                 (RFC 6455 section 9.1 has no limit, we do); offer fewer"
            ),
            Self::NotOffered(name) => write!(
                f,
                "the server answered with the extension `{name}`, which was not offered (RFC 6455 section 4.1); look for a \
                 proxy that adds it, or report it to the server's authors"
            ),
            Self::Repeated => f.write_str(
                "the server accepted permessage-deflate more than once, but only one extension can have RSV1 (RFC 7692 \
                 section 5); report it to the server's authors, or connect without compression",
            ),
            Self::UnknownParam(name) => write!(
                f,
                "permessage-deflate has no parameter `{name}` (RFC 7692 section 7.1); report it to the peer's authors, or \
                 connect without compression"
            ),
            Self::DuplicateParam(param) => write!(
                f,
                "permessage-deflate has its parameter `{param}` twice (RFC 7692 section 7.1); report it to the peer's \
                 authors, or connect without compression"
            ),
            Self::InvalidValue { param, value } => {
                write!(f, "permessage-deflate has `{param}` ")?;
                match value {
                    Some(value) => write!(f, "with the value `{value}`")?,
                    None => f.write_str("without a value")?,
                }
                f.write_str(if param.ends_with("bits") {
                    ", but it takes 8 to 15 without leading zeros (RFC 7692 section 7.1.2)"
                } else {
                    ", but it takes none (RFC 7692 section 7.1.1)"
                })?;
                f.write_str("; report it to the peer's authors, or connect without compression")
            }
            Self::WindowTooBig { param, offered, answered } => write!(
                f,
                "the server answered `{param}={answered}` to an offer of {offered}, but it may only lower it (RFC 7692 section \
                 7.1.2); offer 15 bits, or connect without compression"
            ),
            Self::Ignored(param) => write!(
                f,
                "the server accepted permessage-deflate without `{param}`, which was asked of it (RFC 7692 section 7.1); do \
                 not ask for it, or connect without compression"
            ),
        }
    }
}

impl std::error::Error for ExtensionError {}

/// Why a compressed message cannot be inflated. The connection has to be failed then.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InflateError {
    /// The inflated message has more bytes than the limit. Exactly `limit` bytes of it came out.
    TooBig,
    /// The payload is not a DEFLATE stream, or is cut short. Holds the reason.
    Corrupt(&'static str),
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooBig => f.write_str(
                "a compressed message is longer than the limit when inflated (RFC 6455 section 10.4); send less at once, or \
                 raise the limit",
            ),
            Self::Corrupt(reason) => write!(
                f,
                "a compressed message does not inflate: {reason} (RFC 7692 section 7.2.2); check that the peer keeps to the \
                 window and the context takeover that were agreed"
            ),
        }
    }
}

impl std::error::Error for InflateError {}
