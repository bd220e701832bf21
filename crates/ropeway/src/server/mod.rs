//! The server: its settings, its routes, and the connections it has. How requests reach it is told in [`port`] (a port of its
//! own) and in `attach` (another HTTP server's).

#[cfg(feature = "hyper")]
mod attach;
mod builder;
mod clients;
mod exchange;
mod handshakes;
mod listener;
#[cfg(unix)]
mod newcomer;
mod port;
mod route;
mod runtimes;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use std::{fmt, io};

use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{Request, Response};
use ropeway_proto::handshake::{self, Destination, Limits, Negotiated, Refusal, ServerOptions, accept_from};
use ropeway_proto::{Bytes, CloseCode, Config, Connection, Role};
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::time::Instant;

#[cfg(feature = "hyper")]
pub use attach::{Attached, AttachedFuture, Layer};
pub use builder::ServerBuilder;
pub use route::Route;

use crate::driver::Opened;
use crate::handler::Handler;
use crate::handshake::Handshake;
use crate::link::Link;
use crate::listeners::Socket;
use crate::log::{Rate, guarded, one_line};
use crate::overflow::Overflow;
use crate::sender::Sender;
use crate::transport::Transport;
use crate::websocket::WebSocket;
pub(crate) use clients::{Clients, Place};
use exchange::Upgrade;
use handshakes::Handshakes;
use route::{Routes, Service};
use runtimes::Runtimes;

/// Answers requests that do not ask for a WebSocket.
type Http = dyn Fn(&Request<()>) -> Response<Bytes> + Send + Sync;

/// Decides about a handshake before it is accepted.
type Verify = dyn Fn(&Request<()>) -> Result<(), Refusal> + Send + Sync;

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
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    routes: RwLock<Routes>,
    http: RwLock<Option<Arc<Http>>>,
    verify: RwLock<Option<Arc<Verify>>>,
    clients: Arc<Clients>,
    runtimes: Arc<Runtimes>,
    handshakes: Arc<Handshakes>,
    /// Whether it was logged that a client offered subprotocols and none was agreed on.
    told_of_subprotocols: AtomicBool,
    /// The port of its own, until [`Server::run`] takes it.
    listener: Mutex<Option<TcpListener>>,
    local_addr: Option<SocketAddr>,
}

/// What the builder settled.
struct Settings {
    /// Path of the default route; `None` for every path.
    path: Option<String>,
    options: ServerOptions,
    config: Arc<Config>,
    overflow: Overflow,
    limits: Limits,
    handshake_timeout: Duration,
    max_connections: usize,
    max_handshakes: usize,
    #[cfg(feature = "tls")]
    tls: Option<Arc<tokio_rustls::rustls::ServerConfig>>,
}

/// How long a shutdown waits for what it terminated. That takes a turn of each event loop, and one that is busy, or blocked by a
/// handler, may not come to it.
const TERMINATING: Duration = Duration::from_secs(1);

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
        self.shared.local_addr
    }

    /// A path to serve besides the default one, with what happens there.
    pub fn at(&self, path: impl Into<String>) -> Route<'_> {
        Route::new(self, Some(path.into()))
    }

    /// Calls `listen` with each connection of the default route, to put listeners on it.
    pub fn on_connection(&self, listen: impl Fn(&mut Socket, Handshake) + Send + Sync + 'static) {
        self.default_route().on_connection(listen);
    }

    /// Runs `serve` as a task for each connection of the default route.
    pub fn pull<F, Fut>(&self, serve: F)
    where
        F: Fn(WebSocket, Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.default_route().pull(serve);
    }

    /// Handles the connections of the default route.
    pub fn handler(&self, handler: impl Handler) {
        self.default_route().handler(handler);
    }

    /// Answers requests that do not ask for a WebSocket. Without it they get 426, Upgrade Required. The connection is closed
    /// after each answer.
    pub fn on_http(&self, answer: impl Fn(&Request<()>) -> Response<Bytes> + Send + Sync + 'static) {
        replace(&self.shared.http, Some(Arc::new(answer)));
    }

    /// Decides about each opening handshake, before it is accepted: the place for authentication. The refusal is what the
    /// client gets. [`Destination::of`] the request gives the host that it is for.
    pub fn on_upgrade(&self, verify: impl Fn(&Request<()>) -> Result<(), Refusal> + Send + Sync + 'static) {
        replace(&self.shared.verify, Some(Arc::new(verify)));
    }

    /// Handles to all connections that are open.
    pub fn clients(&self) -> Vec<Sender> {
        self.shared.clients.senders()
    }

    /// Serves the port that it was bound to, until [`Server::shutdown`].
    ///
    /// Fails if it was not bound, or runs already.
    pub async fn run(&self) -> io::Result<()> {
        let listener = self.shared.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        let listener = listener.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotConnected,
                "this server has no port to serve, or serves it already; make it with `Server::bind`, or give `serve` a listener",
            )
        })?;
        self.serve(listener).await;
        Ok(())
    }

    /// Serves a listener, until [`Server::shutdown`].
    ///
    /// Several can be served at once: one runtime a thread, each with a clone of the same listener, is what scales best. The
    /// runtimes that serve share all clients evenly, whichever of them accepts.
    pub async fn serve(&self, listener: TcpListener) {
        port::serve(self, listener).await;
    }

    /// Serves one connection that was accepted elsewhere, from its first byte on.
    pub async fn serve_stream(&self, stream: impl Into<Transport>, remote_addr: Option<SocketAddr>) {
        port::serve_stream(self, stream.into(), remote_addr).await;
    }

    /// Stops accepting, closes all connections with 1001, and waits until they are gone. What remains after `timeout` is
    /// terminated; that too is waited for, for a second at most. A handler that blocks holds up the end of its connection, and
    /// not this.
    pub async fn shutdown(&self, timeout: Duration) {
        self.shared.clients.stop();
        self.clients().iter().for_each(send_away);
        if tokio::time::timeout(timeout, self.shared.clients.gone()).await.is_err() {
            let left = self.clients();
            left.iter().for_each(Sender::terminate);
            let gone = async {
                for client in &left {
                    client.closed().await;
                }
            };
            if tokio::time::timeout(TERMINATING, gone).await.is_err() {
                let left = self.clients().len();
                guarded(|| {
                    tracing::warn!("{left} connections are still there: their handlers, or others beside them, block");
                });
            }
        }
    }

    fn default_route(&self) -> Route<'_> {
        Route::new(self, self.shared.settings.path.clone())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("local_addr", &self.local_addr()).finish_non_exhaustive()
    }
}

