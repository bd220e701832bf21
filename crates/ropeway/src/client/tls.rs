//! TLS for clients, by rustls with the roots of Mozilla's list.

use std::io;
use std::sync::{Arc, OnceLock};

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

use crate::error::Error;
use crate::io::Transport;

/// Does the TLS handshake with `host` over a stream.
pub(super) async fn connect(
    stream: Transport,
    host: &str,
    config: Option<Arc<ClientConfig>>,
) -> Result<Transport, Error> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| Error::Tls(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let config = config.unwrap_or_else(default_config);
    let tls = TlsConnector::from(config).connect(name, stream).await.map_err(Error::Tls)?;
    Ok(Transport::other(tls))
}

/// Trusts what browsers trust. Made once: it holds some hundred certificates.
fn default_config() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    Arc::clone(CONFIG.get_or_init(|| {
        let provider = Arc::new(ring::default_provider());
        Arc::new(builder(provider).with_root_certificates(mozilla()).with_no_client_auth())
    }))
}

/// The roots that browsers trust, as Mozilla lists them.
pub(super) fn mozilla() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// The provider is named rather than left to the process's default, of which there is none or, with two in the tree, a panic.
pub(super) fn builder(provider: Arc<CryptoProvider>) -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
}
