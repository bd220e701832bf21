//! The content of close frames (RFC 6455 section 5.5.1): checked before it is sent, parsed when it is received.

use bytestring::ByteString;

use crate::code::CloseCode;
use crate::error::{MAX_REASON, SendError, Violation};
use crate::message::Payload;

/// The content of a close frame: a code, and a reason of at most 123 bytes. RFC 6455 section 5.5.1 defines both and leaves room
/// for nothing else, so a pattern may name both fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// Why the sender closes.
    pub code: CloseCode,
    /// The reason in words, for people and logs. At most [`CloseFrame::MAX_REASON`] bytes.
    pub reason: ByteString,
}

impl CloseFrame {
    /// The most bytes a reason can have: a control frame's 125 (RFC 6455 section 5.5) minus two for the code.
    pub const MAX_REASON: usize = MAX_REASON;

    /// A close frame with this code and reason. Both are checked when it is sent.
    pub fn new(code: impl Into<CloseCode>, reason: impl Into<ByteString>) -> Self {
        Self { code: code.into(), reason: reason.into() }
    }

    /// Returns an error unless a close frame may carry this code, and the reason is short enough.
    pub fn check(&self) -> Result<(), SendError> {
        if !self.code.is_sendable() {
            return Err(SendError::InvalidCloseCode(self.code));
        }
        if self.reason.len() > Self::MAX_REASON {
            return Err(SendError::ReasonTooLong(self.reason.len()));
        }
        Ok(())
    }

    /// The payload of this close frame, if it may be sent.
    pub(crate) fn to_payload(&self) -> Result<Vec<u8>, SendError> {
        self.check()?;
        Ok([&self.code.as_u16().to_be_bytes(), str::as_bytes(&self.reason)].concat())
    }

    /// Parses the payload of a peer's close frame. Returns `None` if the frame carries no code.
    pub(crate) fn parse(payload: &[u8]) -> Result<Option<Self>, Violation> {
        let Some((code, reason)) = parse_code(payload)? else { return Ok(None) };
        let reason = std::str::from_utf8(reason).map_err(|_| Violation::CloseReasonNotUtf8)?;
        Ok(Some(Self { code, reason: reason.into() }))
    }

    /// The same where the reason need not be UTF-8: U+FFFD replaces what is not, and the reason is cut to its longest length.
    pub(crate) fn parse_lossy(payload: &[u8]) -> Result<Option<Self>, Violation> {
        let Some((code, reason)) = parse_code(payload)? else { return Ok(None) };
        let mut reason = String::from_utf8_lossy(reason).into_owned();
        while reason.len() > Self::MAX_REASON {
            reason.pop();
        }
        Ok(Some(Self { code, reason: reason.into() }))
    }
}

/// The content of a close frame whose reason was not checked to be UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub struct UncheckedClose<'a> {
    /// Why the sender closes.
    pub code: CloseCode,
    /// The reason in words, for people and logs. At most [`CloseFrame::MAX_REASON`] bytes.
    pub reason: Payload<'a>,
}

/// Splits the payload of a peer's close frame into its code and the bytes of its reason.
fn parse_code(payload: &[u8]) -> Result<Option<(CloseCode, &[u8])>, Violation> {
    // RFC 6455 section 5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer".
    let (code, reason) = match payload {
        [] => return Ok(None),
        // The header has told that already.
        [_] => return Err(Violation::ClosePayloadOfOneByte),
        [high, low, reason @ ..] => (CloseCode::from(u16::from_be_bytes([*high, *low])), reason),
    };
    if code.is_sendable() { Ok(Some((code, reason))) } else { Err(Violation::InvalidCloseCode(code.as_u16())) }
}
