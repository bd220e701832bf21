//! The settings of a server, as its builder leaves them.

#[cfg(feature = "tls")]
use std::sync::Arc;
use std::time::Duration;

use ropeway_proto::handshake::{Limits, ServerOptions};

use crate::settings::ConnectionSettings;

/// The settings of a server.
pub(super) struct Settings {
    /// Path of the default route; `None` for every path.
    pub(super) path: Option<String>,
    /// Compression is in `connection`.
    pub(super) options: ServerOptions,
    /// For the connections of every path that says nothing else.
    pub(super) connection: ConnectionSettings,
    pub(super) limits: Limits,
    pub(super) handshake_timeout: Duration,
    pub(super) max_connections: usize,
    pub(super) max_handshakes: usize,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Arc<tokio_rustls::rustls::ServerConfig>>,
}
