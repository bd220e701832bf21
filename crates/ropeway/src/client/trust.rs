//! A client's trust in given certificates: as authorities, and as certificates of servers.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::settings::Client;
use super::tls::{builder, mozilla};
use crate::error::tls::is_about_issuer;

/// Settings.
impl Client {
    /// Trusts these certificates for `wss://`, instead of Mozilla's roots and of [`tls`](Client::tls).
    /// [`trust_also`](Client::trust_also) keeps Mozilla's.
    ///
    /// Each is trusted as an authority, and as a server's own certificate; so one that `openssl req -x509` made can be
    /// given itself. In both cases the server must prove that it has the key. Its certificate must name the host in its
    /// subjectAltName, and must not have expired. Fails if there is no certificate, or if one cannot be read.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use ropeway::rustls::pki_types::{CertificateDer, pem::PemObject};
    ///
    /// let certificate = CertificateDer::from_pem_file("server.pem")?;
    /// let ws = ropeway::Client::new().trust([certificate])?.connect("wss://localhost:8005/").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn trust(self, certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Result<Self, Error> {
        self.trust_given(certificates, RootCertStore::empty())
    }

    /// Trusts these certificates for `wss://` in addition to Mozilla's roots. This is for a client of servers on the
    /// internet and of others with a certificate of the company's own. [`trust`](Client::trust) has the rules.
    pub fn trust_also(self, certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Result<Self, Error> {
        self.trust_given(certificates, mozilla())
    }

    fn trust_given(
        self,
        certificates: impl IntoIterator<Item = CertificateDer<'static>>,
        roots: RootCertStore,
    ) -> Result<Self, Error> {
        let certificates: Vec<_> = certificates.into_iter().collect();
        if certificates.is_empty() && roots.is_empty() {
            return Err(Error::General(
                "no certificate to trust was given; CertificateDer::from_pem_file reads one, and a client without this setting \
                 trusts Mozilla's roots"
                    .into(),
            ));
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(Given::new(certificates, roots, &provider)?);
        // rustls calls every verifier "dangerous" that is not its own. This one uses rustls's own to decide.
        let config: ClientConfig =
            builder(provider).dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        Ok(self.tls(Arc::new(config)))
    }
}

/// Trusts certificates that lead to one of these, and these themselves.
#[derive(Debug)]
struct Given {
    webpki: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Given {
    fn new(
        certificates: Vec<CertificateDer<'static>>,
        roots: RootCertStore,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let roots = with(roots, &certificates)?;
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
        Ok(Self { webpki: webpki.map_err(|error| Error::General(error.to_string()))?, certificates })
    }
}

/// Roots, and these certificates as roots too.
fn with(mut roots: RootCertStore, certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, Error> {
    for (index, certificate) in certificates.iter().enumerate() {
        roots.add(certificate.clone()).map_err(|error| {
            Error::General(format!(
                "the certificate at index {index} of those to trust cannot be read ({error}); it must be DER (RFC 5280 section \
                 4.1), which CertificateDer::from_pem_file makes of a PEM file"
            ))
        })?;
    }
    Ok(roots)
}

impl ServerCertVerifier for Given {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verify =
            |intermediates| self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let judged = verify(intermediates);
        if judged.is_ok() || !self.certificates.iter().any(|given| given == end_entity) {
            return judged;
        }
        // It was given, byte for byte, so its issuer does not matter. Everything else does: webpki checks the times of
        // a certificate before its issuer, so if the issuer is the fault, the times were right. The name is checked
        // last, so it is checked here.
        match verify(&[]) {
            Err(Error::InvalidCertificate(error)) if is_about_issuer(&error) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::pki_types::pem::PemObject;

    use super::*;

    const AUTHORITY: &[u8] =
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/interop/tls/authority.pem"));

    #[test]
    fn certificates_are_added_to_mozillas_roots_or_take_their_place() {
        let authority = CertificateDer::from_pem_slice(AUTHORITY).unwrap();
        let count = |roots| with(roots, std::slice::from_ref(&authority)).unwrap().len();
        assert_eq!(count(RootCertStore::empty()), 1);
        assert_eq!(count(mozilla()), webpki_roots::TLS_SERVER_ROOTS.len() + 1);
    }

    #[test]
    fn what_cannot_be_trusted_is_refused_with_what_to_do() {
        let authority = CertificateDer::from_pem_slice(AUTHORITY).unwrap();
        let refusal = Client::new().trust([]).unwrap_err().to_string();
        assert!(refusal.contains("no certificate to trust was given; CertificateDer::from_pem_file"), "{refusal}");
        let given = [authority, CertificateDer::from(b"-----BEGIN CERTIFICATE-----".to_vec())];
        for refused in [Client::new().trust(given.clone()), Client::new().trust_also(given)] {
            let refusal = refused.unwrap_err().to_string();
            assert!(refusal.contains("index 1 of those to trust") && refusal.contains("must be DER"), "{refusal}");
        }
    }
}
