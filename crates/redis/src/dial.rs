//! Streams to servers: TCP, and TLS over it.

use std::io;
use std::time::Duration;

use ropeway::engine::{EngineError, EngineFault};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::address::Address;

/// A stream of any kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How servers are trusted.
#[derive(Clone, Debug, Default)]
pub(crate) enum Trust {
    /// By Mozilla's roots.
    #[default]
    Mozilla,
    /// By these authorities alone.
    #[cfg(feature = "tls")]
    Only(Vec<ropeway::rustls::pki_types::CertificateDer<'static>>),
    /// As a configuration says.
    #[cfg(feature = "tls")]
    Custom(std::sync::Arc<ropeway::rustls::ClientConfig>),
}

/// Connects within some time.
pub(crate) async fn dial(address: &Address, trust: &Trust, limit: Duration) -> Result<Box<dyn Stream>, EngineError> {
    let connecting = async {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    let stream = match timeout(limit, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(unreachable(address, &error)),
        Err(_) => {
            let text =
                format!("nothing at {address} answered within {limit:?}; check the address, and firewalls on the way");
            return Err(EngineError::new(EngineFault::Unreachable, text));
        }
    };
    if !address.is_tls {
        return Ok(Box::new(stream));
    }
    secure(stream, address, trust, limit).await
}

fn unreachable(address: &Address, error: &io::Error) -> EngineError {
    let text = format!("{address} cannot be reached ({error}); check that Redis runs there, and the address");
    EngineError::new(EngineFault::Unreachable, text).with_source(io::Error::from(error.kind()))
}

#[cfg(not(feature = "tls"))]
fn secure(
    _: TcpStream,
    address: &Address,
    _: &Trust,
    _: Duration,
) -> std::future::Ready<Result<Box<dyn Stream>, EngineError>> {
    let text = format!("{address} asks for TLS, which this build has not; turn on the feature `tls` of ropeway-redis");
    std::future::ready(Err(EngineError::new(EngineFault::Settings, text)))
}

#[cfg(feature = "tls")]
async fn secure(
    stream: TcpStream,
    address: &Address,
    trust: &Trust,
    limit: Duration,
) -> Result<Box<dyn Stream>, EngineError> {
    use ropeway::rustls::pki_types::ServerName;
    use tokio_rustls::TlsConnector;

    let settings = |text: String| EngineError::new(EngineFault::Settings, text);
    let name = ServerName::try_from(address.host.clone())
        .map_err(|_| settings(format!("{address} has a host that no certificate can name; use another")))?;
    let connector = TlsConnector::from(config(trust).map_err(settings)?);
    match timeout(limit, connector.connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) => {
            let text = format!(
                "TLS with {address} failed ({error}); if the certificate is of an authority of your own, give its \
                 certificate to `trust`; if the port has no TLS, use redis://"
            );
            Err(EngineError::new(EngineFault::Access, text).with_source(error))
        }
        Err(_) => {
            let text = format!(
                "{address} did not finish the TLS handshake within {limit:?}; if the port has no TLS, use redis://"
            );
            Err(EngineError::new(EngineFault::Access, text))
        }
    }
}

#[cfg(feature = "tls")]
fn config(trust: &Trust) -> Result<std::sync::Arc<ropeway::rustls::ClientConfig>, String> {
    use std::sync::Arc;

    use ropeway::rustls::crypto::ring;
    use ropeway::rustls::{ClientConfig, RootCertStore};

    let mut roots = RootCertStore::empty();
    match trust {
        Trust::Custom(config) => return Ok(Arc::clone(config)),
        Trust::Mozilla => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Trust::Only(certificates) => {
            for certificate in certificates {
                let added = roots.add(certificate.clone());
                added.map_err(|error| format!("a certificate given to `trust` cannot be used ({error})"))?;
            }
            if roots.is_empty() {
                return Err("`trust` was given no certificate, so no server could be trusted".to_owned());
            }
        }
    }
    // The provider is named explicitly: the process's default may not exist, or be ambiguous.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
