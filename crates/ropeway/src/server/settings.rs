//! The settings of a server, as its builder leaves them.

use std::sync::Arc;
use std::time::Duration;

use ropeway_proto::Config;
use ropeway_proto::handshake::{Limits, ServerOptions};

use crate::overflow::Overflow;

/// The settings of a server.
pub(super) struct Settings {
    /// Path of the default route; `None` for every path.
    pub(super) path: Option<String>,
    pub(super) options: ServerOptions,
    pub(super) config: Arc<Config>,
    pub(super) overflow: Overflow,
    pub(super) limits: Limits,
    pub(super) handshake_timeout: Duration,
    pub(super) max_connections: usize,
    pub(super) max_handshakes: usize,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Arc<tokio_rustls::rustls::ServerConfig>>,
}
