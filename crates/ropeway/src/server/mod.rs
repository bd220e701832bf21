//! The server: its settings, its routes, and the connections it has. How requests reach it is told in [`port`] (a port of its
//! own) and in `attach` (another HTTP server's).

mod accept;
#[cfg(feature = "hyper")]
pub(crate) mod attach;
mod builder;
mod cut_short;
mod exchange;
mod gate;
mod handshakes;
mod listener;
#[cfg(unix)]
mod newcomer;
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
use gate::{Gate, replace, write};
use handshakes::Handshakes;
pub use route::Route;
pub use routes::RouteError;
use routes::{Routes, Spot};
pub use shutdown::{Remaining, Shutdown};

/// A WebSocket server. Cloning it gives another handle to the same server.
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
/// On the port of another HTTP server: [`Server::builder`], then `layer` or `upgrade` (features `hyper` and `axum`).
#[derive(Clone)]
pub struct Server {
    gate: Arc<Gate>,
    port: Arc<OwnPort>,
}

/// The port of its own, if it has one.
struct OwnPort {
    /// Its listener, until [`Server::run`] takes it.
    listener: Mutex<Option<TcpListener>>,
    local_addr: Option<SocketAddr>,
}

impl Server {
    /// A server with a port of its own and the default settings.
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        Self::builder().bind(addr).await
    }

    /// The settings of a server to be.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The address of its own port, if it has one.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.port.local_addr
    }

    /// A path to serve besides the default one, to be given what happens there.
    ///
    /// Part of it may be a parameter, which stands for anything but a slash: `/rooms/{room}`, or `/user-{name}` behind fixed text. At
    /// the end `{*rest}` stands for all that is left, slashes included, and for something at least. A handler asks for their values
    /// with [`Handshake::param`]. `{{` and `}}` are braces.
    ///
    /// Of the paths that fit a request the one with more fixed text counts: `/rooms/lobby` before `/rooms/{room}` before `/{*rest}`.
    /// If none fits, the default route counts where it serves every path, and otherwise the client is refused with 404. Paths are
    /// compared as they are sent, in the same case, percent-encoded and with their slash at the end; the query does not count.
    ///
    /// # Panics
    ///
    /// If the path is not valid, or if nothing tells it from one that was asked for before, as `/rooms/{room}` and `/rooms/{name}`.
    /// Use [`try_at`](Server::try_at) for paths that are no part of the program.
    pub fn at(&self, path: impl AsRef<str>) -> Route<'_> {
        self.try_at(path).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same, with an error where [`at`](Server::at) panics.
    pub fn try_at(&self, path: impl AsRef<str>) -> Result<Route<'_>, RouteError> {
        let spot = write(&self.gate.routes).add(path.as_ref())?;
        Ok(Route::new(&self.gate, spot))
    }

    /// Decides about each client of the default route: see [`Route::authorize`]. The handler is to be given to what is returned. Routes
    /// that [`at`](Server::at) makes have their own.
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

    /// Spawns `serve` as a task for each connection of the default route, to ask its [`WebSocket`] for messages. A [shutdown](Server::shutdown)
    /// waits for its end.
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

    /// Answers requests that do not ask for a WebSocket. Without it they get 426, Upgrade Required. The connection is closed
    /// after each answer.
    pub fn on_http(&self, answer: impl Fn(&Request<()>) -> Response<Bytes> + Send + Sync + 'static) {
        replace(&self.gate.http, Some(Arc::new(answer)));
    }

    /// Handles to all connections that are open.
    pub fn clients(&self) -> Vec<Handle> {
        self.gate.clients.handles()
    }

    /// Serves the port that it was bound to, and returns when a [shutdown](Server::shutdown) is done. So the runtime that carries the
    /// connections lives until they are closed.
    ///
    /// Fails if it was not bound, or runs already. Dropped before that, it frees the port and leaves the connections open.
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

    /// Serves a listener, and returns when a [shutdown](Server::shutdown) is done; the port is freed when that begins.
    ///
    /// Several can be served at once: one runtime a thread, each with a clone of the same listener, is what scales best. The
    /// runtimes that serve share all clients evenly, whichever of them accepts.
    pub async fn serve(&self, listener: TcpListener) {
        port::serve(&self.gate, listener).await;
    }

    /// Serves one connection that was accepted elsewhere, from its first byte on.
    pub async fn serve_stream(&self, stream: impl Into<Transport>, remote_addr: Option<SocketAddr>) {
        port::serve_stream(&self.gate, stream.into(), remote_addr).await;
    }

    /// Stops the server: it accepts nobody any more, closes its connections, and waits for them and for their pull handlers. See
    /// [`Shutdown`] for the settings, and for what is left after its time.
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

    /// Waits for a signal, then shuts down with the default settings; the same as `shutdown().on(signal)`, see [`Shutdown::on`].
    ///
    /// It is what axum's graceful shutdown takes: axum ends when all is closed here.
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
        f.debug_struct("Server").field("local_addr", &self.local_addr()).finish_non_exhaustive()
    }
}

/// Finishing the settings.
impl ServerBuilder {
    /// A server without a port of its own, to share that of another HTTP server or to serve listeners one gives it.
    pub fn build(self) -> Server {
        self.build_with(None)
    }

    /// A server with a port of its own; [`Server::run`] serves it.
    pub async fn bind(self, addr: impl ToSocketAddrs) -> io::Result<Server> {
        Ok(self.build_with(Some(TcpListener::bind(addr).await?)))
    }

    fn build_with(self, listener: Option<TcpListener>) -> Server {
        let settings = self.settings;
        let max_handshakes = settings.max_handshakes;
        let mut routes = Routes::default();
        // The builder has seen to it that the path is valid.
        let default_spot = settings.path.as_ref().and_then(|path| routes.add(path).ok()).unwrap_or(Spot::Everywhere);
        Server {
            gate: Arc::new(Gate {
                settings,
                routes: RwLock::new(routes),
                default_spot,
                http: RwLock::new(None),
                clients: Arc::new(Clients::default()),
                runtimes: Arc::default(),
                handshakes: Arc::new(Handshakes::new(max_handshakes)),
                told_of_subprotocols: AtomicBool::new(false),
            }),
            port: Arc::new(OwnPort {
                local_addr: listener.as_ref().and_then(|listener| listener.local_addr().ok()),
                listener: Mutex::new(listener),
            }),
        }
    }
}
