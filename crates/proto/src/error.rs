//! Errors, sorted by who caused them: a [`Violation`] is the peer's fault, a [`SendError`] the caller's. Errors of the
//! transport are left to the driver.

use std::fmt;

use crate::code::CloseCode;
use crate::state::ReadyState;

/// The most bytes of a close reason. Close frames import errors, so
/// [`CloseFrame::MAX_REASON`](crate::CloseFrame::MAX_REASON) takes its value from here.
pub(crate) const MAX_REASON: usize = 123;

/// How the peer broke the protocol, or a limit of this endpoint.
///
/// When a violation is reported, the close frame with its [`Violation::close_code`] is already queued, unless
/// [`auto_fail`](crate::Config::auto_fail) is off, and all messages that were received whole before it have been delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// RSV2 or RSV3 is set, which no negotiated extension uses.
    ReservedBits,
    /// RSV1 is set where it must be clear: without permessage-deflate, on a continuation or on a control frame.
    UnexpectedCompression,
    /// An opcode that the protocol does not define.
    ReservedOpcode(u8),
    /// A control frame without FIN.
    FragmentedControl,
    /// A control frame of more than 125 bytes. The 7 bits of its length are given: 126 announces a length of 16 bits, 127 one of 64.
    ControlTooLong(u8),
    /// A client's frame without a mask.
    MaskMissing,
    /// A server's frame with a mask.
    MaskUnexpected,
    /// A payload length that is encoded in more bytes than it needs.
    LengthNotMinimal,
    /// A 64-bit payload length whose top bit is set.
    LengthTopBit,
    /// A continuation frame outside of a fragmented message.
    NothingToContinue,
    /// A text or binary frame before the end of a fragmented message. Its opcode is given, 1 for text or 2 for binary.
    MessageUnfinished(u8),
    /// A close frame with a body of one byte, which is too short for a close code.
    ClosePayloadOfOneByte,
    /// A close frame with a code that must not be sent.
    InvalidCloseCode(u16),
    /// A close frame whose reason is not UTF-8.
    CloseReasonNotUtf8,
    /// A text message that is not UTF-8.
    NotUtf8,
    /// A compressed message that does not inflate.
    CorruptDeflate,
    /// A message of more bytes than `max_payload`.
    MessageTooBig(Box<TooBig>),
    /// A message of more fragments than `max_fragments`, whose value this holds.
    TooManyFragments(u32),
    /// More control frames in a second than `max_control_rate`, whose value this holds.
    ControlFlood(u32),
    /// A message that was not finished within `message_timeout`.
    MessageTooSlow,
}

/// Each event, and the result of each header, has room for one.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Violation>() <= 16);

/// The data of [`Violation::MessageTooBig`], which has a box so that a violation stays two words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooBig {
    /// The value of `max_payload`.
    pub limit: usize,
    /// The payload length in the header of the frame that made the message too big. `None` if inflating it did: then its
    /// length is not known.
    pub announced: Option<u64>,
}

impl Violation {
    /// A message of more bytes than `limit`, by a frame of which the header announced so many.
    #[cold]
    pub fn too_big(limit: usize, announced: Option<u64>) -> Self {
        Self::MessageTooBig(Box::new(TooBig { limit, announced }))
    }

