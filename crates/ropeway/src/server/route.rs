//! A path of a server, while its settings and its handler are being set.

use std::fmt;
use std::sync::Arc;

use ropeway_proto::handshake::{Refusal, ServerOptions};

use super::accept::Accept;
use super::gate::{Gate, write};
use super::routes::{Admitted, Authorize, Entrance, Service, Spot, Start};
use super::settings::{RouteSettings, request_setters};
use crate::connection::{Endpoint, Handler};
use crate::handshake::{Handshake, UpgradeRequest};
use crate::listen::{Listen, Listeners};
use crate::pull::{Pull, WebSocket};
use crate::settings::{ConnectionSettings, connection_setters};

/// A path of a [`Server`](crate::Server), which needs a handler. If the path had a handler before, the new one replaces
/// it.
///
/// `T` is the type of the value that [`authorize`](Route::authorize) passes to the handler. Without `authorize` all
/// clients are accepted that obey the rules of the handshake, and `T` is `()`.
///
/// ```
/// use ropeway::{Accept, Handshake, Refusal, Server, WebSocket};
///
/// struct User(String);
///
/// let server = Server::builder().build();
/// server
///     .at("/rooms/{room}")
///     .max_payload(64 * 1024)
///     .authorize(async |request| match request.header("x-user") {
///         Some(name) => Ok(Accept::with(User(name.to_owned()))),
///         None => Err(Refusal::json(401, r#"{"error":"log in first"}"#)),
///     })
///     .spawn_each(async |mut ws: WebSocket, handshake: Handshake<User>| {
///         let (User(name), room) = (&handshake.value, handshake.param("room").unwrap_or_default());
///         ws.send(format!("{name} is in {room}")).await.ok();
///         while let Ok(Some(_message)) = ws.recv().await {}
///     });
/// ```
#[must_use = "a route serves nothing until it is given a handler"]
pub struct Route<'s, T = ()> {
    gate: &'s Gate,
    spot: Spot,
    settings: RouteSettings,
    entry: Entry<T>,
}

/// Whether the application decides about each client.
enum Entry<T> {
    /// All are accepted, so `T` is `()`.
    Open(fn() -> T),
    Ask(Authorize<T>),
}

impl<'s> Route<'s> {
    pub(super) fn new(gate: &'s Gate, spot: Spot) -> Self {
        Self { gate, spot, settings: gate.settings.route.clone(), entry: Entry::Open(|| ()) }
    }
}

impl<'s, T: Send + 'static> Route<'s, T> {
    /// Lets `decide` accept or refuse each client of this path: this is the place for authentication. `decide` may
    /// wait, such as for a database. It accepts with settings and a value for this connection, or refuses with the
    /// answer for the client.
    ///
    /// `decide` is called once the request has passed all rules of the handshake and the origin check. Other routes are
    /// not affected. A path without `authorize` is open to all clients. If it is set twice, the last one counts.
    ///
    /// While `decide` waits, the client takes one of [`max_connections`](crate::ServerBuilder::max_connections), and on
    /// a port of the server's own one of [`max_handshakes`](crate::ServerBuilder::max_handshakes). If the
    /// [`handshake_timeout`](crate::ServerBuilder::handshake_timeout) ends before the decision, the client is refused
    /// with 503. The client is also refused with 503 if the server shuts down, and with 500 if `decide` panics.
    ///
    /// If the client leaves, or ends its half of the connection, the future is dropped. hyper and axum notice that only
    /// if the client has sent nothing after the request. Otherwise the future runs on until it decides or the time is
    /// over.
    ///
    /// `decide` is shared by all clients, so an async closure cannot borrow the values that it captures. Clone them in
    /// a closure and move the clones into an async block, as in `move |request| { let db = db.clone(); async move { … }
    /// }`.
    pub fn authorize<U, F, Fut>(self, decide: F) -> Route<'s, U>
    where
        U: Send + 'static,
        F: Fn(UpgradeRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Accept<U>, Refusal>> + Send + 'static,
    {
        let Self { gate, spot, settings, .. } = self;
        let authorize: Authorize<U> = Arc::new(move |request| Box::pin(decide(request)));
        Route { gate, spot, settings, entry: Entry::Ask(authorize) }
    }

    /// Calls `listen` with each connection, to put listeners on it.
    pub fn on_connection(self, listen: impl Fn(&mut Listeners, Handshake<T>) + Send + Sync + 'static) {
        self.handle_with(Listen(listen));
    }

    /// Spawns `serve` as a task for each connection, with the pull API. A [shutdown](crate::Server::shutdown) waits for
    /// the end of these tasks.
    pub fn spawn_each<F, Fut>(self, serve: F)
    where
        F: Fn(WebSocket, Handshake<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let clients = Arc::clone(&self.gate.clients);
        self.handle_with(Pull { opened: move |socket, handshake| clients.run(serve(socket, handshake)) });
    }

    /// Lets `handler` handle each connection.
    pub fn handle_with(self, handler: impl Handler<T>) {
        let endpoint = Arc::new(Endpoint { handler, clients: Some(Arc::clone(&self.gate.clients)) });
        let admit = move |value| -> Box<dyn Start> { Box::new(Admitted { endpoint: Arc::clone(&endpoint), value }) };
        let entrance = match self.entry {
            Entry::Open(value) => Entrance::Open(Arc::new(move || admit(value()))),
            Entry::Ask(authorize) => {
                let admit = Arc::new(admit);
                Entrance::Ask(Arc::new(move |request| {
                    let (decision, admit) = (authorize(request), Arc::clone(&admit));
                    Box::pin(async move { Ok(decision.await?.map(&*admit)) })
                }))
            }
        };
        let options = self.settings.judged_by();
        let service = Service { entrance, options, connection: self.settings.connection };
        let old = write(&self.gate.routes).set(self.spot, service);
        // It owns values of the application's, so it is dropped after the lock is released.
        drop(old);
    }
}

/// Settings for the requests and connections of this path, if they differ from the server's.
impl<T> Route<'_, T> {
    request_setters!();
    connection_setters!();

    fn options(&mut self) -> &mut ServerOptions {
        &mut self.settings.options
    }

    fn change(mut self, change: impl FnOnce(&mut ConnectionSettings)) -> Self {
        change(&mut self.settings.connection);
        self
    }
}

impl<T> fmt::Debug for Route<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").field("spot", &self.spot).field("settings", &self.settings).finish_non_exhaustive()
    }
}
