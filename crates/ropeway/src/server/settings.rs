//! The settings of a server, as its builder leaves them, and those of a route. A route starts with the server's
//! settings.

use std::sync::Arc;
use std::time::Duration;

use ropeway_proto::handshake::{Limits, ServerOptions};

use crate::settings::ConnectionSettings;

/// The settings of a server.
pub(super) struct Settings {
    /// The path of the default route; `None` for every path.
    pub(super) path: Option<String>,
    pub(super) route: RouteSettings,
    pub(super) limits: Limits,
    pub(super) handshake_timeout: Duration,
    pub(super) max_connections: usize,
    pub(super) max_handshakes: usize,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Arc<tokio_rustls::rustls::ServerConfig>>,
}

/// The settings that each route may change for itself.
#[derive(Clone, Debug)]
pub(super) struct RouteSettings {
    /// The options that a request is judged by. Their `deflate` is not used: [`judged_by`](Self::judged_by) replaces it
    /// with that of `connection`.
    pub(super) options: ServerOptions,
    pub(super) connection: ConnectionSettings,
}

impl RouteSettings {
    /// Returns the options that a request is judged by, with the compression of `connection`.
    pub(super) fn judged_by(&self) -> Arc<ServerOptions> {
        let mut options = self.options.clone();
        options.deflate.clone_from(&self.connection.deflate);
        Arc::new(options)
    }
}

/// The setters of the options that a request is judged by, for types with a method `options(&mut self) -> &mut
/// ServerOptions`: servers and routes.
macro_rules! request_setters {
    () => {
        /// The subprotocols that the server speaks. The first in a client's list that is also in this one is agreed on.
        ///
        /// If no subprotocol is in both, none is agreed on (RFC 6455 section 4.2.2). If a page has offered some, its
        /// browser then fails the connection. The first time this happens it is logged. npm `ws` agrees on the first
        /// that is offered; [`any_subprotocol`](Self::any_subprotocol) does the same.
        pub fn subprotocols<S: Into<String>>(mut self, subprotocols: impl IntoIterator<Item = S>) -> Self {
            self.options().subprotocols = subprotocols.into_iter().map(Into::into).collect();
            self
        }

        /// Whether to agree on the first subprotocol that a client offers, if none of
        /// [`subprotocols`](Self::subprotocols) is offered, as npm `ws` does. Off by default: the server would agree to
        /// a protocol that it may not know. The agreed text is the client's: check
        /// [`Handshake::subprotocol`](crate::Handshake) before you act on it.
        pub fn any_subprotocol(mut self, on: bool) -> Self {
            self.options().any_subprotocol = on;
            self
        }

        /// Lets web pages of these origins connect, such as `https://example.com`, and no others. By default only pages
        /// of the server's own origin may connect: otherwise any page that a user visits could act as that user.
        pub fn allow_origins<S: Into<String>>(mut self, origins: impl IntoIterator<Item = S>) -> Self {
            let origins = origins.into_iter().map(Into::into).collect();
            self.options().origins = ropeway_proto::handshake::OriginPolicy::List(origins);
            self
        }

        /// Lets web pages connect whose origin passes this check, such as `|origin| origin.is_within("example.com")`,
        /// and no others. The check must not block. If it panics, the client is refused with 500. To decide by more
        /// than the origin, or to wait, use [`allow_any_origin`](Self::allow_any_origin) and
        /// [`Route::authorize`](crate::Route::authorize).
        pub fn allow_origin_if(
            mut self,
            check: impl Fn(&ropeway_proto::handshake::Origin<'_>) -> bool + Send + Sync + 'static,
        ) -> Self {
            self.options().origins = ropeway_proto::handshake::OriginPolicy::check_with(check);
            self
        }

        /// Lets every web page connect. This is right only if the server decides nothing by cookies, or by the address
        /// of the client.
        pub fn allow_any_origin(mut self) -> Self {
            self.options().origins = ropeway_proto::handshake::OriginPolicy::Any;
            self
        }
    };
}

pub(super) use request_setters;