    /// The close code that is sent to the peer for this violation (RFC 6455 section 7.4.1).
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::ReservedBits
            | Self::UnexpectedCompression
            | Self::ReservedOpcode(_)
            | Self::FragmentedControl
            | Self::ControlTooLong(_)
            | Self::MaskMissing
            | Self::MaskUnexpected
            | Self::LengthNotMinimal
            | Self::LengthTopBit
            | Self::NothingToContinue
            | Self::MessageUnfinished(_)
            | Self::ClosePayloadOfOneByte
            | Self::InvalidCloseCode(_) => CloseCode::PROTOCOL_ERROR,
            Self::CloseReasonNotUtf8 | Self::NotUtf8 | Self::CorruptDeflate => CloseCode::INVALID_DATA,
            Self::TooManyFragments(_) | Self::ControlFlood(_) | Self::MessageTooSlow => CloseCode::POLICY,
            Self::MessageTooBig(_) => CloseCode::TOO_BIG,
        }
    }

    /// The reason that is sent beside the code: a short text for the logs on the peer's side.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::ReservedBits => "RSV2 and RSV3 must be clear",
            Self::UnexpectedCompression => "RSV1 must be clear",
            Self::ReservedOpcode(_) => "reserved opcode",
            Self::FragmentedControl => "control frames must not be fragmented",
            Self::ControlTooLong(_) => "control frames carry at most 125 bytes",
            Self::MaskMissing => "client frames must be masked",
            Self::MaskUnexpected => "server frames must not be masked",
            Self::LengthNotMinimal => "payload length not in its shortest form",
            Self::LengthTopBit => "payload length over 2^63 - 1",
            Self::NothingToContinue => "continuation without a message",
            Self::MessageUnfinished(_) => "new message inside a fragmented one",
            Self::ClosePayloadOfOneByte => "close payload of one byte",
            Self::InvalidCloseCode(_) => "invalid close code",
            Self::CloseReasonNotUtf8 => "close reason is not UTF-8",
            Self::NotUtf8 => "text is not UTF-8",
            Self::CorruptDeflate => "compressed message does not inflate",
            Self::MessageTooBig(_) => "message too big",
            Self::TooManyFragments(_) => "too many fragments",
            Self::ControlFlood(_) => "too many control frames",
            Self::MessageTooSlow => "message took too long",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedBits => f.write_str(
                "the peer set RSV2 or RSV3, which belong to extensions that were not negotiated (RFC 6455 section 5.2)",
            ),
            Self::UnexpectedCompression => f.write_str(
                "the peer set RSV1 on a frame that cannot be compressed: only the first frame of a message can, and only once \
                 permessage-deflate is negotiated (RFC 7692 section 6)",
            ),
            Self::ReservedOpcode(opcode) => {
                write!(f, "the peer sent opcode {opcode:#x}, which is reserved (RFC 6455 section 5.2)")
            }
            Self::FragmentedControl => {
                f.write_str("the peer fragmented a control frame, which must carry FIN (RFC 6455 section 5.5)")
            }
            Self::ControlTooLong(_) => {
                f.write_str("the peer sent a control frame of more than 125 bytes (RFC 6455 section 5.5)")
            }
            Self::MaskMissing => f.write_str("the client sent a frame without a mask (RFC 6455 section 5.1)"),
            Self::MaskUnexpected => f.write_str("the server sent a masked frame (RFC 6455 section 5.1)"),
            Self::LengthNotMinimal => {
                f.write_str("the peer encoded a payload length in more bytes than it needs (RFC 6455 section 5.2)")
            }
            Self::LengthTopBit => {
                f.write_str("the peer sent a 64-bit payload length whose top bit is set (RFC 6455 section 5.2)")
            }
            Self::NothingToContinue => {
                f.write_str("the peer sent a continuation frame although no message is under way (RFC 6455 section 5.4)")
            }
            Self::MessageUnfinished(_) => f.write_str(
                "the peer started a message before it had finished the fragmented one before it (RFC 6455 section 5.4)",
            ),
            Self::ClosePayloadOfOneByte => {
                f.write_str("the peer sent a close frame of one byte; a close code has two (RFC 6455 section 5.5.1)")
            }
            Self::InvalidCloseCode(code) => {
                write!(f, "the peer closed with code {code}, which must not be sent (RFC 6455 section 7.4)")
            }
            Self::CloseReasonNotUtf8 => f.write_str("the reason in the peer's close frame is not UTF-8 (RFC 6455 section 5.5.1)"),
            Self::NotUtf8 => {
                f.write_str("the peer sent text that is not UTF-8 (RFC 6455 section 8.1); send such data as binary")
            }
            Self::CorruptDeflate => {
                f.write_str("the peer sent a compressed message that does not inflate (RFC 7692 section 7.2.2)")
            }
            Self::MessageTooBig(too_big) => write!(
                f,
                "the peer sent a message of more than {} bytes; raise `max_payload` if such messages are expected \
                 (RFC 6455 section 10.4)",
                too_big.limit
            ),
            Self::TooManyFragments(limit) => write!(
                f,
                "the peer cut a message into more than {limit} fragments; raise `max_fragments` if that is expected \
                 (RFC 6455 section 10.4)"
            ),
            Self::ControlFlood(limit) => write!(
                f,
                "the peer sent more than {limit} control frames within a second; raise `max_control_rate` if that is expected"
            ),
            Self::MessageTooSlow => {
                f.write_str("the peer did not finish a message in time; raise `message_timeout` if that is expected")
            }
        }
    }
}

impl std::error::Error for Violation {}

/// Why something was not queued for sending. If there is an error, no part of it was queued.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is not open. Holds its ready state.
    NotOpen(ReadyState),
    /// The peer reads too slowly: `max_buffered` bytes wait to be written.
    Full {
        /// The bytes that wait, see [`buffered_amount`](crate::Connection::buffered_amount).
        buffered: usize,
    },
    /// A ping or pong payload of more than 125 bytes. Holds its length.
    ControlTooLong(usize),
    /// A close code that must not be sent.
    InvalidCloseCode(CloseCode),
    /// A close reason of more than 123 bytes. Holds its length.
    ReasonTooLong(usize),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpen(state) => write!(f, "the connection is not open: its ready state is {state}"),
            Self::Full { buffered } => write!(
                f,
                "the peer reads too slowly: {buffered} bytes wait to be written; wait for room, drop the message, or raise \
                 `max_buffered`"
            ),
            Self::ControlTooLong(length) => {
                write!(f, "a ping or pong carries at most 125 bytes, not {length} (RFC 6455 section 5.5)")
            }
            Self::InvalidCloseCode(CloseCode::NONE) => f.write_str(
                "close code 1005 cannot be sent: it stands for a close frame without a code (RFC 6455 section 7.4.1); close \
                 without a code instead",
            ),
            Self::InvalidCloseCode(code) => write!(
                f,
                "close code {} cannot be sent; use 1000–1003, 1007–1014 or 3000–4999 (RFC 6455 section 7.4)",
                code.as_u16()
            ),
            Self::ReasonTooLong(length) => {
                write!(f, "a close reason has at most {MAX_REASON} bytes, not {length} (RFC 6455 section 5.5)")
            }
        }
    }
}

impl std::error::Error for SendError {}
