//! The extractor for axum's handlers: whose settings count, what its handler may choose, and how it gets on with
//! others.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts, Path, State, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Extension, Router};
use http::StatusCode;
use http::request::Parts;
use ropeway::axum::Upgrade;
use ropeway::{Client, CloseCode, Connection, Handler, Handshake, MessageRef, Refusal, Server, Transport, WebSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::eventually::{eventually, within};
use super::handshake_rows::read_response;
use super::houses::{ask, serve_app};
use super::script::request;

/// A request for a WebSocket at this path, with more headers.
fn ask_for(path: &str, headers: &str) -> String {
    request(headers).replace("/chat", path)
}

/// Sends back what it gets.
async fn echo(mut ws: WebSocket) {
    while let Ok(Some(message)) = ws.recv().await {
        ws.send(message).await.ok();
    }
}

/// The first message of a client at a URL.
async fn first(url: &str) -> String {
    let mut ws = within("a connection", ropeway::connect(url)).await.unwrap();
    within("a message", ws.recv()).await.unwrap().expect("a message").as_text().unwrap().to_owned()
}

/// An extractor of the app's own.
struct User(String);

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        // As if it asked a database.
        tokio::task::yield_now().await;
        let name = parts.headers.get("x-user").and_then(|name| name.to_str().ok());
        name.map(|name| Self(name.to_owned())).ok_or((StatusCode::UNAUTHORIZED, "log in first"))
    }
}

struct App {
    greeting: String,
}

#[tokio::test]
async fn it_stands_beside_other_extractors_in_any_place_and_its_closure_owns_what_they_found() {
    async fn room(ws: Upgrade, State(app): State<Arc<App>>, Path(room): Path<String>, user: User) -> Response {
        ws.on_upgrade(async move |ws, handshake| {
            let text = format!("{} {} to {room} at {}", app.greeting, user.0, handshake.path());
            ws.send(text).await.unwrap();
            echo(ws).await;
        })
    }
    async fn last(Path(room): Path<String>, user: User, ws: Upgrade) -> Response {
        let told = format!("{} {room}", user.0);
        ws.on_connection(move |ws, _| ws.send(told).unwrap())
    }
    let server = Server::builder().build();
    let rooms = Router::new().route("/rooms/{room}", any(room)).route("/last/{room}", any(last));
    let app = Router::new()
        .nest("/api", rooms.with_state(Arc::new(App { greeting: "welcome".into() })))
        .layer(server.layer());
    let addr = serve_app(app).await;
    let client = Client::new().header("x-user", "mia");
    let mut ws = client.connect(&format!("ws://{addr}/api/rooms/7")).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("welcome mia to 7 at /api/rooms/7".into()));
    ws.send("hello").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
    let mut last = client.connect(&format!("ws://{addr}/api/last/8")).await.unwrap();
    assert_eq!(last.recv().await.unwrap(), Some("mia 8".into()));
    let (response, body) = ask(addr, &ask_for("/api/rooms/7", "Connection: close\r\n")).await;
    assert_eq!((response.status().as_u16(), body.as_str()), (401, "log in first"));
    assert_eq!(server.clients().len(), 2);
}

/// Counts the messages of each connection.
struct Count(u64);

impl Handler for Count {
    type State = u64;

    fn on_open(&self, _ws: &mut Connection<'_>, _handshake: Handshake) -> u64 {
        self.0
    }

    fn on_message(&self, ws: &mut Connection<'_>, count: &mut u64, _message: MessageRef<'_>) {
        *count += 1;
        ws.send(format!("message {count}")).unwrap();
    }
}

#[tokio::test]
async fn a_handler_handles_its_connection() {
    let server = Server::builder().build();
    let app = Router::new()
        .route("/{from}", any(|Path(from): Path<u64>, ws: Upgrade| async move { ws.handle_with(Count(from)) }));
    let addr = serve_app(app.layer(server.layer())).await;
    for from in [0, 10] {
        let mut ws = ropeway::connect(&format!("ws://{addr}/{from}")).await.unwrap();
        ws.send("one").await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some(format!("message {}", from + 1).into()));
    }
}

