//! The settings for making a server.

use std::fmt;
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::time::Duration;

use ropeway_proto::handshake::{Cidr, ForwardedHeader, Limits, ServerOptions};

use super::routes::Routes;
use super::settings::{RouteSettings, Settings, request_setters};
use crate::settings::{ConnectionSettings, connection_setters};

/// The longest that an opening handshake may take, which is longer than a server runs: the clock has to reach its end.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// The settings for making a server. All have safe defaults. Options that npm `ws` has too have the same names here.
///
/// ```
/// # use std::time::Duration;
/// use ropeway::{Overflow, Server};
///
/// let server = Server::builder()
///     .path("/ws")
///     .subprotocols(["chat.v2", "chat.v1"])
///     .max_payload(64 * 1024)
///     .overflow(Overflow::Close)
///     .trusted_proxies(["127.0.0.1".parse()?])
///     .build();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ServerBuilder {
    pub(super) settings: Settings,
}

impl Default for ServerBuilder {
    fn default() -> Self {
        let settings = Settings {
            path: None,
            route: RouteSettings { options: ServerOptions::default(), connection: ConnectionSettings::server() },
            limits: Limits::server(),
            handshake_timeout: Duration::from_secs(10),
            max_connections: usize::MAX,
            max_handshakes: 1024,
            #[cfg(feature = "tls")]
            tls: None,
        };
        Self { settings }
    }
}

/// Settings of the server.
impl ServerBuilder {
    /// The only path at which the default route serves WebSockets. It may have parameters: see
    /// [`Server::at`](crate::Server::at). Without this setting the default route serves every path that has no route of
    /// its own.
    ///
    /// # Panics
    ///
    /// If the path is not valid: see [`Server::at`](crate::Server::at).
    pub fn path(mut self, path: impl Into<String>) -> Self {
        let path = path.into();
        if let Err(error) = Routes::default().add(&path) {
            panic!("{error}");
        }
        self.settings.path = Some(path);
        self
    }

    /// The time limit for the opening handshake on the server's own port, TLS included. 10 s by default.
    ///
    /// On the port of hyper or axum, which have limits of their own for the request, it limits the decision of
    /// [`authorize`](crate::Route::authorize), and then the time until the 101 is sent.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.settings.handshake_timeout = timeout.min(LONGEST);
        self
    }

    /// Limits for the head of a request on the server's own port: 16 KiB and 100 headers by default.
    pub fn head_limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// The most connections at a time. Further ones are refused with 503. By default only the system sets a limit.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.settings.max_connections = connections;
        self
    }

    /// The most opening handshakes at a time, over all listeners that the server serves. 1024 by default. If all places
    /// are taken, the oldest client that has sent nothing is dropped for the newest. If all have sent something,
    /// further clients wait in the system's queue.
    pub fn max_handshakes(mut self, handshakes: usize) -> Self {
        self.settings.max_handshakes = handshakes.max(1);
        self
    }

    /// Proxies in front of the server, by address or network, such as `10.0.0.0/8`. They are believed about the
    /// client's address ([`Handshake::client_ip`](crate::Handshake::client_ip)), and about the host and scheme that the
    /// origin check compares with.
    ///
    /// A proxy names the client's address in `X-Forwarded-For`, or in the header that
    /// [`forwarded_header`](Self::forwarded_header) chooses. The server reads this list from its end. The first address
    /// that is not a trusted proxy's is the client. So each proxy must add to the list (nginx:
    /// `$proxy_add_x_forwarded_for`, `HAProxy`: `option forwardfor`) or replace it (nginx: `$remote_addr`). **If a
    /// proxy does neither, each client behind it can choose its address**, and no request shows that.
    ///
    /// `X-Forwarded-Host` and `X-Forwarded-Proto` may be missing: then `Host` counts, and any scheme. If
    /// `X-Forwarded-Proto` is there, it must be the scheme that browsers use, even if another proxy does the TLS.
    ///
    /// **On the port of axum or hyper, the peer's address must be among the request's extensions**, over plain TCP too:
    /// serve an axum app with `into_make_service_with_connect_info::<SocketAddr>()`. Otherwise the address is not known
    /// while a request is judged, the proxy is not believed, and browsers may get 403.
    pub fn trusted_proxies(mut self, proxies: impl IntoIterator<Item = Cidr>) -> Self {
        self.settings.route.options.proxies.trusted = proxies.into_iter().collect();
        self
    }

    /// The header in which trusted proxies name their clients: `X-Forwarded-For` by default. The other one is ignored,
    /// since a proxy that does not write it passes on the client's own.
    pub fn forwarded_header(mut self, header: ForwardedHeader) -> Self {
        self.settings.route.options.proxies.header = header;
        self
    }

    /// Whether peers without an address are trusted proxies too. Set this only if proxies alone can reach the server's
    /// Unix socket, and if all streams that [`Server::serve_stream`](crate::Server::serve_stream) gets without an
    /// address come from a proxy. Off by default.
    ///
    /// **Not for a server that clients reach by TCP through axum or hyper.** If their addresses are not among the
    /// requests' extensions, as in an axum app that is served without `into_make_service_with_connect_info`, every TCP
    /// client counts as a trusted proxy while it is judged. It can then choose its address, and the host and scheme
    /// that the origin check compares with.
    pub fn trust_peers_without_address(mut self, on: bool) -> Self {
        self.settings.route.options.proxies.unaddressed = on;
        self
    }

    /// Uses TLS on the server's own port.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: Arc<tokio_rustls::rustls::ServerConfig>) -> Self {
        self.settings.tls = Some(config);
        self
    }
}

/// Settings for each request and connection. A [`Route`](crate::Route) may have others.
impl ServerBuilder {
    request_setters!();
    connection_setters!();

    fn options(&mut self) -> &mut ServerOptions {
        &mut self.settings.route.options
    }

    fn change(mut self, change: impl FnOnce(&mut ConnectionSettings)) -> Self {
        change(&mut self.settings.route.connection);
        self
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("connection", &self.settings.route.connection).finish_non_exhaustive()
    }
}
