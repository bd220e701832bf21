//! The extractor for axum's handlers: a request for a WebSocket, and the choices for its connection.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request};
use hyper::upgrade::OnUpgrade;
use ropeway_proto::handshake::{Fault, Refusal, is_upgrade};

use super::Server;
use super::accept::Accept;
use super::attach::{Taken, hand_over, refuse};
use super::gate::{Checked, check, log_refusal};
use super::one_off::{Attend, Serve};
use super::routes::{Admitted, Start};
use crate::connection::{Endpoint, Handler};
use crate::handshake::{Handshake, Params, UpgradeRequest};
use crate::listen::Listeners;
use crate::log::guarded;
use crate::pull::WebSocket;
use crate::settings::{ConnectionSettings, connection_setters};

/// An extractor for requests that ask for a WebSocket. It stands beside `State`, `Path` and extractors of your own, in any place.
///
/// ```
/// use std::sync::Arc;
///
/// use axum::extract::{Path, State};
/// use axum::response::Response;
/// use axum::{Router, routing::any};
/// use ropeway::axum::Upgrade;
/// use ropeway::{Server, WebSocket};
///
/// struct App {
///     greeting: String,
/// }
///
/// async fn room(ws: Upgrade, State(app): State<Arc<App>>, Path(room): Path<String>) -> Response {
///     ws.subprotocols(["chat.v2"]).max_payload(64 << 10).on_upgrade(move |ws, _handshake| talk(ws, app, room))
/// }
///
/// async fn talk(mut ws: WebSocket, app: Arc<App>, room: String) {
///     ws.send(format!("{} to {room}", app.greeting)).await.ok();
///     while let Ok(Some(message)) = ws.recv().await {
///         ws.send(message).await.ok();
///     }
/// }
///
/// let server = Server::builder().build();
/// let app = Arc::new(App { greeting: "welcome".into() });
/// let app: Router = Router::new().route("/rooms/{room}", any(room)).with_state(app).layer(server.layer());
/// // And for its end: axum::serve(listener, app).with_graceful_shutdown(server.shutdown_on(signal))
/// ```
///
/// # Which server it belongs to
///
/// The [`Server`] of the [`layer`](Server::layer) around the route, or one that axum's `Extension(server)` attaches to requests; the
/// innermost counts. From it come the settings that the handler does not choose, the origins that may connect, the trusted proxies and the
/// limit of connections. [`Server::clients`] lists the connections, and [`Server::shutdown`] closes them and waits for their handlers. Its
/// routes are not asked, so neither is its [`authorize`](Server::authorize): the handler decides, by its own extractors.
///
/// Without a server, the connection has the default settings, and pages of the own origin alone may connect. **No shutdown closes it**: it
/// is cut off when the program ends. The first time that happens it is logged.
///
/// # Refusals
///
/// The request is judged when it is extracted, the origin included, before the handler's body runs. What breaks a rule is answered with a
/// [`Refusal`], which says what happened, which rule it breaks and what to do: 426 for a request that asks for no WebSocket, 403 for an
/// origin that may not connect, 503 where the server is full or shuts down, 500 where something has taken the connection before, such as a
/// second extractor or a middleware. An HTTP server that does not serve `with_upgrades` gets its 101, and the connection never opens:
/// the log then says that the HTTP server did not hand its connection over.
/// `Result<Upgrade, Refusal>` lets the handler answer by itself, and `Option<Upgrade>` is `None` for a request that asks for no WebSocket.
/// `map_refusal` of the [layer](Server::layer) is not asked: it is for requests that the server's own routes serve.
///
/// From then on the request has one of the server's [`max_connections`](crate::ServerBuilder::max_connections), until it is dropped. A
/// handler that begins a shutdown meanwhile, or is overtaken by one, gets 503.
///
/// The handler must return the answer of `on_upgrade`, `on_connection` or `handle_with`: it is the 101, or a late refusal.
///
/// # With axum's own
///
/// axum's `WebSocketUpgrade` may serve other routes of the same router, so an app can be moved route by route. Differences: `on_upgrade`'s
/// closure gets the [`Handshake`] too, pings are sent and answered without the handler, the origin is checked, and [`WebSocket::recv`]
/// returns `Result<Option<Message>>`.
#[must_use = "the request is answered by `on_upgrade`, `on_connection` or `handle_with`"]
pub struct Upgrade {
    server: Server,
    checked: Checked,
    transport: OnUpgrade,
    accept: Accept,
}

