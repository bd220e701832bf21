//! Sharing axum's port: requests for the WebSocket server, requests that stay with axum, and settings that both agree
//! on.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::response::IntoResponse;
use axum::routing::{any, get};
use ropeway::axum::Upgrade;
use ropeway::{Client, Handshake, Listeners, Refusal, Server, Transport};
use testkit::wire::{Frame, TEXT};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use super::eventually::{PATIENCE, eventually, within};
use super::extractor::serve_one;
use super::houses::{ask, serve_app};
use super::script::{Log, request, text};

/// An app with a page at `/` and at `/ws`, and a server that echoes, on one port.
async fn serve(server: &Server) -> SocketAddr {
    server.on_connection(|ws, _| {
        ws.on_message(|ws, message| ws.send(message).unwrap());
    });
    let app =
        Router::new().route("/", get(|| async { "page" })).route("/ws", get(|| async { "page of the same path" }));
    serve_app(app.layer(server.layer())).await
}

/// A request for a WebSocket at `/ws`, with further headers.
fn ask_for_ws(headers: &str) -> String {
    request(headers).replace("/chat", "/ws")
}

#[tokio::test]
async fn web_sockets_and_pages_share_a_port() {
    let addr = serve(&Server::builder().path("/ws").build()).await;
    let mut ws = ropeway::connect(&format!("ws://{addr}/ws")).await.unwrap();
    let large = "é".repeat(500_000);
    for message in ["hello", "", &large] {
        ws.send(message).await.unwrap();
        assert_eq!(ws.recv().await.unwrap().unwrap().as_text(), Some(message));
    }
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(ask(addr, &get("/")).await.1, "page");
    assert_eq!(ask(addr, &get("/ws")).await.1, "page of the same path");
    assert_eq!(ask(addr, &get("/none")).await.0.status(), 404);
    assert!(ws.close(1000, "").await.unwrap().clean);
}

/// HTTP/2 has costs (floods of resets, of settings, of headers), so an app has to choose it. Features hold for the
/// whole program: one that we turn on is on for the app too.
#[tokio::test]
async fn an_app_that_did_not_ask_for_http_2_does_not_speak_it() {
    let addr = serve(&Server::builder().path("/ws").build()).await;
    // The preface of RFC 9113 section 3.4, and an empty SETTINGS frame.
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    // A server that speaks HTTP/2 sends its SETTINGS. Another one refuses or closes; an error here is a reset.
    let mut answer = [0; 9];
    let read = tcp.read(&mut answer).await.unwrap_or(0);
    assert!(b"HTTP/1.1 ".starts_with(&answer[..read]), "{:?}", String::from_utf8_lossy(&answer[..read]));
}

#[tokio::test]
async fn the_debug_form_of_a_handshake_on_an_apps_port_shows_no_cookie_either() {
    let (server, shown) = (Server::builder().path("/ws").build(), Arc::new(Mutex::new(String::new())));
    server.on_connection({
        let shown = Arc::clone(&shown);
        move |_, handshake| *shown.lock().unwrap() = format!("{handshake:?}")
    });
    let addr = serve_app(Router::new().layer(server.layer())).await;
    let mut client = Client::new();
    for (name, value) in [("cookie", "secret"), ("authorization", "secret"), ("x-other", "is shown")] {
        client = client.header(name, value);
    }
    let _ws = client.connect(&format!("ws://{addr}/ws")).await.unwrap();
    eventually("it is open", || !shown.lock().unwrap().is_empty()).await;
    let shown = shown.lock().unwrap();
    assert!(shown.contains("is shown") && !shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn requests_for_web_sockets_at_other_paths_stay_with_the_app() {
    let addr = serve(&Server::builder().path("/ws").build()).await;
    let upgrade = request("").replace("/chat", "/").replace("Connection: Upgrade", "Connection: Upgrade, close");
    let (response, body) = ask(addr, &upgrade).await;
    assert_eq!((response.status().as_u16(), body.as_str()), (200, "page"));
    // Without a path, all requests for a WebSocket go to the server.
    let addr = serve(&Server::builder().build()).await;
    ropeway::connect(&format!("ws://{addr}/any/path")).await.unwrap();
}

#[tokio::test]
async fn refusals_are_the_apps_answers() {
    let server = Server::builder().path("/ws").max_connections(1).build();
    let addr = serve(&server).await;
    let (response, body) = ask(addr, &ask_for_ws("").replace("Version: 13", "Version: 8")).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["sec-websocket-version"]),
        (426, &"13".parse().unwrap())
    );
    assert!(body.contains("version \"8\""), "{body}");
    let (response, body) = ask(addr, &ask_for_ws("Origin: https://evil.example\r\n")).await;
    assert_eq!(response.status(), 403);
    assert!(body.contains("https://evil.example"), "{body}");

    let ws = ropeway::connect(&format!("ws://{addr}/ws")).await.unwrap();
    let (response, _) = ask(addr, &ask_for_ws("")).await;
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"5".parse().unwrap()));
    drop(ws);
}

