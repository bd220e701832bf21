//! The extractor for axum's handlers: a request for a WebSocket, and the settings for its connection.

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

/// An extractor for requests that ask for a WebSocket. A handler can take it together with `State`, `Path` and
/// extractors of your own, in any order.
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
/// The connection belongs to the [`Server`] of the [`layer`](Server::layer) around the route, or to one that axum's
/// `Extension(server)` attaches to requests. If there are several, the innermost counts. The server has the settings
/// that the handler does not choose, the origins that may connect, the trusted proxies and the limit of connections.
/// [`Server::clients`] lists the connections, and [`Server::shutdown`] closes them and waits for their handlers. The
/// server's routes and its [`authorize`](Server::authorize) are not used: the handler decides, by its own extractors.
///
/// Without a server, the connection has the default settings, and only pages of the server's own origin may connect.
/// **No shutdown closes it**: it is cut off when the program ends. The first time that happens it is logged.
///
/// # Refusals
///
/// The request is judged when it is extracted, before the handler's body runs. The origin is checked too. A request
/// that breaks a rule is answered with a [`Refusal`], which says what happened, which rule it breaks and what to do:
///
/// - 426: the request does not ask for a WebSocket.
/// - 403: the origin may not connect.
/// - 503: the server is full or shuts down.
/// - 500: a second extractor or a middleware has taken the connection before.
///
/// If the HTTP server does not serve `with_upgrades`, it gets a 101, but the connection never opens. The log then says
/// that the HTTP server did not hand its connection over.
///
/// With `Result<Upgrade, Refusal>` the handler can answer by itself. `Option<Upgrade>` is `None` for a request that
/// does not ask for a WebSocket. `map_refusal` of the [layer](Server::layer) does not see these refusals: it is for
/// requests that the server's own routes serve.
///
/// An `Upgrade` takes one of the server's [`max_connections`](crate::ServerBuilder::max_connections) until it is
/// dropped. If a shutdown begins before the handler answers, the client gets 503.
///
/// The handler must return the answer of `on_upgrade`, `on_connection` or `handle_with`, which is the 101, or a late
/// refusal.
///
/// # Beside axum's extractor
///
/// axum's `WebSocketUpgrade` may serve other routes of the same router, so you can move one route at a time. There are
/// four differences. The closure of `on_upgrade` gets the [`Handshake`] too. ropeway sends and answers pings without
/// the handler. It checks the origin. And [`WebSocket::recv`] returns `Result<Option<Message>>`.
#[must_use = "the request is answered by `on_upgrade`, `on_connection` or `handle_with`"]
pub struct Upgrade {
    server: Server,
    checked: Checked,
    transport: OnUpgrade,
    accept: Accept,
}

impl Upgrade {
    /// Returns the 101. Once that was sent, `serve` runs as a task, and uses the connection with the pull API. A
    /// [shutdown](Server::shutdown) waits for the end of that task. The axum handler must return this answer.
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

    /// Returns the 101. Once that was sent, `listen` is called with the connection, to put listeners on it. The axum
    /// handler must return this answer.
    pub fn on_connection(self, listen: impl FnOnce(&mut Listeners, Handshake) + Send + 'static) -> Response {
        let listen: Attend = Box::new(listen);
        let endpoint = Arc::clone(&self.server.gate.one_off.listen);
        self.start(Box::new(Admitted { endpoint, value: listen }))
    }

    /// Returns the 101. Once that was sent, `handler` handles the connection. The axum handler must return this answer.
    pub fn handle_with(self, handler: impl Handler) -> Response {
        let clients = Some(Arc::clone(&self.server.gate.clients));
        self.start(Box::new(Admitted { endpoint: Arc::new(Endpoint { handler, clients }), value: () }))
    }

    /// The request as it was judged: its headers, the client's address, the subprotocols that are offered. The
    /// [`Handshake`] has the same request. If you drop this one before the request is answered, the handshake takes it
    /// over. Otherwise the request is copied.
    ///
    /// A [trusted proxy](crate::ServerBuilder::trusted_proxies) is believed here, and in the origin check, only if the
    /// peer's address is among the request's extensions: serve the app with
    /// `into_make_service_with_connect_info::<SocketAddr>()`.
    pub fn request(&self) -> UpgradeRequest {
        self.checked.to_be_judged()
    }

    /// The subprotocols that this route speaks, instead of the [server's](crate::ServerBuilder::subprotocols). The
    /// first in the client's list that is also in this one is agreed on. If there is none, none is agreed on.
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

    /// Agrees on this subprotocol. It must be one of those that the client offers; otherwise the client is refused with
    /// 500.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.accept = self.accept.subprotocol(name);
        self
    }

    /// Adds a header to the answer, such as a cookie. If the handshake sets this header itself, or if name or value are
    /// not valid, the client is refused with 500.
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

/// Settings of this connection, if they differ from the server's. A connection with limits or times of its own holds
/// about 150 bytes more.
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
