//! The errors of a connection, sorted by who caused them.

#[cfg(feature = "tls")]
pub(crate) mod tls;

use std::{fmt, io};

use http::Response;
use ropeway_proto::handshake::ClientError;
use ropeway_proto::{Cause, Closed, SendError, Violation};

#[cfg(feature = "tls")]
use tls::complaint;

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

/// The source is what the text does not say already: for [`Error::Lost`] the error of the transport. Programs that print an error
/// with its sources print nothing twice. The error of a variant is matched on, not asked for here.
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(error) | Self::Tls(error) => error.source(),
            Self::Handshake(error) => error.source(),
            Self::Violation(violation) => violation.source(),
            Self::Lost(Closed { cause: Cause::Broken(broken), .. }) => Some(broken.error()),
            Self::Lost(_) => None,
            Self::Send(error) => error.source(),
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

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use ropeway_proto::Broken;

    use super::*;

    /// An error of a layer below, with a source of its own.
    #[derive(Debug)]
    struct Layer(io::Error);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the tunnel broke")
        }
    }

    impl std::error::Error for Layer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn an_error_with_its_sources_says_nothing_twice() {
        let io = || io::Error::from_raw_os_error(13);
        let layered = || io::Error::other(Layer(io()));
        let broken = |error| Error::Lost(Closed::abnormal(Cause::Broken(Broken::from(error))));
        let refused = ClientError::Refused(Box::new(Response::new(Vec::new())));
        let url = "no scheme".parse::<ropeway_proto::handshake::Target>().unwrap_err();
        for (error, sources) in [
            (Error::Connect(io()), 0),
            (Error::Connect(layered()), 1),
            (Error::Tls(io()), 0),
            (Error::Tls(layered()), 1),
            (Error::Handshake(refused), 0),
            (Error::Handshake(ClientError::Target(url)), 0),
            (Error::Handshake(ClientError::Head(ropeway_proto::handshake::HeadError::TooLarge { limit: 1 })), 0),
            (Error::Violation(Violation::too_big(1, Some(2))), 0),
            (Error::Lost(Closed::abnormal(Cause::Eof)), 0),
            (broken(io()), 1),
            (broken(layered()), 2),
            (Error::Send(SendError::Full { buffered: 1 }), 0),
        ] {
            let mut texts = vec![error.to_string()];
            let mut next = error.source();
            while let Some(source) = next {
                let text = source.to_string();
                assert!(!texts.iter().any(|before| before.contains(&text)), "{text:?} is in {texts:?}");
                texts.push(text);
                next = source.source();
            }
            assert_eq!(texts.len(), 1 + sources, "{texts:?}");
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_complaint_about_a_certificate_is_all_that_is_said() {
        let expired = tokio_rustls::rustls::Error::from(tokio_rustls::rustls::CertificateError::Expired);
        let error = Error::Tls(io::Error::new(io::ErrorKind::InvalidData, expired));
        assert!(error.to_string().contains("has expired") && error.source().is_none(), "{error:?}");
    }
}
