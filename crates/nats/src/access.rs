//! The ways to prove to the broker that we may connect, and how the broker's certificate is judged.

use std::sync::Arc;

use async_nats::ConnectOptions;
use async_nats::rustls::crypto::ring;
use async_nats::rustls::pki_types::CertificateDer;
use async_nats::rustls::{ClientConfig, RootCertStore};
use ropeway::engine::{EngineError, EngineFault};

/// Credentials.
#[derive(Clone)]
pub(crate) enum Credentials {
    None,
    Password { user: String, password: String },
    Token(String),
    Nkey(String),
    File(String),
}

impl Credentials {
    /// Sets them.
    pub(crate) fn set(&self, options: ConnectOptions) -> Result<ConnectOptions, EngineError> {
        Ok(match self.clone() {
            Self::None => options,
            Self::Password { user, password } => options.user_and_password(user, password),
            Self::Token(token) => options.token(token),
            Self::Nkey(seed) => options.nkey(seed),
            Self::File(text) => options.credentials(&text).map_err(|error| {
                let text = "the credentials cannot be read; give the text of a .creds file as `nsc` writes it";
                EngineError::new(EngineFault::Settings, text).with_source(error)
            })?,
        })
    }
}

/// Settings for TLS with these roots, or with those that browsers trust.
pub(crate) fn tls(trusted: Option<&[CertificateDer<'static>]>) -> Result<ClientConfig, EngineError> {
    let roots = match trusted {
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        Some(certificates) => given(certificates)?,
    };
    // The provider is named, since the process may have no default, or two.
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions");
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn given(certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, EngineError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).map_err(|error| {
            let text = "a certificate to trust cannot be read; read it with CertificateDer::from_pem_file";
            EngineError::new(EngineFault::Settings, text).with_source(error)
        })?;
    }
    if roots.is_empty() {
        let text =
            "no certificate to trust was given; give at least one, or leave the setting out to trust Mozilla's roots";
        return Err(EngineError::new(EngineFault::Settings, text));
    }
    Ok(roots)
}