// Choices of the handler.

#[tokio::test]
async fn the_handler_chooses_subprotocol_headers_and_limits_for_its_connection() {
    let server = Server::builder().subprotocols(["chat.v1"]).build();
    let app = Router::new()
        .route(
            "/chosen",
            any(async |ws: Upgrade| {
                let offered = ws.request().subprotocols().collect::<Vec<_>>().join(" ");
                ws.subprotocols(["chat.v3", "chat.v2"])
                    .header("x-offered", offered)
                    .max_payload(5)
                    .on_upgrade(|ws, _| echo(ws))
            }),
        )
        .route("/none", any(async |ws: Upgrade| ws.subprotocols(["other"]).on_upgrade(|ws, _| echo(ws))))
        .route("/servers", any(async |ws: Upgrade| ws.on_upgrade(|ws, _| echo(ws))))
        .route("/wrong", any(async |ws: Upgrade| ws.subprotocol("not offered").on_upgrade(|ws, _| echo(ws))));
    let addr = serve_app(app.layer(server.layer())).await;
    let offered = "Sec-WebSocket-Protocol: chat.v1, chat.v2, chat.v3\r\n";
    for (path, expected) in [("/chosen", Some("chat.v2")), ("/none", None), ("/servers", Some("chat.v1"))] {
        let mut tcp = TcpStream::connect(addr).await.unwrap();
        tcp.write_all(ask_for(path, offered).as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(tcp.read_u8().await.unwrap());
        }
        let (response, _) = read_response(&answer);
        assert_eq!(response.status(), 101, "{path}");
        let agreed = response.headers().get("sec-websocket-protocol").map(|name| name.to_str().unwrap());
        assert_eq!(agreed, expected, "{path}");
        if path == "/chosen" {
            assert_eq!(response.headers()["x-offered"], "chat.v1 chat.v2 chat.v3");
        }
    }
    let (response, body) = ask(addr, &ask_for("/wrong", offered)).await;
    assert_eq!(response.status(), 500);
    assert!(body.contains("RFC 6455 section 4.2.2"), "{body}");
    let mut ws = ropeway::connect(&format!("ws://{addr}/chosen")).await.unwrap();
    ws.send("too long").await.unwrap();
    while let Ok(Some(_)) = ws.recv().await {}
    assert_eq!(ws.closed().await.code, CloseCode::TOO_BIG);
}

// Refusals.

#[tokio::test]
async fn requests_that_break_a_rule_are_refused_before_the_handler_runs() {
    let server = Server::builder().build();
    let ran = Arc::new(Mutex::new(0));
    let app = Router::new()
        .route(
            "/ws",
            any({
                let ran = Arc::clone(&ran);
                async move |ws: Upgrade| {
                    *ran.lock().unwrap() += 1;
                    ws.on_upgrade(|ws, _| echo(ws))
                }
            }),
        )
        .route(
            "/own",
            any(async |ws: Result<Upgrade, Refusal>| match ws {
                Ok(ws) => ws.on_upgrade(|ws, _| echo(ws)),
                Err(refusal) => (refusal.status(), format!("own: {}", refusal.fault)).into_response(),
            }),
        )
        .route(
            "/page",
            any(async |ws: Option<Upgrade>| match ws {
                Some(ws) => ws.on_upgrade(|ws, _| echo(ws)),
                None => "page".into_response(),
            }),
        );
    let addr = serve_app(app.layer(server.layer())).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let evil = "Origin: https://evil.example\r\n";
    for (request, status, text) in [
        (get("/ws"), 426, "RFC 6455 section 4.2.1"),
        (ask_for("/ws", "").replace("Version: 13", "Version: 8"), 426, "version \"8\""),
        (ask_for("/ws", evil), 403, "https://evil.example"),
        (get("/own"), 426, "own: only WebSockets are served here"),
        (ask_for("/page", evil), 403, "https://evil.example"),
    ] {
        let (response, body) = ask(addr, &request.replace("Connection: Upgrade", "Connection: Upgrade, close")).await;
        assert_eq!(response.status(), status, "{request}");
        assert!(body.contains(text), "{request}: {body}");
    }
    assert_eq!(*ran.lock().unwrap(), 0);
    assert_eq!(ask(addr, &get("/page")).await.1, "page");
    for path in ["/ws", "/own", "/page"] {
        ropeway::connect(&format!("ws://{addr}{path}")).await.unwrap();
    }
}

