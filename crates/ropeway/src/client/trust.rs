//! A client's trust in given certificates: as authorities, and as certificates of servers.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::settings::Client;
use super::tls::builder;
use crate::error::certificate::is_about_issuer;

/// Settings.
impl Client {
    /// Trusts these certificates for `wss://`, instead of Mozilla's roots and of [`tls`](Client::tls).
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
        let certificates: Vec<_> = certificates.into_iter().collect();
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(Given::new(certificates, &provider)?);
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
    fn new(certificates: Vec<CertificateDer<'static>>, provider: &Arc<CryptoProvider>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone())?;
        }
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
        Ok(Self { webpki: webpki.map_err(|error| Error::General(error.to_string()))?, certificates })
    }
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
