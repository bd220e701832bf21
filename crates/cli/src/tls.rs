//! The certificates to trust for `wss://`: the system's roots, those in a file, or all.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ropeway::Client;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::style::warn;

/// The options for trusting certificates.
#[derive(clap::Args)]
pub(crate) struct Trust {
    /// Accept any certificate: for tests only, since anyone in between can then read and change everything
    #[arg(short = 'k', long)]
    insecure: bool,

    /// Trust the certificates in this PEM file instead of the system's: authorities, or the server's own
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    cacert: Option<PathBuf>,
}

/// Sets the client up with these options.
pub(crate) fn configure(client: Client, trust: &Trust) -> Result<Client, String> {
    if let Some(file) = &trust.cacert {
        return client.trust(certificates(file)?).map_err(|error| complaint(file, &error));
    }
    if trust.insecure {
        warn("the server's certificate is not checked (--insecure)");
        let anyone = Anyone::new(&ring::default_provider());
        return Ok(client.tls(Arc::new(verified_by(Arc::new(anyone)))));
    }
    Ok(match system() {
        Some(config) => client.tls(Arc::new(config)),
        // The library brings Mozilla's roots.
        None => client,
    })
}

/// Settings that trust the system's roots. `None` on a system without roots, such as a minimal container.
pub(crate) fn system() -> Option<ClientConfig> {
    let verifier = Verifier::new(Arc::new(ring::default_provider())).ok()?;
    Some(verified_by(Arc::new(verifier)))
}

fn verified_by(verifier: Arc<dyn ServerCertVerifier>) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth()
}

/// The certificates in a PEM file.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let certificates: Vec<_> = read.map_err(|error| complaint(file, &error))?;
    if certificates.is_empty() {
        return Err(complaint(file, &"it has none in PEM form (-----BEGIN CERTIFICATE-----)"));
    }
    Ok(certificates)
}

fn complaint(file: &Path, error: &dyn Display) -> String {
    format!("no certificate could be read from {}: {error}", file.display())
}

/// Trusts every certificate. The server still has to prove that it has the key.
#[derive(Debug)]
struct Anyone(WebPkiSupportedAlgorithms);

impl Anyone {
    fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
