//! Why a session ended, as an exit code.

use std::io::ErrorKind;
use std::process::ExitCode;

use ropeway::{Cause, ClientError, CloseCode, Closed, Error};

use crate::exit::{INTERRUPTED, USAGE};

/// Why a session ended. `connect --help` lists the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Closed with 1000, 1001 or no code.
    Normal = 0,
    /// The input or the output failed.
    Failed = 1,
    /// The server could not be reached.
    Unreachable = 2,
    /// The server refused the opening handshake.
    Refused = 3,
    /// The server broke the protocol.
    Protocol = 4,
    /// Something took too long.
    Timeout = 5,
    /// Closed with another code, or lost.
    OtherCode = 6,
    /// The user asked for something impossible.
    Usage = USAGE,
    /// The user interrupted the program.
    Interrupted = INTERRUPTED,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// Why there is no connection.
    pub(crate) fn of_error(error: &Error) -> Self {
        match error {
            Error::Handshake(error) => match error {
                ClientError::Target(_)
                | ClientError::ReservedHeader(_)
                | ClientError::InvalidHeaderName
                | ClientError::InvalidHeaderValue(_)
                | ClientError::InvalidOrigin
                | ClientError::InvalidSubprotocol(_)
                | ClientError::RepeatedSubprotocol(_) => Self::Usage,
                ClientError::Refused(_) => Self::Refused,
                ClientError::Timeout => Self::Timeout,
                ClientError::Closed { .. } => Self::Unreachable,
                // The other errors are about answers that a WebSocket server does not give.
                _ => Self::Protocol,
            },
            Error::Connect(error) | Error::Tls(error) if error.kind() == ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Unreachable,
        }
    }

    /// Why the connection ended.
    pub(crate) fn of_closed(closed: &Closed) -> Self {
        match (&closed.cause, closed.code) {
            (Cause::Violation(_), _) => Self::Protocol,
            (Cause::KeepaliveTimeout | Cause::CloseTimeout, _) => Self::Timeout,
            (Cause::Terminated, _) => Self::Interrupted,
            (_, CloseCode::NORMAL | CloseCode::GOING_AWAY | CloseCode::NONE) => Self::Normal,
            _ => Self::OtherCode,
        }
    }
}
