//! Close codes: the numbers of RFC 6455 section 7.4 and of IANA's registry, with their names.

use std::fmt;

/// A close code (RFC 6455 section 7.4.1).
///
/// Codes 1000–1003, 1007–1014 and 3000–4999 can be sent. [`CloseCode::NONE`] and [`CloseCode::ABNORMAL`] are never
/// sent, only reported.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection has been fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: a server is shutting down, or a browser is leaving the page.
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
    /// 1010: the server's handshake did not accept an extension that the client needs.
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
    /// RFC 6455 section 7.4.2 reserves 1004–1006, 1015 and all codes below 1000. IANA has registered 1012–1014 since.
    /// 1016–2999 belong to future revisions and to extensions, and no extension that is negotiated here has a code.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sendable_codes_are_those_of_rfc_6455_and_the_registry() {
        let sendable: Vec<u16> = (0..=u16::MAX).filter(|code| CloseCode::from(*code).is_sendable()).collect();
        let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
        assert_eq!(sendable, expected);
    }
}