/// A handshake that was judged good.
struct Accepted {
    response: Response<()>,
    negotiated: Negotiated,
    destination: Destination,
    service: Service,
    place: Place,
}

impl Server {
    /// Judges a request for a WebSocket.
    fn accept<B>(&self, request: &Request<B>, remote_addr: Option<SocketAddr>) -> Result<Accepted, Refusal> {
        let place = self.shared.clients.enter(self.shared.settings.max_connections);
        let place = place.ok_or_else(Refusal::unavailable)?;
        let service = read(&self.shared.routes).find(request.uri().path());
        let service = service.ok_or_else(|| Refusal::not_found(request.uri().path()))?;
        let accepted = accept_from(remote_addr.map(|addr| addr.ip()), request, &service.options)?;
        // Not within the condition, whose lock would be held while the application decides.
        let verify = read(&self.shared.verify).clone();
        if let Some(verify) = verify {
            let mut head = head_of(request);
            head.extensions_mut().insert(accepted.destination.clone());
            verify(&head)?;
        }
        if accepted.negotiated.subprotocol.is_none()
            && request.headers().contains_key(SEC_WEBSOCKET_PROTOCOL)
            && !self.shared.told_of_subprotocols.swap(true, Ordering::Relaxed)
        {
            tell_of_subprotocols();
        }
        let handshake::Accepted { response, negotiated, destination } = accepted;
        Ok(Accepted { response, negotiated, destination, service, place })
    }

    /// Starts the connection, once the 101 is on its way.
    fn start(&self, upgrade: Upgrade, stream: Transport, remote_addr: Option<SocketAddr>) {
        let (service, opened) = self.open(upgrade, stream, remote_addr);
        service.endpoint.start(opened);
    }

    /// What the connection is made of, once the 101 is on its way, and whom it is for.
    fn open<S>(&self, upgrade: Upgrade, stream: S, remote_addr: Option<SocketAddr>) -> (Service, Opened<S>) {
        let Upgrade { accepted, mut request, leftover } = upgrade;
        let Accepted { response, negotiated, destination, service, place } = accepted;
        request.extensions_mut().insert(destination);
        let settings = &self.shared.settings;
        let mut connection = Connection::new(Role::Server, Arc::clone(&settings.config), Instant::now().into_std());
        if let (Some(params), Some(options)) = (&negotiated.deflate, &service.options.deflate) {
            connection = connection.with_deflate(params, options);
        }
        let link = Arc::new(Link::new(remote_addr, settings.config.max_buffered, service.overflow));
        let mut handshake = Handshake::new(request, response, negotiated.subprotocol);
        handshake.remote_addr = remote_addr;
        let proxies = &service.options.proxies;
        handshake.client_ip = proxies.client_ip(remote_addr.map(|addr| addr.ip()), handshake.headers());
        let sender = Sender::new(Arc::clone(&link));
        if !place.open(sender.clone()) {
            send_away(&sender);
        }
        guarded(|| tracing::debug!(remote_addr = remote_addr.map(display), path = handshake.path(), "open"));
        (service, Opened { stream, connection, link, handshake, leftover, place: Some(place) })
    }
}

fn tell_of_subprotocols() {
    tracing::warn!(
        "a client offered subprotocols of which this server speaks none; browsers fail such a connection (RFC 6455 section \
         4.1). Name those it speaks with `ServerBuilder::subprotocols`, or take any with `any_subprotocol`. This is logged once"
    );
}

/// Tells of a refusal.
fn log_refusal(refusal: &Refusal, remote_addr: Option<SocketAddr>) {
    static REFUSALS: Rate = Rate::new("refusals");
    REFUSALS.log(|| {
        tracing::info!(
            remote_addr = remote_addr.map(display),
            status = refusal.status().as_u16(),
            "refused: {}",
            one_line(&refusal.body())
        );
    });
}

fn send_away(client: &Sender) {
    // 1001 can be sent.
    let _ = client.close(CloseCode::GOING_AWAY, "the server shuts down");
}

/// A request without its body, which an opening handshake has none of.
fn head_of<B>(request: &Request<B>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    *head.extensions_mut() = request.extensions().clone();
    head
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Puts a callback in the place of another, which owns values of the application's: they are dropped when the lock is free.
fn replace<T: ?Sized>(lock: &RwLock<Option<Arc<T>>>, callback: Option<Arc<T>>) {
    let old = std::mem::replace(&mut *write(lock), callback);
    drop(old);
}
