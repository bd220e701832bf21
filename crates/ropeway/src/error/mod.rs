//! The errors of a connection, sorted by who caused them.

#[cfg(feature = "tls")]
pub(crate) mod certificate;

use std::{fmt, io};

use http::Response;
use ropeway_proto::handshake::ClientError;
use ropeway_proto::{Cause, Closed, SendError, Violation};

#[cfg(feature = "tls")]
use certificate::complaint;

/// An error of a connection, or of opening one.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The peer could not be reached. If none of its addresses answered in time, the kind is
    /// [`TimedOut`](io::ErrorKind).
    Connect(io::Error),
    /// The TLS handshake failed. If it was not finished in time, the kind is [`TimedOut`](io::ErrorKind).
    Tls(io::Error),
    /// The opening handshake failed. If the server refused, [`Error::response`] has its answer.
    Handshake(ClientError),
    /// The peer broke the protocol or a limit. It was sent a close frame with the violation's code.
    Violation(Violation),
    /// The connection ended without the peer's close frame, and this side did not terminate it. [`Closed::cause`] says
    /// why.
    Lost(Closed),
    /// Something could not be sent.
    Send(SendError),
}

impl Error {
    /// Returns the error for this end, or `None` if the peer has closed, or this side has terminated the connection.
    pub(crate) fn of_end(closed: &Closed) -> Option<Self> {
        closed.is_lost().then(|| match &closed.cause {
            Cause::Violation(violation) => Self::Violation(violation.clone()),
            _ => Self::Lost(closed.clone()),
        })
    }

    /// Returns the answer of a server that refused the opening handshake, with its body.
    pub fn response(&self) -> Option<&Response<Vec<u8>>> {
        match self {
            Self::Handshake(ClientError::Refused(response)) => Some(response),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "the server could not be reached: {error}"),
            Self::Tls(error) => match complaint(error) {
                Some(complaint) => write!(f, "the TLS handshake failed: {complaint}"),
                None => write!(f, "the TLS handshake failed: {error}"),
            },
            Self::Handshake(error) => error.fmt(f),
            Self::Violation(violation) => violation.fmt(f),
            Self::Lost(closed) => write!(f, "the connection was lost: {closed}"),
            Self::Send(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(error) | Self::Tls(error) => Some(error),
            Self::Handshake(error) => Some(error),
            Self::Violation(violation) => Some(violation),
            Self::Lost(Closed { cause: Cause::Broken(broken), .. }) => Some(broken.error()),
            Self::Lost(_) => None,
            Self::Send(error) => Some(error),
        }
    }
}

#[cfg(not(feature = "tls"))]
fn complaint(_: &io::Error) -> Option<String> {
    None
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        Self::Handshake(error)
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}
