//! The server: its settings, its routes, and its connections. Requests reach it through [`port`] (a port of its own) or
//! through `attach` (another HTTP server's).

mod accept;
#[cfg(feature = "hyper")]
pub(crate) mod attach;
#[cfg(feature = "hyper")]
pub(crate) mod body;
mod builder;
mod cut_short;
mod exchange;
#[cfg(feature = "axum")]
pub(crate) mod extractor;
mod gate;
mod handshakes;
#[cfg(feature = "hyper")]
pub(crate) mod layer;
mod listener;
#[cfg(unix)]
mod newcomer;
#[cfg(feature = "axum")]
mod one_off;
mod port;
mod route;
mod routes;
mod runtimes;
mod settings;
mod shutdown;

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::{fmt, io};

use http::{Request, Response};
use ropeway_proto::Bytes;
#[cfg(doc)]
use ropeway_proto::handshake::Destination;
use ropeway_proto::handshake::Refusal;
use tokio::net::{TcpListener, ToSocketAddrs};

use crate::connection::{Clients, Handler};
use crate::handle::Handle;
use crate::handshake::{Handshake, UpgradeRequest};
use crate::io::Transport;
use crate::listen::Listeners;
use crate::pull::WebSocket;
pub use accept::Accept;
pub use builder::ServerBuilder;
use gate::{Gate, write};
use handshakes::Handshakes;
#[cfg(feature = "axum")]
use one_off::OneOff;
pub use route::Route;
pub use routes::RouteError;
use routes::{Routes, Spot};
pub use shutdown::{Remaining, Shutdown};

/// A WebSocket server. A clone is another handle to the same server.
///
/// With a port of its own:
///
/// ```no_run
/// # async fn run() -> std::io::Result<()> {
/// let server = ropeway::Server::bind("127.0.0.1:8005").await?;
/// server.on_connection(|ws, handshake| {
///     if let Some(ip) = handshake.client_ip() {
///         println!("client {ip}");
///     }
///     ws.on_message(|ws, message| {
///         ws.send(message).ok();
///     });
/// });
/// server.run().await
/// # }
/// ```
///
/// To share the port of another HTTP server, make one with [`Server::builder`]. Then call `layer`, `answer` or
/// `upgrade` (features `hyper` and `axum`).
#[derive(Clone)]
pub struct Server {
    gate: Arc<Gate>,
    port: Arc<OwnPort>,
}

/// The server's own port, if it has one.
struct OwnPort {
    /// The listener of the server's own port, until [`Server::run`] takes it.
    listener: Mutex<Option<TcpListener>>,
    local_addr: Option<SocketAddr>,
}