#[tokio::test]
async fn bytes_right_behind_the_request_are_the_first_message() {
    let addr = serve(&Server::builder().path("/ws").build()).await;
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    let bytes = [ask_for_ws("").into_bytes(), text("first").encode(), text("second").encode()].concat();
    tcp.write_all(&bytes).await.unwrap();
    let expected = [Frame::new(TEXT, "first").encode(), Frame::new(TEXT, "second").encode()].concat();
    let mut answer = Vec::new();
    while !answer.ends_with(&expected) {
        answer.push(tcp.read_u8().await.expect("both come back"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
}

#[tokio::test]
async fn the_clients_address_is_the_tcp_connections_or_what_a_trusted_proxy_says() {
    for (trusted, expected) in [(None, "127.0.0.1"), (Some("127.0.0.0/8"), "203.0.113.7")] {
        let mut builder = Server::builder();
        if let Some(trusted) = trusted {
            builder = builder.trusted_proxies([trusted.parse().unwrap()]);
        }
        let server = builder.build();
        let addr = serve(&server).await;
        let seen = Arc::new(Mutex::new(None));
        server.on_connection({
            let seen = Arc::clone(&seen);
            move |ws, handshake| {
                let remote = ws.remote_addr().expect("the TCP connection is found behind axum");
                *seen.lock().unwrap() = Some((handshake.client_ip(), remote));
                ws.send("seen").unwrap();
            }
        });
        let client = Client::new().header("x-forwarded-for", "6.6.6.6, 203.0.113.7");
        let mut ws = client.connect(&format!("ws://{addr}/")).await.unwrap();
        ws.recv().await.unwrap();
        let (client_ip, remote) = seen.lock().unwrap().unwrap();
        assert_eq!(client_ip, expected.parse::<std::net::IpAddr>().ok());
        assert!(remote.ip().is_loopback());
    }
}

#[tokio::test]
async fn a_route_can_answer_for_the_server() {
    let server = Server::builder().build();
    server.on_connection(|ws, handshake| ws.send(handshake.path()).unwrap());
    let upgrade = move |mut request: Request| async move { server.answer(&mut request).await };
    let addr = serve_app(Router::new().route("/rooms/{room}", any(upgrade))).await;
    let mut ws = ropeway::connect(&format!("ws://{addr}/rooms/7")).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("/rooms/7".into()));
    let get = "GET /rooms/7 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(ask(addr, get).await.0.status(), 426, "it asks for no WebSocket");
}

#[cfg(unix)]
#[tokio::test]
async fn other_transports_than_tcp_serve_too() {
    let dir = std::env::temp_dir().join(format!("ropeway-attach-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("socket");
    let _ = std::fs::remove_file(&path);
    let (server, log) = (Server::builder().build(), Log::default());
    server.handle_with(log.clone());
    let app: Router = Router::new().route("/", get(|| async { "page" })).layer(server.layer());
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let stream = Transport::other(UnixStream::connect(&path).await.unwrap());
    let mut ws = Client::new().connect("ws://localhost/").over(stream).await.unwrap();
    ws.send("through a file").await.unwrap();
    assert!(ws.close(1000, "").await.unwrap().clean);
    assert_eq!(log.take_texts(), ["through a file"]);
    assert_eq!(log.handle().remote_addr(), None);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn both_shut_down_together() {
    let server = Server::builder().path("/ws").build();
    server.handle_with(Log::default());
    let app: Router = Router::new().route("/", get(|| async { "page" })).layer(server.layer());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn({
        let server = server.clone();
        async move {
            let stopped = async move {
                stopped.await.unwrap();
                server.shutdown().timeout(Duration::from_secs(60)).await;
            };
            axum::serve(listener, app).with_graceful_shutdown(stopped).await
        }
    });
    let mut ws = ropeway::connect(&format!("ws://{addr}/ws")).await.unwrap();
    stop.send(()).unwrap();
    assert_eq!(ws.recv().await.unwrap(), None);
    let closed = ws.outcome().unwrap();
    assert_eq!((closed.code.as_u16(), closed.clean), (1001, true));
    running.await.unwrap().unwrap();
    assert!(TcpStream::connect(addr).await.is_err());
}

// Among other layers.

/// Layers of tower-http that look into answers and make some of their own, around and below the server's.
#[tokio::test]
async fn layers_of_others_stand_on_either_side() {
    let server = Server::builder().path("/ws").build();
    server.on_connection(|ws, _| {
        ws.on_message(|ws, message| ws.send(message).unwrap());
    });
    let pages = || Router::new().route("/", get(|| async { "page ".repeat(100) }));
    let timeout = || TimeoutLayer::with_status_code(http::StatusCode::REQUEST_TIMEOUT, Duration::from_secs(60));
    let outside = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(CorsLayer::permissive())
        .layer(timeout())
        .layer(CompressionLayer::new())
        .layer(server.layer());
    let inside = ServiceBuilder::new()
        .layer(server.layer())
        .layer(CompressionLayer::new())
        .layer(TraceLayer::new_for_http())
        .layer(CorsLayer::permissive())
        .layer(timeout());
    let one_by_one = pages().layer(CompressionLayer::new()).layer(server.layer()).layer(TraceLayer::new_for_http());
    for app in [pages().layer(outside), pages().layer(inside), one_by_one] {
        let addr = serve_app(app).await;
        let mut ws = ropeway::connect(&format!("ws://{addr}/ws")).await.unwrap();
        ws.send("hello").await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
        let page = "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br\r\nConnection: close\r\n\r\n";
        let (response, _) = ask(addr, page).await;
        assert_eq!(response.headers()["content-encoding"], "br");
        let (response, body) = ask(addr, &ask_for_ws("Origin: https://evil.example\r\n")).await;
        assert_eq!(response.status(), 403);
        assert!(body.contains("https://evil.example"), "{body}");
    }
}

#[tokio::test]
async fn the_app_may_answer_refusals_in_its_own_way() {
    let server = Server::builder().path("/ws").build();
    server.handle_with(Log::default());
    let layer = server.layer().map_refusal(|refusal| {
        let json = format!(r#"{{"status":{}}}"#, refusal.status().as_u16());
        let mut answer = refusal.to_response();
        answer.headers_mut().insert("content-type", "application/json".parse().unwrap());
        // It would be left open, and whatever a proxy takes for frames be read as requests.
        answer.headers_mut().insert("connection", "keep-alive".parse().unwrap());
        answer.map(|_| json.into())
    });
    let addr = serve_app(Router::new().layer(layer)).await;
    let (response, body) = ask(addr, &ask_for_ws("").replace("Version: 13", "Version: 8")).await;
    assert_eq!((response.status().as_u16(), body.as_str()), (426, r#"{"status":426}"#));
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(
        ["content-type", "sec-websocket-version", "connection"].map(header),
        ["application/json", "13", "close, Upgrade"]
    );
}

/// An HTTP server that does not hand its connections over.
#[tokio::test]
async fn where_the_connection_cannot_be_had_the_answer_says_so() {
    let server = Server::builder().build();
    server.handle_with(Log::default());
    let mut request = http::Request::get("/ws").header("host", "a").header("upgrade", "websocket");
    for (name, value) in [("connection", "upgrade"), ("sec-websocket-version", "13")] {
        request = request.header(name, value);
    }
    let mut request = request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").body(()).unwrap();
    let answer = server.answer(&mut request).await;
    assert_eq!(answer.status(), 500);
    let text = String::from_utf8(answer.into_body().into_bytes().into()).unwrap();
    assert!(text.contains("such as a second extractor") && text.contains("RFC 9110 section 7.8"), "{text}");
    eventually("its place is free", || server.clients().is_empty()).await;
}

/// The application is not asked about a client that cannot be accepted, and rules of the handshake come first.
#[tokio::test]
async fn where_the_connection_cannot_be_had_the_application_is_not_asked() {
    let (server, asked) = (Server::builder().build(), Arc::new(AtomicUsize::new(0)));
    let decide = {
        let asked = Arc::clone(&asked);
        move |_| {
            asked.fetch_add(1, SeqCst);
            std::future::ready(Ok(ropeway::Accept::new()))
        }
    };
    server.authorize(decide).handle_with(Log::default());
    for (version, status) in [("13", 500), ("8", 426)] {
        let mut request = http::Request::get("/ws").header("host", "a").header("upgrade", "websocket");
        for (name, value) in [("connection", "upgrade"), ("sec-websocket-version", version)] {
            request = request.header(name, value);
        }
        let mut request = request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").body(()).unwrap();
        assert_eq!(server.answer(&mut request).await.status(), status);
    }
    assert_eq!(asked.load(SeqCst), 0);
}

/// A 101 that a layer throws away gives its place up.
#[tokio::test]
async fn an_answer_that_a_layer_replaces_costs_no_place() {
    let server = Server::builder().path("/ws").max_connections(1).build();
    server.on_connection(|_, _| {});
    let replace = axum::middleware::from_fn(|request: Request, next: axum::middleware::Next| async {
        let is_bad = request.headers().contains_key("x-bad");
        let response = next.run(request).await;
        if is_bad { http::StatusCode::IM_A_TEAPOT.into_response() } else { response }
    });
    let addr = serve_app(Router::new().layer(server.layer()).layer(replace)).await;
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(ask_for_ws("X-Bad: yes\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    tcp.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 418");
    drop(tcp);
    let free = async { while ropeway::connect(&format!("ws://{addr}/ws")).await.is_err() {} };
    within("its place is free", free).await;
}

/// Three ways to a server at `/ws`, and a layer around each that answers requests with `X-Bad` in the server's place.
fn ways_with_a_replaced_answer(server: &Server, opened: &Arc<AtomicUsize>) -> [(&'static str, Router); 3] {
    let open = {
        let opened = Arc::clone(opened);
        move |ws: &mut Listeners, _: Handshake| {
            opened.fetch_add(1, SeqCst);
            ws.on_message(|ws, message| ws.send(message).unwrap());
        }
    };
    server.on_connection(open.clone());
    let answer = {
        let server = server.clone();
        move |mut request: Request| async move { server.answer(&mut request).await }
    };
    let extract = async move |ws: Upgrade| ws.on_connection(open);
    let extracting = Router::new().route("/ws", any(extract)).layer(axum::Extension(server.clone()));
    let ways = [
        ("layer", Router::new().layer(server.layer())),
        ("answer", Router::new().route("/ws", any(answer))),
        ("extractor", extracting),
    ];
    ways.map(|(name, app)| {
        let replace = |request: Request, next: axum::middleware::Next| async {
            let is_bad = request.headers().contains_key("x-bad");
            let response = next.run(request).await;
            if is_bad { http::StatusCode::IM_A_TEAPOT.into_response() } else { response }
        };
        (name, app.layer(axum::middleware::from_fn(replace)))
    })
}

/// Sends a request whose 101 is replaced, and reads the head that comes instead.
async fn ask_in_vain(addr: SocketAddr) -> TcpStream {
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(ask_for_ws("X-Bad: yes\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(within("an answer", tcp.read_u8()).await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 418"));
    tcp
}

/// hyper keeps the connection for further requests, and hands it over at its end. That may be hours later.
#[tokio::test]
async fn a_place_is_not_held_for_as_long_as_a_connection_lives_whose_101_was_replaced() {
    let try_way = async |at| {
        // It is waited for, yet leaves a stalled machine the time to open a connection.
        let server = Server::builder().path("/ws").max_connections(1).handshake_timeout(Duration::from_secs(2)).build();
        let opened = Arc::default();
        let (name, app) = ways_with_a_replaced_answer(&server, &opened).into_iter().nth(at).unwrap();
        let addr = serve_app(app).await;
        let mut tcp = ask_in_vain(addr).await;
        let free = async {
            while ropeway::connect(&format!("ws://{addr}/ws")).await.is_err() {
                // The server tells nobody that a place is free, so it is asked again until it is.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        within(&format!("{name}: its place is free"), free).await;
        // The connection still serves HTTP, and a shutdown does not wait for it.
        tcp.write_all(ask_for_ws("X-Bad: yes\r\n").as_bytes()).await.unwrap();
        assert_eq!(within("an answer", tcp.read_u8()).await.unwrap(), b'H', "{name}");
        let shutdown = server.shutdown().timeout(PATIENCE * 2).into_future();
        let left = within(&format!("{name}: it shuts down"), shutdown).await;
        assert!(left.is_none(), "{name}");
        assert_eq!(opened.load(SeqCst), 1, "{name}: the one that was told 101");
    };
    tokio::join!(try_way(0), try_way(1), try_way(2));
}

/// Clients leave when they are refused, and hyper hands their connections over then.
#[tokio::test]
async fn a_client_that_was_never_told_101_and_leaves_is_not_opened() {
    for at in 0..3 {
        let server = Server::builder().path("/ws").handshake_timeout(PATIENCE * 2).build();
        let opened = Arc::default();
        let (name, app) = ways_with_a_replaced_answer(&server, &opened).into_iter().nth(at).unwrap();
        let addr = serve_app(app).await;
        for _ in 0..5 {
            drop(ask_in_vain(addr).await);
        }
        // It waits for their places.
        let shutdown = server.shutdown().timeout(PATIENCE * 2).into_future();
        let left = within(&format!("{name}: it shuts down"), shutdown).await;
        assert!(left.is_none(), "{name}");
        assert_eq!(opened.load(SeqCst), 0, "{name}");
    }
}

/// A body that asks nothing of the one inside but its frames, as that of tower-http's layer for timeouts.
struct Opaque(axum::body::Body);

impl hyper::body::Body for Opaque {
    type Data = axum::body::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

/// Whatever a layer does with the body of a 101, the connection opens.
#[tokio::test]
async fn layers_that_change_the_body_of_a_101_keep_no_connection_from_opening() {
    use axum::body::Body;
    use axum::middleware::map_response;
    use axum::response::Response;

    for at in 0..3 {
        let layers: [fn(Router) -> Router; 5] = [
            |app| app.layer(CompressionLayer::new()).layer(TraceLayer::new_for_http()),
            |app| app.layer(map_response(async |response: Response| response.map(|body| Body::new(Opaque(body))))),
            |app| app.layer(map_response(async |response: Response| response.map(|_| Body::empty()))),
            |app| app.layer(map_response(async |response: Response| response.map(|_| Body::from("another")))),
            |app| {
                app.layer(map_response(async |response: Response| {
                    let (head, body) = response.into_parts();
                    let bytes = axum::body::to_bytes(body, 100).await.unwrap();
                    Response::from_parts(head, Body::from(bytes))
                }))
            },
        ];
        for (number, layer) in layers.into_iter().enumerate() {
            let (server, opened) = (Server::builder().path("/ws").build(), Arc::default());
            let (name, app) = ways_with_a_replaced_answer(&server, &opened).into_iter().nth(at).unwrap();
            let addr = serve_app(layer(app)).await;
            let mut ws = ropeway::connect(&format!("ws://{addr}/ws")).await.unwrap();
            ws.send("hello").await.unwrap();
            let echo = within(&format!("it opens: {name}, {number}"), ws.recv()).await.unwrap();
            assert_eq!(echo, Some("hello".into()), "{name}, {number}");
        }
    }
}

// Where the app has the request from.

/// Within `nest`, axum shows its services the rest of the path.
#[tokio::test]
async fn within_nest_paths_are_those_of_the_nest_or_whole_and_the_handshake_has_the_whole() {
    for path in ["/rooms", "/api/v1/rooms"] {
        let server = Server::builder().path(path).build();
        server.on_connection(|ws, handshake| ws.send(format!("{} {}", handshake.path(), handshake.uri())).unwrap());
        let answer = {
            let server = server.clone();
            move |mut request: Request| async move { server.answer(&mut request).await }
        };
        let handler = Router::new().route("/rooms", any(answer));
        let layered = Router::new().route("/rooms", get(|| async { "page" })).layer(server.layer());
        for inner in [handler, layered] {
            let app = Router::new().nest("/api", Router::new().nest("/v1", inner));
            let addr = serve_app(app).await;
            let mut ws = ropeway::connect(&format!("ws://{addr}/api/v1/rooms?id=7")).await.unwrap();
            let told = ws.recv().await.unwrap().unwrap();
            assert_eq!(told.as_text(), Some("/api/v1/rooms /api/v1/rooms?id=7"), "{path}");
        }
    }
}

/// The default route, which is for every path, hides none that is registered as a whole: it may be guarded.
#[tokio::test]
async fn within_nest_a_whole_path_comes_before_the_default_route() {
    let server = Server::builder().build();
    server.on_connection(|ws, _| ws.send("default").unwrap());
    server.at("/inside").on_connection(|ws, _| ws.send("nested").unwrap());
    server.at("/api/both").on_connection(|ws, _| ws.send("whole").unwrap());
    server.at("/both").on_connection(|ws, _| ws.send("nested").unwrap());
    server
        .at("/api/admin")
        .authorize(async |_| Err::<ropeway::Accept, _>(Refusal::json(401, "{}")))
        .handle_with(Log::default());
    let answer = {
        let server = server.clone();
        move |mut request: Request| async move { server.answer(&mut request).await }
    };
    let handler = Router::new().route("/{*path}", any(answer));
    let layered = Router::new().route("/{*path}", get(|| async { "page" })).layer(server.layer());
    for inner in [handler, layered] {
        let addr = serve_app(Router::new().nest("/api", inner)).await;
        let (response, body) = ask(addr, &request("").replace("/chat", "/api/admin")).await;
        assert_eq!((response.status().as_u16(), body.as_str()), (401, "{}"));
        for (path, expected) in [("/api/both", "whole"), ("/api/inside", "nested"), ("/api/other", "default")] {
            let mut ws = ropeway::connect(&format!("ws://{addr}{path}")).await.unwrap();
            assert_eq!(ws.recv().await.unwrap(), Some(expected.into()), "{path}");
        }
    }
}

/// A transport of which the peer's address cannot be asked, such as TLS: axum knows it, if it is served with it.
#[tokio::test]
async fn the_peers_address_comes_from_connect_info_where_the_transport_is_not_tcp() {
    let server = Server::builder().trusted_proxies(["192.0.2.1".parse().unwrap()]).build();
    server.on_connection(|ws, handshake| {
        ws.send(format!("{:?} {:?}", ws.remote_addr(), handshake.client_ip())).unwrap();
    });
    let peer: SocketAddr = "192.0.2.1:4711".parse().unwrap();
    let app: Router = Router::new().layer(server.layer()).layer(axum::Extension(ConnectInfo(peer)));
    let (near, far) = tokio::io::duplex(4096);
    tokio::spawn(serve_one(app, far));
    // The origin is that of the host that the proxy names, which is believed by its address.
    let client = Client::new()
        .header("x-forwarded-for", "203.0.113.7")
        .header("x-forwarded-host", "outside.example")
        .header("origin", "https://outside.example");
    let mut ws = client.connect("ws://inside.example/").over(Transport::other(near)).await.unwrap();
    let told = ws.recv().await.unwrap().unwrap();
    assert_eq!(told.as_text(), Some("Some(192.0.2.1:4711) Some(203.0.113.7)"));
}