/// The handler returns a refusal with `?`.
#[tokio::test]
async fn a_refusal_is_an_answer_of_axums() {
    async fn guarded(ws: Upgrade) -> Result<Response, Refusal> {
        if ws.request().header("authorization").is_none() {
            return Err(Refusal::json(401, "{}").header("www-authenticate", "Bearer"));
        }
        Ok(ws.on_upgrade(|ws, _| echo(ws)))
    }
    let server = Server::builder().build();
    let addr = serve_app(Router::new().route("/ws", any(guarded)).layer(server.layer())).await;
    let (response, body) = ask(addr, &ask_for("/ws", "")).await;
    assert_eq!((response.status().as_u16(), body.as_str()), (401, "{}"));
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(response.headers()["content-type"], "application/json");
}

#[tokio::test]
async fn a_request_whose_connection_cannot_be_had_is_told_why() {
    use tower::ServiceExt;
    let app: Router = Router::new().route("/ws", any(async |ws: Upgrade| ws.on_upgrade(|ws, _| echo(ws))));
    let mut request = http::Request::get("/ws").header("host", "a").header("upgrade", "websocket");
    for (name, value) in [("connection", "upgrade"), ("sec-websocket-version", "13")] {
        request = request.header(name, value);
    }
    let request = request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").body(axum::body::Body::empty());
    let answer = app.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 500);
    let text = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
    assert!(String::from_utf8_lossy(&text).contains("such as a second extractor"));
}

// The server that a connection belongs to.

#[tokio::test]
async fn the_innermost_server_counts_and_an_extension_is_one() {
    let [outer, inner] = [(); 2].map(|()| Server::builder().max_connections(1).build());
    let open = Server::builder().allow_any_origin().build();
    let handler = || any(async |ws: Upgrade| ws.on_upgrade(|ws, _| echo(ws)));
    let app = Router::new()
        .route("/outer", handler())
        .merge(Router::new().route("/inner", handler()).layer(inner.layer()))
        .merge(Router::new().route("/open", handler()).layer(Extension(open.clone())))
        .layer(outer.layer());
    let addr = serve_app(app).await;
    let clients = || [&outer, &inner, &open].map(|server| server.clients().len());
    let _one = ropeway::connect(&format!("ws://{addr}/outer")).await.unwrap();
    eventually("the outer has one", || clients() == [1, 0, 0]).await;
    let _two = ropeway::connect(&format!("ws://{addr}/inner")).await.unwrap();
    eventually("the inner has one", || clients() == [1, 1, 0]).await;
    for path in ["/outer", "/inner"] {
        let (response, _) = ask(addr, &ask_for(path, "Connection: close\r\n")).await;
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"5".parse().unwrap()));
    }
    let client = Client::new().header("origin", "https://other.example");
    let _three = client.connect(&format!("ws://{addr}/open")).await.unwrap();
    eventually("the open one has one", || clients() == [1, 1, 1]).await;
}

/// A server may have routes of its own, and be that of extractors.
#[tokio::test]
async fn routes_of_a_server_and_extractors_share_an_app() {
    let server = Server::builder().path("/route").build();
    server.on_connection(|ws, _| ws.send("route").unwrap());
    let handler = async |ws: Upgrade| ws.on_connection(|ws, _| ws.send("extractor").unwrap());
    let addr = serve_app(Router::new().route("/extractor", any(handler)).layer(server.layer())).await;
    for name in ["route", "extractor"] {
        assert_eq!(first(&format!("ws://{addr}/{name}")).await, name);
    }
}

