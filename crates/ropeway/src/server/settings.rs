//! The settings of a server, as its builder leaves them, and those of a route, which has the server's where it sets none of its own.

#[cfg(feature = "tls")]
use std::sync::Arc;
use std::time::Duration;

use ropeway_proto::handshake::{Limits, ServerOptions};

use crate::settings::ConnectionSettings;

/// The settings of a server.
pub(super) struct Settings {
    /// Path of the default route; `None` for every path.
    pub(super) path: Option<String>,
    pub(super) route: RouteSettings,
    pub(super) limits: Limits,
    pub(super) handshake_timeout: Duration,
    pub(super) max_connections: usize,
    pub(super) max_handshakes: usize,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Arc<tokio_rustls::rustls::ServerConfig>>,
}

/// The settings that each route may have for itself.
#[derive(Clone, Debug)]
pub(super) struct RouteSettings {
    /// What a request is judged by. Compression is in `connection`.
    pub(super) options: ServerOptions,
    pub(super) connection: ConnectionSettings,
}

/// The setters of what a request is judged by, for a type with a method `options(&mut self) -> &mut ServerOptions`: a server and a
/// route alike.
macro_rules! request_setters {
    () => {
        /// The subprotocols that are spoken. Of those a client offers, the first that is among them is taken.
        ///
        /// Without any, none is agreed on (RFC 6455 section 4.2.2), and a browser whose page offers some fails the connection:
        /// the first time that happens it is logged. npm `ws` takes the first that is offered; so does
        /// [`any_subprotocol`](Self::any_subprotocol).
        pub fn subprotocols<S: Into<String>>(mut self, subprotocols: impl IntoIterator<Item = S>) -> Self {
            self.options().subprotocols = subprotocols.into_iter().map(Into::into).collect();
            self
        }

        /// Whether the first subprotocol that a client offers is taken if none of [`subprotocols`](Self::subprotocols) is
        /// offered, as in npm `ws`. Off by default: the server would agree to speak something that it may never have heard of.
        /// What is agreed on is the client's text: look at [`Handshake::subprotocol`](crate::Handshake) before you act on it.
        pub fn any_subprotocol(mut self, on: bool) -> Self {
            self.options().any_subprotocol = on;
            self
        }

        /// Web pages of these origins, such as `https://example.com`, may connect; no others. By default only pages of the
        /// server's own origin may: a page that the user happens to visit could speak for the user otherwise.
        pub fn allow_origins<S: Into<String>>(mut self, origins: impl IntoIterator<Item = S>) -> Self {
            let origins = origins.into_iter().map(Into::into).collect();
            self.options().origins = ropeway_proto::handshake::OriginPolicy::List(origins);
            self
        }

        /// Web pages may connect whose origin passes this check, such as `|origin| origin.is_within("example.com")`; no others. It
        /// must not block. To decide by more than the origin, or to wait, use
        /// [`allow_any_origin`](Self::allow_any_origin) and [`Route::authorize`](crate::Route::authorize).
        pub fn allow_origin_if(
            mut self,
            check: impl Fn(&ropeway_proto::handshake::Origin<'_>) -> bool + Send + Sync + 'static,
        ) -> Self {
            self.options().origins = ropeway_proto::handshake::OriginPolicy::check_with(check);
            self
        }

        /// Every web page may connect. Right only where nothing is decided by cookies or by where a request comes from.
        pub fn allow_any_origin(mut self) -> Self {
            self.options().origins = ropeway_proto::handshake::OriginPolicy::Any;
            self
        }
    };
}

pub(super) use request_setters;
