//! Texts for failures of the TLS handshake: faults of the server's certificate, and servers that do not speak TLS.

use std::io;

use tokio_rustls::rustls::{CertificateError, Error};

/// The reason that a TLS handshake failed for, if it is a fault of the certificate, or if the server may not speak TLS.
pub(crate) fn complaint(error: &io::Error) -> Option<String> {
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(Error::InvalidCertificate(error)) => Some(explain(error)),
        // RFC 8446 section 5.1: each record begins with its type. An answer in HTTP begins with another byte.
        Some(Error::InvalidMessage(_)) => Some(format!("the server's answer is not TLS ({error}); {PLAIN}")),
        _ if error.kind() == io::ErrorKind::UnexpectedEof => {
            Some(format!("the server ended the connection instead of answering; {PLAIN}"))
        }
        _ => None,
    }
}

const PLAIN: &str = "if it serves without TLS, connect with ws:// in place of wss://";

/// Whether the fault concerns the signer of a certificate: it is unknown, it is another one than the certificate names,
/// or the certificate is an authority's own, which needs no signer.
pub(crate) fn is_about_issuer(error: &CertificateError) -> bool {
    // A wrong signature means an issuer that has the same name as a trusted one.
    matches!(error, CertificateError::UnknownIssuer | CertificateError::BadSignature) || is_authority(error)
}

fn is_authority(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(other) if other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity))
}

fn explain(error: &CertificateError) -> String {
    use CertificateError as E;
    match error {
        E::UnknownIssuer => "the server's certificate is not signed by an authority that is trusted here".into(),
        _ if is_authority(error) => {
            "the server's certificate is an authority's own (CA:TRUE, as `openssl req -x509` makes it) and is not trusted here"
                .into()
        }
        E::Expired | E::ExpiredContext { .. } => {
            "the server's certificate has expired, or the clock here is wrong".into()
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet, or the clock here is wrong".into()
        }
        E::NotValidForNameContext { expected, presented } if presented.is_empty() => format!(
            "the server's certificate is not for {:?}: it names no host in its subjectAltName, which alone counts (RFC 9525 \
             section 2)",
            expected.to_str()
        ),
        E::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| inner(name)).collect();
            format!("the server's certificate is for {}, not for {:?}", names.join(", "), expected.to_str())
        }
        E::NotValidForName => "the server's certificate is for another host".into(),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "the server's certificate is not one for servers (extended key usage, RFC 5280 section 4.2.1.12)".into()
        }
        E::Revoked => "the server's certificate has been revoked".into(),
        E::Other(other) => format!("the server's certificate cannot be used: {other}"),
        other => format!("the server's certificate cannot be used: {other}"),
    }
}

/// rustls writes names as `DnsName("example.com")`.
fn inner(name: &str) -> &str {
    name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name)
}