#[tokio::test]
async fn without_a_server_it_works_with_the_default_settings() {
    let handler = async |ws: Upgrade| ws.on_upgrade(|ws, _| echo(ws));
    let addr = serve_app(Router::new().route("/ws", any(handler))).await;
    let mut ws = ropeway::connect(&format!("ws://{addr}/ws")).await.unwrap();
    ws.send("hello").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
    let (response, _) = ask(addr, &ask_for("/ws", "Origin: https://evil.example\r\n")).await;
    assert_eq!(response.status(), 403);
}

#[tokio::test]
async fn a_check_of_the_origin_that_panics_is_a_500_there_too() {
    let server = Server::builder().max_connections(1).allow_origin_if(|_| panic!("a check that fails")).build();
    let app = Router::new().route("/ws", any(async |ws: Upgrade| ws.on_upgrade(|ws, _| echo(ws))));
    let addr = serve_app(app.layer(server.layer())).await;
    let (response, body) = ask(addr, &ask_for("/ws", "Origin: https://page.example\r\n")).await;
    assert_eq!(response.status(), 500);
    assert!(body.contains("RFC 9110 section 15.6.1") && !body.contains("panic"), "{body}");
    ropeway::connect(&format!("ws://{addr}/ws")).await.expect("its place is free");
}

/// An app is moved from axum's own extractor route by route.
#[tokio::test]
async fn axums_own_extractor_serves_other_routes_of_the_same_router() {
    async fn theirs(ws: WebSocketUpgrade) -> Response {
        ws.on_upgrade(async |mut ws| {
            let _ = ws.send(axum::extract::ws::Message::text("theirs")).await;
        })
    }
    async fn ours(ws: Upgrade) -> Response {
        ws.on_upgrade(async |ws, _| ws.send("ours").await.unwrap())
    }
    let server = Server::builder().build();
    let app = Router::new().route("/theirs", any(theirs)).route("/ours", any(ours)).layer(server.layer());
    let addr = serve_app(app).await;
    for name in ["theirs", "ours", "theirs"] {
        assert_eq!(first(&format!("ws://{addr}/{name}")).await, name);
    }
}

// The end.

#[tokio::test]
async fn a_shutdown_closes_its_connections_waits_for_its_handlers_and_lets_nobody_in() {
    let server = Server::builder().build();
    let done = Arc::new(Mutex::new(0));
    let [entered, go] = [(); 2].map(|()| Arc::new(tokio::sync::Notify::new()));
    let app = Router::new()
        .route(
            "/pull",
            any({
                let done = Arc::clone(&done);
                async move |ws: Upgrade| {
                    ws.on_upgrade(async move |ws, _| {
                        echo(ws).await;
                        // Long enough that a shutdown that does not wait has returned by then. One that waits passes
                        // however long this is.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        *done.lock().unwrap() += 1;
                    })
                }
            }),
        )
        .route("/listen", any(async |ws: Upgrade| ws.on_connection(|_, _| {})))
        .route(
            "/slow",
            any({
                let (entered, go) = (Arc::clone(&entered), Arc::clone(&go));
                async move |ws: Upgrade| {
                    entered.notify_one();
                    // As if it asked a database.
                    go.notified().await;
                    ws.on_upgrade(|ws, _| echo(ws))
                }
            }),
        );
    let addr = serve_app(app.layer(server.layer())).await;
    let mut clients = Vec::new();
    for path in ["/pull", "/listen"] {
        clients.push(ropeway::connect(&format!("ws://{addr}{path}")).await.unwrap());
    }
    eventually("both are open", || server.clients().len() == 2).await;
    let slow = tokio::spawn(async move { ask(addr, &ask_for("/slow", "")).await });
    within("its handler is entered, so that it has a place", entered.notified()).await;
    let shutdown = tokio::spawn(server.shutdown().code(1012, "restart").into_future());
    for client in &mut clients {
        assert_eq!(within("a close frame", client.recv()).await.unwrap(), None);
        assert_eq!(within("the end", client.closed()).await.code.as_u16(), 1012);
    }
    go.notify_one();
    assert_eq!(slow.await.unwrap().0.status(), 503);
    assert!(within("the end of the shutdown", shutdown).await.unwrap().is_none());
    assert_eq!(*done.lock().unwrap(), 1);
    assert_eq!(ask(addr, &ask_for("/pull", "Connection: close\r\n")).await.0.status(), 503);
}

