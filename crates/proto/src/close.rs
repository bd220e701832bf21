//! Close codes and close frames (RFC 6455 section 7.4), and what is known when a connection has ended.

use std::fmt;

use bytestring::ByteString;

use crate::error::{SendError, Violation};

/// A close code (RFC 6455 section 7.4.1).
///
/// Codes 1000–1003, 1007–1014 and 3000–4999 can be sent. [`CloseCode::NONE`] and [`CloseCode::ABNORMAL`] are only ever
/// reported.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection has been fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: a server goes down, or a browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: the endpoint cannot take this kind of data, such as binary where text is expected.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1005, never sent: the peer's close frame carried no code.
    pub const NONE: Self = Self(1005);
    /// 1006, never sent: the connection ended without a close frame from the peer.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: the data was not what its type says, such as text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// 1008: the peer broke a rule of this endpoint that no other code names.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message was too big.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the client misses an extension in the server's answer.
    pub const EXTENSION_MISSING: Self = Self(1010);
    /// 1011: the server met a condition it did not expect.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the server restarts; a client may reconnect after a while.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the server is overloaded; a client should try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got an invalid response from its upstream.
    pub const BAD_GATEWAY: Self = Self(1014);

    /// The code as a number.
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// Whether a close frame may carry this code.
    ///
    /// RFC 6455 section 7.4.2 reserves 1004–1006, 1015 and what is below 1000; 1012–1014 are registered with IANA since;
    /// 1016–2999 belong to future revisions and extensions, of which none is negotiated.
    pub const fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            1000 => "normal closure",
            1001 => "going away",
            1002 => "protocol error",
            1003 => "unsupported data",
            1005 => "no code",
            1006 => "abnormal closure",
            1007 => "invalid data",
            1008 => "policy violation",
            1009 => "message too big",
            1010 => "extension missing",
            1011 => "internal error",
            1012 => "service restart",
            1013 => "try again later",
            1014 => "bad gateway",
            3000..=3999 => "registered",
            4000..=4999 => "private use",
            _ => "reserved",
        };
        write!(f, "{} ({name})", self.0)
    }
}

/// What a close frame carries: a code, and a reason of at most 123 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// Why the sender closes.
    pub code: CloseCode,
    /// The same for people and logs. At most [`CloseFrame::MAX_REASON`] bytes.
    pub reason: ByteString,
}

impl CloseFrame {
    /// The most bytes a reason can have: a control frame's 125 (RFC 6455 section 5.5) less the code's two.
    pub const MAX_REASON: usize = 123;

    /// A close frame's content; checked when it is sent.
    pub fn new(code: impl Into<CloseCode>, reason: impl Into<ByteString>) -> Self {
        Self { code: code.into(), reason: reason.into() }
    }

    /// Whether a close frame may carry this: a code that can be sent, and a reason that is not too long.
    pub fn check(&self) -> Result<(), SendError> {
        if !self.code.is_sendable() {
            return Err(SendError::InvalidCloseCode(self.code));
        }
        if self.reason.len() > Self::MAX_REASON {
            return Err(SendError::ReasonTooLong(self.reason.len()));
        }
        Ok(())
    }

    /// Reads the payload of a peer's close frame; `None` where it carries no code.
    pub(crate) fn parse(payload: &[u8]) -> Result<Option<Self>, Violation> {
        // RFC 6455 section 5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer".
        let (code, reason) = match payload {
            [] => return Ok(None),
            [_] => return Err(Violation::ClosePayloadOfOneByte),
            [high, low, reason @ ..] => (CloseCode(u16::from_be_bytes([*high, *low])), reason),
        };
        if !code.is_sendable() {
            return Err(Violation::InvalidCloseCode(code.as_u16()));
        }
        let reason = std::str::from_utf8(reason).map_err(|_| Violation::CloseReasonNotUtf8)?;
        Ok(Some(Self { code, reason: reason.into() }))
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The code of the peer's close frame; [`CloseCode::NONE`] where that carried none, [`CloseCode::ABNORMAL`] where no
    /// close frame came.
    pub code: CloseCode,
    /// The reason in the peer's close frame, or nothing.
    pub reason: ByteString,
    /// Whether close frames went both ways.
    pub clean: bool,
    /// What brought the end about.
    pub cause: Cause,
}

impl Closed {
    /// The closing handshake was done: the peer's close frame carried `frame`.
    pub(crate) fn clean(frame: Option<CloseFrame>) -> Self {
        let frame = frame.unwrap_or_else(|| CloseFrame::new(CloseCode::NONE, ""));
        Self { code: frame.code, reason: frame.reason, clean: true, cause: Cause::Handshake }
    }

    /// No close frame came from the peer (RFC 6455 section 7.1.5: such an end counts as 1006).
    pub(crate) fn abnormal(cause: Cause) -> Self {
        Self { code: CloseCode::ABNORMAL, reason: ByteString::new(), clean: false, cause }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if !self.reason.is_empty() {
            write!(f, " {:?}", &*self.reason)?;
        }
        if self.clean { Ok(()) } else { write!(f, ": {}", self.cause) }
    }
}

/// What brought a connection's end about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The closing handshake.
    Handshake,
    /// The peer broke the protocol or a limit; it was sent the close code of the violation.
    Violation(Violation),
    /// The transport ended without a close frame from the peer.
    Eof,
    /// Nothing was heard from the peer, not even an answer to a ping.
    KeepaliveTimeout,
    /// The peer did not finish the closing handshake in time.
    CloseTimeout,
    /// This side gave the connection up without a closing handshake.
    Terminated,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake => f.write_str("the closing handshake was done"),
            Self::Violation(violation) => violation.fmt(f),
            Self::Eof => {
                f.write_str("the transport ended without a close frame from the peer (RFC 6455 section 7.1.5)")
            }
            Self::KeepaliveTimeout => {
                f.write_str("the peer answered no ping in time (see `ping_interval` and `ping_timeout`)")
            }
            Self::CloseTimeout => {
                f.write_str("the peer did not finish the closing handshake in time (see `close_timeout`)")
            }
            Self::Terminated => f.write_str("this side gave the connection up (terminate)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sendable_codes_are_those_of_rfc_6455_and_the_registry() {
        let sendable: Vec<u16> = (0..=u16::MAX).filter(|code| CloseCode::from(*code).is_sendable()).collect();
        let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
        assert_eq!(sendable, expected);
    }

    #[test]
    fn a_close_reads_as_a_sentence() {
        let closed = Closed::clean(Some(CloseFrame::new(4000, "bye")));
        assert_eq!(closed.to_string(), "4000 (private use) \"bye\"");
        assert!(Closed::abnormal(Cause::Eof).to_string().starts_with("1006 (abnormal closure): the transport ended"));
    }
}
