//! The server's certificate for `wss://` and `https://`, with its key: read from files, or made at the start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{Error, InconsistentKeys, ServerConfig};

/// The names in a self-signed certificate: those by which a machine reaches itself.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The options for the certificate.
#[derive(clap::Args)]
pub(super) struct Certificate {
    /// Serve wss:// and https://, with the certificate in this PEM file; the certificates that lead to a root follow it
    /// there
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,

    /// The certificate's private key, in a PEM file, which may be the same one
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// Serve wss:// and https:// with a certificate for localhost that is made now; clients have to be told to accept
    /// it (`ropeway connect --insecure`)
    #[arg(long, conflicts_with_all = ["cert", "key"])]
    tls_self_signed: bool,
}

/// The TLS settings. `None` for a server without TLS.
pub(super) fn config(certificate: &Certificate) -> Result<Option<Arc<ServerConfig>>, String> {
    let config = match (&certificate.cert, &certificate.key) {
        (Some(cert), Some(key)) => {
            let chain = chain(cert)?;
            let (cert, shown) = (cert.display(), key.display());
            build(chain, private_key(key)?).map_err(|error| match error {
                Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    format!("the key in {shown} does not belong to the first certificate in {cert}, which must be the server's own")
                }
                error => format!("the certificate in {cert} and the key in {shown} cannot be used: {error}"),
            })?
        }
        _ if certificate.tls_self_signed => {
            self_signed().map_err(|error| format!("no certificate could be made: {error}"))?
        }
        _ => return Ok(None),
    };
    Ok(Some(Arc::new(config)))
}

fn build(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<ServerConfig, Error> {
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
}

fn self_signed() -> Result<ServerConfig, Box<dyn std::error::Error>> {
    let made = rcgen::generate_simple_self_signed(LOCAL.map(str::to_owned))?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    Ok(build(vec![made.cert.into()], key.into())?)
}

/// The certificates in a PEM file, at least one.
fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(format!(
            "{0} has no certificate in PEM form (-----BEGIN CERTIFICATE-----); `openssl x509 -in {0}` converts other forms",
            file.display()
        )),
        Err(error) => Err(format!("no certificate could be read from {}: {error}", file.display())),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| match error {
        pem::Error::NoItemsFound => format!(
            "{0} has no private key in PEM form (-----BEGIN PRIVATE KEY-----), or one with a password; `openssl pkey -in {0}` \
             converts other forms",
            file.display()
        ),
        error => format!("no private key could be read from {}: {error}", file.display()),
    })
}