/// A handler that does not upgrade gives its place up.
#[tokio::test]
async fn a_handler_that_answers_something_else_costs_no_place() {
    let server = Server::builder().max_connections(1).build();
    let app = Router::new()
        .route("/no", any(async |_ws: Upgrade| "no"))
        .route("/ws", any(async |ws: Upgrade| ws.on_upgrade(|ws, _| echo(ws))));
    let addr = serve_app(app.layer(server.layer())).await;
    for _ in 0..3 {
        let request = ask_for("/no", "").replace("Connection: Upgrade", "Connection: Upgrade, close");
        assert_eq!(ask(addr, &request).await.1, "no");
    }
    ropeway::connect(&format!("ws://{addr}/ws")).await.unwrap();
}

// Over TLS.

/// Serves an app over one stream, as servers with TLS do.
pub(crate) async fn serve_one<S>(app: Router, stream: S)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper_util::service::TowerToHyperService::new(app);
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(stream), service);
    let _ = connection.with_upgrades().await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn over_tls_the_peers_address_is_that_of_connect_info() {
    use tokio_rustls::TlsAcceptor;

    use super::tls::{client_config, server_config};

    let server = Server::builder().trusted_proxies(["127.0.0.1".parse().unwrap()]).build();
    let handler = async |ws: Upgrade| {
        let judged = ws.request().client_ip();
        ws.on_upgrade(async move |ws, handshake| {
            let remote = ws.remote_addr().map(|addr| addr.ip());
            ws.send(format!("{judged:?} {:?} {remote:?}", handshake.client_ip())).await.unwrap();
            echo(ws).await;
        })
    };
    let app = Router::new().route("/ws", any(handler)).route("/", get(|| async { "page" })).layer(server.layer());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (tcp, addr) = listener.accept().await.unwrap();
        let tls = TlsAcceptor::from(server_config()).accept(tcp).await.unwrap();
        serve_one(app.layer(Extension(ConnectInfo(addr))), tls).await;
    });
    let client = Client::new().tls(client_config()).header("x-forwarded-for", "203.0.113.7");
    let mut ws = client.connect(&format!("wss://localhost:{port}/ws")).await.unwrap();
    let told = ws.recv().await.unwrap().unwrap();
    assert_eq!(told.as_text(), Some("Some(203.0.113.7) Some(203.0.113.7) Some(127.0.0.1)"));
    ws.send("hello").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
    assert!(ws.close(1000, "").await.unwrap().clean);
}

/// A whole app in memory, with an hour in it.
#[tokio::test(start_paused = true)]
async fn in_memory_on_a_paused_clock_it_is_as_on_a_port() {
    let server = Server::builder().build();
    let handler = async |ws: Upgrade| {
        ws.ping_interval(None).on_upgrade(async |ws, _| {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            ws.send("an hour later").await.unwrap();
        })
    };
    let app = Router::new().route("/ws", any(handler)).layer(server.layer());
    let (near, far) = tokio::io::duplex(4096);
    tokio::spawn(serve_one(app, far));
    let client = Client::new().ping_interval(None);
    let mut ws = client.connect("ws://localhost/ws").over(Transport::other(near)).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("an hour later".into()));
}