impl Upgrade {
    /// Answers with the 101, and runs `serve` as a task once it was sent, with the connection in the pull style. A
    /// [shutdown](Server::shutdown) waits for its end. The handler must return this answer.
    pub fn on_upgrade<F, Fut>(self, serve: F) -> Response
    where
        F: FnOnce(WebSocket, Handshake) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let clients = Arc::clone(&self.server.gate.clients);
        let serve: Serve = Box::new(move |ws, handshake| clients.run(serve(ws, handshake)));
        let endpoint = Arc::clone(&self.server.gate.one_off.pull);
        self.start(Box::new(Admitted { endpoint, value: serve }))
    }

    /// Answers with the 101, and calls `listen` with the connection once it was sent, to put listeners on it. The handler must return
    /// this answer.
    pub fn on_connection(self, listen: impl FnOnce(&mut Listeners, Handshake) + Send + 'static) -> Response {
        let listen: Attend = Box::new(listen);
        let endpoint = Arc::clone(&self.server.gate.one_off.listen);
        self.start(Box::new(Admitted { endpoint, value: listen }))
    }

    /// Answers with the 101, and lets `handler` handle the connection once it was sent. The axum handler must return this answer.
    pub fn handle_with(self, handler: impl Handler) -> Response {
        let clients = Some(Arc::clone(&self.server.gate.clients));
        self.start(Box::new(Admitted { endpoint: Arc::new(Endpoint { handler, clients }), value: () }))
    }

    /// The request as it was judged: its headers, the client's address, the subprotocols that are offered. The
    /// [`Handshake`] has the same request. If this is dropped before the request is answered, the
    /// handshake takes it over; otherwise it is copied, which costs a little time and changes nothing.
    ///
    /// A [trusted proxy](crate::ServerBuilder::trusted_proxies) is believed here, and in the origin check, only if the peer's address is
    /// among the request's extensions: serve the app with `into_make_service_with_connect_info::<SocketAddr>()`.
    pub fn request(&self) -> UpgradeRequest {
        self.checked.to_be_judged()
    }

    /// The subprotocols that are spoken, in place of the [server's](crate::ServerBuilder::subprotocols). Of those the client offers, the
    /// first that is among them is taken; if there is none, none is agreed on.
    pub fn subprotocols<S: AsRef<str>>(mut self, subprotocols: impl IntoIterator<Item = S>) -> Self {
        let spoken: Vec<S> = subprotocols.into_iter().collect();
        let request = self.request();
        let agreed = request.subprotocols().find(|offered| spoken.iter().any(|name| name.as_ref() == *offered));
        self.accept = match agreed {
            Some(name) => self.accept.subprotocol(name),
            None => self.accept.without_subprotocol(),
        };
        self
    }

    /// Agrees on this subprotocol, which must be one of those that the client offers; otherwise the client is refused with 500.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.accept = self.accept.subprotocol(name);
        self
    }

    /// Adds a header to the answer, such as a cookie. If it is one that the handshake sets by itself, or if name or value are not valid,
    /// the client is refused with 500.
    pub fn header(mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        self.accept = self.accept.header(name, value);
        self
    }

    fn start(self, start: Box<dyn Start>) -> Response {
        let Self { server, checked, transport, accept } = self;
        let gate = &server.gate;
        if gate.clients.is_stopped() {
            return refuse(&Refusal::unavailable()).into_response();
        }
        let remote_addr = checked.remote_addr;
        match gate.accept(checked, accept.map(|()| start), gate.settings.route.connection.clone()) {
            Ok(opening) => hand_over(gate, *opening, remote_addr, transport).map(axum::body::Body::new),
            Err(refusal) => refuse(&refusal).into_response(),
        }
    }
}

/// Settings of this connection, where they differ from the server's. With limits or times of its own it holds about 150 bytes more.
impl Upgrade {
    connection_setters!();

    fn change(mut self, change: impl FnOnce(&mut ConnectionSettings) + Send + 'static) -> Self {
        self.accept = self.accept.change(change);
        self
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        extract(parts).inspect_err(|refusal| log_refusal(refusal, None))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Upgrade {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Refusal> {
        if !is_upgrade(&request_of(parts)) {
            return Ok(None);
        }
        <Self as FromRequestParts<S>>::from_request_parts(parts, state).await.map(Some)
    }
}

fn extract(parts: &mut Parts) -> Result<Upgrade, Refusal> {
    let request = request_of(parts);
    if !is_upgrade(&request) {
        return Err(Refusal::upgrade_required());
    }
    let server = parts.extensions.get().cloned().unwrap_or_else(default_server);
    // Two extractors of one request would both wait for its connection.
    parts.extensions.remove::<OnUpgrade>();
    let Taken { request, remote_addr, upgrade, .. } = Taken::of(request);
    let place = server.gate.enter()?;
    let checked = check(request, remote_addr, Params::default(), &server.gate.one_off.options, place)?;
    Ok(Upgrade { server, checked, transport: upgrade.ok_or(Fault::NotHandedOver)?, accept: Accept::new() })
}

fn request_of(parts: &Parts) -> Request<()> {
    Request::from_parts(parts.clone(), ())
}

/// The server of connections that belong to none. It is made, and told of, with the first of them.
static DEFAULT: OnceLock<Server> = OnceLock::new();

fn default_server() -> Server {
    let tell = || {
        guarded(|| {
            tracing::warn!(
                "a WebSocket is opened that belongs to no server of yours: no shutdown will close it, and it has the default \
                 settings. Put `.layer(server.layer())` or `.layer(axum::Extension(server))` around its route. This is logged once"
            );
        });
        Server::builder().build()
    };
    DEFAULT.get_or_init(tell).clone()
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("request", &self.request()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No other test of this program makes the default server.
    #[test]
    fn a_page_asked_of_a_route_for_web_sockets_warns_of_no_missing_server() {
        let extracted = extract(&mut Request::new(()).into_parts().0);
        assert_eq!(extracted.expect_err("it asks for no WebSocket").status(), 426);
        assert!(DEFAULT.get().is_none(), "it was warned that a connection belongs to no server");
        let mut asking = Request::new(());
        asking.headers_mut().insert(http::header::UPGRADE, HeaderValue::from_static("websocket"));
        assert!(extract(&mut asking.into_parts().0).is_err());
        assert!(DEFAULT.get().is_some());
    }
}
