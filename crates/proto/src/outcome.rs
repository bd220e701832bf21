//! How a connection ended, and why.

use std::sync::Arc;
use std::{fmt, io};

use bytestring::ByteString;

use crate::close::CloseFrame;
use crate::code::CloseCode;
use crate::error::Violation;

/// How a connection ended.
///
/// ```
/// # use ropeway_proto::{Cause, CloseFrame, Closed};
/// let closed = Closed::clean(CloseFrame::new(1001, "restart"));
/// assert!(closed.clean && !closed.is_lost());
/// assert!(Closed::abnormal(Cause::Eof).is_lost());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// The code of the peer's close frame. [`CloseCode::NONE`] if that frame carried no code, [`CloseCode::ABNORMAL`]
    /// if no close frame came.
    pub code: CloseCode,
    /// The reason in the peer's close frame, or an empty text.
    pub reason: ByteString,
    /// Whether close frames went both ways.
    pub clean: bool,
    /// Why it ended.
    pub cause: Cause,
}

impl Closed {
    /// Whether the connection was lost: it ended without the peer's close frame, and not because this side terminated
    /// it.
    pub fn is_lost(&self) -> bool {
        !self.clean && self.cause != Cause::Terminated
    }

    /// The end of a connection by a closing handshake. `frame` is the content of the peer's close frame, or `None` if
    /// that frame was empty.
    pub fn clean(frame: impl Into<Option<CloseFrame>>) -> Self {
        let frame = frame.into().unwrap_or_else(|| CloseFrame::new(CloseCode::NONE, ""));
        Self { code: frame.code, reason: frame.reason, clean: true, cause: Cause::Handshake }
    }

    /// The end of a connection without a close frame from the peer, for this cause. Its code is 1006 (RFC 6455 section
    /// 7.1.5).
    pub fn abnormal(cause: Cause) -> Self {
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

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The closing handshake.
    Handshake,
    /// The peer broke the protocol or a limit. It was sent a close frame with the violation's code.
    Violation(Violation),
    /// The transport ended without a close frame from the peer.
    Eof,
    /// The transport broke with this error before a close frame came from the peer. The core is not told of errors and
    /// reports [`Eof`](Cause::Eof) instead; a driver that knows the error reports this.
    Broken(Broken),
    /// Nothing was heard from the peer in time, not even an answer to a ping.
    KeepaliveTimeout,
    /// The peer did not finish the closing handshake in time.
    CloseTimeout,
    /// This side ended the connection with `terminate`, without a closing handshake.
    Terminated,
    /// The runtime ended before the connection did, or the connection's task ended by a panic outside of the handlers.
    Abandoned,
}

/// The error of a transport that broke.
#[derive(Clone, Debug)]
pub struct Broken(Arc<io::Error>);

impl Broken {
    /// The error of the operating system, or of a layer above it such as TLS.
    pub fn error(&self) -> &io::Error {
        &self.0
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self(Arc::new(error))
    }
}

/// Two are equal if their errors have the same kind and the same error number of the operating system.
impl PartialEq for Broken {
    fn eq(&self, other: &Self) -> bool {
        (self.0.kind(), self.0.raw_os_error()) == (other.0.kind(), other.0.raw_os_error())
    }
}

impl Eq for Broken {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake => f.write_str("the closing handshake was done"),
            Self::Violation(violation) => violation.fmt(f),
            Self::Eof => {
                f.write_str("the transport ended without a close frame from the peer (RFC 6455 section 7.1.5)")
            }
            Self::Broken(_) => {
                f.write_str("the transport broke before a close frame came from the peer (RFC 6455 section 7.1.5)")
            }
            Self::KeepaliveTimeout => {
                f.write_str("the peer answered no ping in time (see `ping_interval` and `ping_timeout`)")
            }
            Self::CloseTimeout => {
                f.write_str("the peer did not finish the closing handshake in time (see `close_timeout`)")
            }
            Self::Terminated => f.write_str("this side ended the connection without a closing handshake (terminate)"),
            Self::Abandoned => f.write_str(
                "its runtime, or the task that drove it, has ended first; keep the runtime running until its connections are closed",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_reads_as_a_sentence() {
        let closed = Closed::clean(CloseFrame::new(4000, "bye"));
        assert_eq!(closed.to_string(), "4000 (private use) \"bye\"");
        assert!(Closed::abnormal(Cause::Eof).to_string().starts_with("1006 (abnormal closure): the transport ended"));
    }
}
