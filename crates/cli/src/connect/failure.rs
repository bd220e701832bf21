//! The texts for failures before there is a session.

use std::io;

use ropeway::Error;
use ropeway::http::Response;
use rustls::CertificateError;

use super::exit::Exit;
use super::render::escaped_line;
use super::wording::wording;
use crate::style::{complain, faint, say};
use crate::visible::escaped;

/// The most of a refusal's body that is shown without -v: enough for a sentence, not for a web page.
const MOST_OF_BODY: usize = 4 * 1024;

/// Prints why there is no connection. Returns the exit code.
pub(crate) fn report(error: &Error, verbose: bool) -> Exit {
    let advice = match error {
        Error::Tls(tls) => advice(tls),
        _ => "",
    };
    complain(&format!("{}{advice}", wording(error)));
    if let Some(response) = error.response() {
        show_refusal(response, verbose);
    }
    Exit::of_error(error)
}

/// Advice after a TLS handshake that failed.
fn advice(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(error)) => match error {
            CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
                "; make one that does (openssl req -addext subjectAltName=DNS:NAME), or for a test accept any with --insecure"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "; connect by a name that it has, or for a test accept any with --insecure"
            }
            CertificateError::UnknownIssuer | CertificateError::Other(_) => {
                "; if it is the right one, trust it, or its issuer's, with --cacert FILE, or for a test accept any certificate with \
                 --insecure"
            }
            _ => "; the server needs another certificate, or for a test accept any with --insecure",
        },
        Some(rustls::Error::InvalidMessage(_)) => "; the port does not seem to speak TLS: try ws:// instead of wss://",
        // A server without TLS takes the first bytes of TLS for an invalid request, and some close without an answer.
        _ if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
            "; the server closed the connection: if the port does not speak TLS, try ws:// instead of wss://"
        }
        _ => "",
    }
}

fn show_refusal(response: &Response<Vec<u8>>, verbose: bool) {
    say(&format!("\n{:?} {}", response.version(), response.status()));
    if verbose {
        for (name, value) in response.headers() {
            say(&faint(&format!("{name}: {}", escaped_line(&String::from_utf8_lossy(value.as_bytes())))));
        }
    }
    let body = response.body();
    let shown = if verbose { body } else { &body[..body.len().min(MOST_OF_BODY)] };
    if !shown.is_empty() {
        say(&format!("\n{}", escaped(String::from_utf8_lossy(shown).trim_end())));
    }
    if shown.len() < body.len() {
        say(&faint(&format!("and {} bytes more: -v shows them", body.len() - shown.len())));
    }
}