impl Server {
    /// A server with a port of its own and the default settings.
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        Self::builder().bind(addr).await
    }

    /// Returns the settings for making a server.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The address of the server's own port. If it was bound to port 0, this has the port that the system chose. Fails
    /// if the server has no port of its own.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.port.local_addr.ok_or_else(|| {
            let why =
                "this server has no port of its own; make it with `Server::bind`, or ask the listener that you serve";
            io::Error::new(io::ErrorKind::NotConnected, why)
        })
    }

    /// Adds a path to serve besides the default route. Give the result a handler, such as with
    /// [`on_connection`](Route::on_connection).
    ///
    /// A part of the path may be a parameter, which matches any text without a slash: `/rooms/{room}`, or
    /// `/user-{name}` after fixed text. At the end, `{*rest}` matches all that is left, with slashes, but at least one
    /// character. A handler gets the values from [`Handshake::param`]. `{{` and `}}` are literal braces.
    ///
    /// If several paths match a request, the one with more fixed text is used: `/rooms/lobby` before `/rooms/{room}`
    /// before `/{*rest}`. If none matches, the default route is used if it serves every path; otherwise the client is
    /// refused with 404. Paths are compared as they are sent: with case, percent-encoding and the slash at the end,
    /// without the query.
    ///
    /// # Panics
    ///
    /// If the path is not valid, or cannot be told from an earlier one, such as `/rooms/{room}` and `/rooms/{name}`.
    /// For paths that are not written in the program, use [`try_at`](Server::try_at).
    pub fn at(&self, path: impl AsRef<str>) -> Route<'_> {
        self.try_at(path).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same, but returns an error instead of panicking.
    pub fn try_at(&self, path: impl AsRef<str>) -> Result<Route<'_>, RouteError> {
        let spot = write(&self.gate.routes).add(path.as_ref())?;
        Ok(Route::new(&self.gate, spot))
    }

    /// Lets `decide` accept or refuse each client of the default route: see [`Route::authorize`]. Give the handler to
    /// the route that this returns. Routes from [`at`](Server::at) are not affected.
    pub fn authorize<T, F, Fut>(&self, decide: F) -> Route<'_, T>
    where
        T: Send + 'static,
        F: Fn(UpgradeRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Accept<T>, Refusal>> + Send + 'static,
    {
        self.default_route().authorize(decide)
    }

    /// Calls `listen` with each connection of the default route, to put listeners on it.
    pub fn on_connection(&self, listen: impl Fn(&mut Listeners, Handshake) + Send + Sync + 'static) {
        self.default_route().on_connection(listen);
    }

    /// Spawns `serve` as a task for each connection of the default route, with the pull API. A
    /// [shutdown](Server::shutdown) waits for the end of these tasks.
    pub fn spawn_each<F, Fut>(&self, serve: F)
    where
        F: Fn(WebSocket, Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.default_route().spawn_each(serve);
    }

    /// Lets `handler` handle the connections of the default route.
    pub fn handle_with(&self, handler: impl Handler) {
        self.default_route().handle_with(handler);
    }

    /// Answers requests that do not ask for a WebSocket. Without this they get 426, Upgrade Required. The connection is
    /// closed after each answer.
    pub fn on_http(&self, answer: impl Fn(&Request<()>) -> Response<Bytes> + Send + Sync + 'static) {
        let old = write(&self.gate.http).replace(Arc::new(answer));
        // It owns values of the application's, so it is dropped after the lock is released.
        drop(old);
    }

    /// Handles to all open connections.
    pub fn clients(&self) -> Vec<Handle> {
        self.gate.clients.handles()
    }

    /// Serves the port that the server was bound to, and returns when a [shutdown](Server::shutdown) is done. So the
    /// runtime that drives the connections lives until they are closed.
    ///
    /// Fails if the server was not bound, or is running already. If this is dropped early, the port is freed and the
    /// connections stay open.
    pub async fn run(&self) -> io::Result<()> {
        let listener = self.port.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        let listener = listener.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotConnected,
                "this server has no port to serve, or serves it already; make it with `Server::bind`, or give `serve` a listener",
            )
        })?;
        self.serve(listener).await;
        Ok(())
    }

    /// Serves a listener, and returns when a [shutdown](Server::shutdown) is done. The port is freed when the shutdown
    /// begins.
    ///
    /// Several listeners can be served at once. One runtime for each thread, each with a clone of the same listener,
    /// scales best. All clients are spread evenly over the runtimes that serve, whichever of them accepts.
    pub async fn serve(&self, listener: TcpListener) {
        port::serve(&self.gate, listener).await;
    }

    /// Serves one connection that was accepted elsewhere, from its first byte on.
    pub async fn serve_stream(&self, stream: impl Into<Transport>, remote_addr: Option<SocketAddr>) {
        port::serve_stream(&self.gate, stream.into(), remote_addr).await;
    }

    /// Stops the server: it accepts no more clients, closes its connections, and waits for them and for their pull
    /// handlers. [`Shutdown`] has the settings, and says what happens to those that are left after its timeout.
    ///
    /// ```no_run
    /// # async fn stop(server: ropeway::Server) {
    /// use std::time::Duration;
    ///
    /// server.shutdown().await;
    /// // Or, for a restart, so that 50,000 clients do not come back in one second:
    /// let second = Duration::from_secs(1);
    /// server.shutdown().code(1012, "restart").spread(20 * second).timeout(5 * second).await;
    /// # }
    /// ```
    pub fn shutdown(&self) -> Shutdown {
        Shutdown::new(Arc::clone(&self.gate.clients))
    }

    /// Waits for a signal, then shuts down with the default settings. It is the same as `shutdown().on(signal)`, see
    /// [`Shutdown::on`].
    ///
    /// It can be passed to axum's graceful shutdown: axum ends when all connections here are closed.
    ///
    /// ```no_run
    /// # #[cfg(feature = "axum")]
    /// # async fn run(app: axum::Router, server: ropeway::Server, listener: tokio::net::TcpListener) -> std::io::Result<()> {
    /// let ctrl_c = tokio::signal::ctrl_c();
    /// axum::serve(listener, app).with_graceful_shutdown(server.shutdown_on(ctrl_c)).await
    /// # }
    /// ```
    pub fn shutdown_on<F: Future>(&self, signal: F) -> impl Future<Output = ()> + use<F> {
        self.shutdown().on(signal)
    }

    fn default_route(&self) -> Route<'_> {
        Route::new(&self.gate, self.gate.default_spot)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("local_addr", &self.port.local_addr).finish_non_exhaustive()
    }
}

/// Making the server.
impl ServerBuilder {
    /// Makes a server without a port of its own. It shares that of another HTTP server, or serves listeners that it is
    /// given.
    pub fn build(self) -> Server {
        self.build_with(None)
    }

    /// Makes a server with a port of its own. [`Server::run`] serves it.
    pub async fn bind(self, addr: impl ToSocketAddrs) -> io::Result<Server> {
        Ok(self.build_with(Some(TcpListener::bind(addr).await?)))
    }

    fn build_with(self, listener: Option<TcpListener>) -> Server {
        let settings = self.settings;
        let max_handshakes = settings.max_handshakes;
        let mut routes = Routes::default();
        // The builder has checked that the path is valid.
        let default_spot = settings.path.as_ref().and_then(|path| routes.add(path).ok()).unwrap_or(Spot::Everywhere);
        let clients = Arc::new(Clients::default());
        #[cfg(feature = "axum")]
        let one_off = OneOff::new(&settings.route, &clients);
        Server {
            gate: Arc::new(Gate {
                settings,
                routes: RwLock::new(routes),
                default_spot,
                http: RwLock::new(None),
                clients,
                runtimes: Arc::default(),
                handshakes: Arc::new(Handshakes::new(max_handshakes)),
                #[cfg(feature = "axum")]
                one_off,
                told_of_subprotocols: AtomicBool::new(false),
            }),
            port: Arc::new(OwnPort {
                local_addr: listener.as_ref().and_then(|listener| listener.local_addr().ok()),
                listener: Mutex::new(listener),
            }),
        }
    }
}
