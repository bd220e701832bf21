//! How a connection ended, and why.

use std::sync::Arc;
use std::{fmt, io};

use bytestring::ByteString;

use crate::close::CloseFrame;
use crate::code::CloseCode;
use crate::error::Violation;

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
    /// Why it ended.
    pub cause: Cause,
}

impl Closed {
    /// Whether the connection was lost: it ended without the peer's close frame, and not because this side terminated it.
    pub fn is_lost(&self) -> bool {
        !self.clean && self.cause != Cause::Terminated
    }

    /// The closing handshake was done: the peer's close frame carried `frame`.
    pub(crate) fn clean(frame: Option<CloseFrame>) -> Self {
        let frame = frame.unwrap_or_else(|| CloseFrame::new(CloseCode::NONE, ""));
        Self { code: frame.code, reason: frame.reason, clean: true, cause: Cause::Handshake }
    }

    /// An end for this cause, of a connection on which no close frame came from the peer (RFC 6455 section 7.1.5: such an end counts
    /// as 1006).
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
    /// The peer broke the protocol or a limit; it was sent the close code of the violation.
    Violation(Violation),
    /// The transport ended without a close frame from the peer.
    Eof,
    /// The transport broke with this error, before a close frame came from the peer. The core is told of no error and says
    /// [`Eof`](Cause::Eof); a driver that knows the error says this.
    Broken(Broken),
    /// Nothing was heard from the peer, not even an answer to a ping.
    KeepaliveTimeout,
    /// The peer did not finish the closing handshake in time.
    CloseTimeout,
    /// This side gave the connection up without a closing handshake.
    Terminated,
    /// The runtime of the connection has ended before it, or its task has, by a panic that was not a handler's.
    Abandoned,
}

/// The error of a transport that broke.
#[derive(Clone, Debug)]
pub struct Broken(Arc<io::Error>);

impl Broken {
    /// The operating system's error, or that of a layer between such as TLS.
    pub fn error(&self) -> &io::Error {
        &self.0
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self(Arc::new(error))
    }
}

/// Two are equal if their errors are of one kind and have one number of the operating system's.
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
            Self::Terminated => f.write_str("this side gave the connection up (terminate)"),
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
        let closed = Closed::clean(Some(CloseFrame::new(4000, "bye")));
        assert_eq!(closed.to_string(), "4000 (private use) \"bye\"");
        assert!(Closed::abnormal(Cause::Eof).to_string().starts_with("1006 (abnormal closure): the transport ended"));
    }
}
