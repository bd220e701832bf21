//! The opening handshake on a server's port. These tests cover what the rows of `testdata/` cannot express: times,
//! limits on the number of connections, bytes before and behind a request, and requests that do not ask for a
//! WebSocket.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use ropeway::{Accept, Bytes, Destination, Refusal, Server, Transport, UpgradeRequest};
use testkit::Event;
use testkit::wire::{Frame, PONG};
use tokio::time::{Instant, sleep};

use super::handshake_rows::read_response;
use super::script::{Log, knock, open, open_with, ping, request, text};
use super::wire::{SETTLING, Wire, settle, wire};

const SECOND: Duration = Duration::from_secs(1);

fn server() -> (Server, Log) {
    serve_with(Server::builder().build())
}

fn serve_with(server: Server) -> (Server, Log) {
    let log = Log::default();
    server.handle_with(log.clone());
    (server, log)
}

/// Sends a request. Returns the whole answer of the server: status, headers, body.
async fn ask(server: &Server, request: impl Into<Vec<u8>>) -> (http::Response<()>, String) {
    let wire = knock(server);
    wire.send_bytes(request);
    settle().await;
    answer_of(&wire)
}

/// The only answer on a wire, which the server has ended.
fn answer_of(wire: &Wire) -> (http::Response<()>, String) {
    assert!(wire.is_ended(), "the server ends the connection behind its answer");
    read_response(&wire.take_written())
}

// Bytes that come with a request.

#[tokio::test(start_paused = true)]
async fn bytes_right_behind_the_handshake_are_the_first_messages() {
    let (server, log) = server();
    let mut bytes = request("").into_bytes();
    for frame in [text("first"), ping("second"), text("third")] {
        frame.encode_into(&mut bytes);
    }
    let wire = knock(&server);
    wire.send_bytes(bytes);
    settle().await;
    let events = [Event::Text("first".into()), Event::Ping(b"second".to_vec()), Event::Text("third".into())];
    assert_eq!(log.take_events(), events);
    let written = wire.take_written();
    let pong = Frame::new(PONG, "second").encode();
    assert!(written.starts_with(b"HTTP/1.1 101 ") && written.ends_with(&pong), "the answer comes first");
}

#[tokio::test(start_paused = true)]
async fn half_a_frame_behind_the_handshake_is_kept_until_the_rest_comes() {
    let (server, log) = server();
    let frame = text("whole").encode();
    let (first, rest) = frame.split_at(7);
    let wire = open_with(&server, [request("").as_bytes(), first].concat()).await;
    assert_eq!(log.take_events(), []);
    wire.send_bytes(rest);
    settle().await;
    assert_eq!(log.take_texts(), ["whole"]);
}

#[tokio::test(start_paused = true)]
async fn bytes_behind_a_refused_request_never_reach_the_application() {
    let (server, log) = server();
    server.on_http(|_| panic!("this is not asked"));
    let refused = request("").replace("Version: 13", "Version: 12");
    let wire = knock(&server);
    wire.send_bytes([refused, request(""), "GET / HTTP/1.1\r\nHost: a\r\n\r\n".into()].concat());
    settle().await;
    wire.send_bytes(request(""));
    wire.send(&[text("smuggled")]);
    settle().await;
    let (response, body) = answer_of(&wire);
    assert_eq!(response.status(), 426);
    assert_eq!(response.headers()["sec-websocket-version"], "13");
    assert!(body.contains("version \"12\""), "{body}");
    assert_eq!(body.lines().count(), 1, "nothing is answered but the first: {body}");
    assert_eq!(log.told().handles.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_is_read_to_its_end_so_that_it_gets_the_answer() {
    let (server, _log) = server();
    let wire = knock(&server);
    wire.send_bytes("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n");
    settle().await;
    assert!(wire.is_ended() && !wire.is_dropped(), "unread bytes would reset the connection");
    for _ in 0..9 {
        wire.send_bytes(vec![b'a'; 100_000]);
        settle().await;
    }
    assert!(wire.read() > 900_000, "{}", wire.read());
    assert!(!wire.is_dropped());
    wire.end();
    settle().await;
    assert!(wire.is_dropped());
    assert_eq!(answer_of(&wire).0.status(), 426);
}

#[tokio::test(start_paused = true)]
async fn at_most_16_mib_are_read_from_a_refused_client() {
    let (server, _log) = server();
    let wire = knock(&server);
    wire.send_bytes("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 900000000\r\n\r\n");
    settle().await;
    for _ in 0..100 {
        wire.send_bytes(vec![b'a'; 1 << 20]);
    }
    settle().await;
    assert!(wire.read() <= (16 << 20) + (128 << 10) + 100, "{} bytes were read", wire.read());
    assert!(wire.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_that_does_not_go_is_dropped_after_two_seconds() {
    let (server, _log) = server();
    let wire = knock(&server);
    wire.send_bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    settle().await;
    sleep(2 * SECOND - Duration::from_millis(1)).await;
    assert!(!wire.is_dropped());
    sleep(Duration::from_millis(1)).await;
    settle().await;
    assert!(wire.is_dropped());
}

// Times.

#[tokio::test(start_paused = true)]
async fn half_a_head_is_answered_with_408_when_the_time_is_up() {
    let (server, log) = server();
    let wire = knock(&server);
    wire.send_bytes("GET /chat HTTP/1.1\r\nHost: a\r\n");
    sleep(10 * SECOND - 2 * SETTLING).await;
    settle().await;
    assert!(!wire.is_ended());
    sleep(SETTLING).await;
    settle().await;
    let (response, body) = answer_of(&wire);
    assert_eq!(response.status(), 408);
    assert!(body.contains("not finished in time"), "{body}");
    assert_eq!(log.told().handles.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_closed_without_an_answer() {
    let (server, _log) = server();
    let wire = knock(&server);
    sleep(10 * SECOND).await;
    settle().await;
    assert!(wire.is_dropped());
    assert_eq!(wire.take_written(), b"");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_a_byte_a_second_gets_no_more_time_than_others() {
    let server = Server::builder().handshake_timeout(5 * SECOND).build();
    let (server, log) = serve_with(server);
    let start = Instant::now();
    let wire = knock(&server);
    let mut bytes = request("").into_bytes().into_iter();
    while !wire.is_ended() {
        wire.send_bytes([bytes.next().expect("it is cut off long before it is done")]);
        sleep(SECOND).await;
        settle().await;
    }
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(answer_of(&wire).0.status(), 408);
    // Others were not delayed, and their connections last longer than that time.
    let other = open(&server).await;
    sleep(6 * SECOND).await;
    other.send(&[text("still here")]);
    settle().await;
    assert_eq!(log.take_texts(), ["still here"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_a_client_reads_slowly_is_not_mixed_with_another() {
    let (server, _log) = server();
    let page = vec![b'a'; 100_000];
    server.on_http(move |_| http::Response::new(Bytes::from(page.clone())));
    let wire = knock(&server);
    wire.set_room(Some(1000));
    wire.send_bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    settle().await;
    assert_eq!(wire.take_written().len(), 1000);
    sleep(9 * SECOND).await;
    wire.set_room(Some(1000));
    settle().await;
    assert_eq!(wire.take_written(), [b'a'; 1000]);
    sleep(2 * SECOND).await;
    wire.set_room(None);
    settle().await;
    // The time is up, but no 408 is sent into the middle of the page.
    assert_eq!(wire.take_written(), b"");
    assert!(wire.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_the_101_is_let_go() {
    let (server, log) = server();
    let wire = knock(&server);
    wire.set_room(Some(20));
    wire.send_bytes(request(""));
    sleep(10 * SECOND).await;
    settle().await;
    wire.set_room(None);
    sleep(10 * SECOND).await;
    settle().await;
    assert!(wire.is_dropped());
    assert_eq!(wire.take_written(), b"HTTP/1.1 101 Switchi");
    assert_eq!(log.told().handles.len(), 0);
}

// Limits.

#[tokio::test(start_paused = true)]
async fn a_head_with_thousands_of_headers_is_refused_wherever_the_upgrade_is() {
    let (server, log) = server();
    let many: Vec<String> = (0..2000).map(|number| format!("h{number}:\r\n")).collect();
    let many = many.concat();
    let upgrade_last =
        format!("GET /chat HTTP/1.1\r\nHost: a\r\n{many}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let (response, body) = ask(&server, upgrade_last).await;
    assert_eq!(response.status(), 431);
    assert!(body.contains("more than 100 header lines"), "{body}");
    let (response, _) = ask(&server, request(&many)).await;
    assert_eq!(response.status(), 431);
    assert_eq!(log.told().handles.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_head_without_end_is_refused_at_its_limit() {
    let (server, _log) = server();
    let wire = knock(&server);
    wire.send_bytes("GET /chat HTTP/1.1\r\nCookie: ");
    let mut sent = 0;
    while !wire.is_ended() {
        wire.send_bytes([b'a'; 10]);
        sent += 10;
        assert!(sent < 17_000, "the limit of 16 KiB holds");
        settle().await;
    }
    let (response, body) = answer_of(&wire);
    assert_eq!(response.status(), 431);
    assert!(body.contains("16384 bytes") && body.contains("cookies"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn beyond_the_most_connections_clients_are_told_to_try_again() {
    let (server, _log) = serve_with(Server::builder().max_connections(2).build());
    let (first, _second) = (open(&server).await, open(&server).await);
    assert_eq!(server.clients().len(), 2);
    let (response, body) = ask(&server, request("")).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "5");
    assert!(body.contains("full or shutting down"), "{body}");

    first.end();
    settle().await;
    open(&server).await;
}

#[tokio::test(start_paused = true)]
async fn connections_in_their_handshake_count_towards_the_limit() {
    let (server, log) = serve_with(Server::builder().max_connections(1).build());
    // Its 101 is on its way when the other one comes.
    let slow = knock(&server);
    slow.set_room(Some(0));
    slow.send_bytes(request(""));
    settle().await;
    let (response, _) = ask(&server, request("")).await;
    assert_eq!(response.status(), 503);
    // A client that never gets its 101 gives its place up.
    sleep(13 * SECOND).await;
    settle().await;
    assert!(slow.is_dropped());
    assert_eq!(log.told().handles.len(), 0);
    open(&server).await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_timeout_that_the_clock_cannot_reach_never_comes() {
    let server = Server::builder().handshake_timeout(Duration::MAX).build();
    server.handle_with(Log::default());
    let wire = knock(&server);
    sleep(Duration::from_hours(24)).await;
    wire.send_bytes(request(""));
    settle().await;
    assert!(wire.take_written().starts_with(b"HTTP/1.1 101 "));
}

// Decisions of the application.

#[tokio::test(start_paused = true)]
async fn other_paths_than_the_servers_are_refused_by_name() {
    let (server, log) = serve_with(Server::builder().path("/ws").build());
    server.at("/other").handle_with(log.clone());
    let (response, body) = ask(&server, request("")).await;
    assert_eq!(response.status(), 404);
    assert!(body.contains("\"/chat\""), "{body}");
    for path in ["/ws", "/ws?token=1", "/other"] {
        open_with(&server, request("").replace("/chat", path)).await;
    }
    assert_eq!(ask(&server, request("").replace("/chat", "/ws/")).await.0.status(), 404);
}

#[tokio::test(start_paused = true)]
async fn the_debug_form_of_a_handshake_shows_no_cookie_and_no_authorization() {
    let (server, shown) = (Server::builder().build(), Arc::new(Mutex::new(String::new())));
    server.on_connection({
        let shown = Arc::clone(&shown);
        move |_, handshake| *shown.lock().unwrap() = format!("{handshake:?}")
    });
    let secrets = "Cookie: secret\r\nAuthorization: secret\r\nProxy-Authorization: secret\r\nX-Other: shown\r\n";
    open_with(&server, request(secrets)).await;
    let shown = shown.lock().unwrap();
    assert!(shown.contains("shown") && !shown.contains("secret"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_page_of_another_origin_is_refused() {
    let (server, _log) = server();
    let (response, body) = ask(&server, request("Origin: https://evil.example\r\n")).await;
    assert_eq!(response.status(), 403);
    assert!(body.contains("https://evil.example") && body.contains("server.example.com"), "{body}");
    open_with(&server, request("Origin: https://server.example.com\r\n")).await;
    let (server, _log) = serve_with(Server::builder().allow_any_origin().build());
    open_with(&server, request("Origin: https://evil.example\r\n")).await;
}

#[tokio::test(start_paused = true)]
async fn the_application_can_refuse_with_an_answer_of_its_own() {
    let (server, log) = (Server::builder().build(), Log::default());
    let authorize = async |request: UpgradeRequest| match request.header("authorization") {
        Some(_) => Ok(Accept::new()),
        None => Err(Refusal::new(401, "log in first").header("www-authenticate", "Basic")),
    };
    server.authorize(authorize).handle_with(log.clone());
    let (response, body) = ask(&server, request("")).await;
    assert_eq!((response.status().as_u16(), body.as_str()), (401, "log in first"));
    assert_eq!(response.headers()["www-authenticate"], "Basic");
    assert_eq!(log.told().handles.len(), 0);
    open_with(&server, request("Authorization: Basic YTpi\r\n")).await;
}

#[tokio::test(start_paused = true)]
async fn the_host_of_a_request_is_the_same_everywhere() {
    let (server, seen) = (Server::builder().build(), Arc::new(Mutex::new(Vec::new())));
    let note = |seen: &Arc<Mutex<Vec<String>>>| {
        let seen = Arc::clone(seen);
        move |destination: Option<Destination>| {
            seen.lock().unwrap().push(destination.expect("a host is named").authority().to_string());
        }
    };
    let authorize = {
        let note = note(&seen);
        move |request: UpgradeRequest| {
            note(request.destination());
            std::future::ready(Ok(Accept::new()))
        }
    };
    server.authorize(authorize).on_connection({
        let note = note(&seen);
        move |_, handshake| note(handshake.destination())
    });
    let absolute = request("Origin: http://app.test\r\n").replace("/chat", "http://app.test/chat");
    open_with(&server, absolute).await;
    assert_eq!(*seen.lock().unwrap(), ["app.test", "app.test"]);
    let strangers = request("Origin: http://server.example.com\r\n").replace("/chat", "http://app.test/chat");
    assert_eq!(ask(&server, strangers).await.0.status(), 403);
    open_with(&server, request("Origin: http://server.example.com\r\n")).await;
    assert_eq!(seen.lock().unwrap()[2..], ["server.example.com", "server.example.com"]);
}

#[tokio::test(start_paused = true)]
async fn the_handshake_tells_who_connects_and_what_was_agreed() {
    let server = Server::builder().subprotocols(["v2", "v1"]).trusted_proxies(["10.0.0.0/8".parse().unwrap()]).build();
    let seen = Arc::new(Mutex::new(Vec::new()));
    server.on_connection({
        let seen = Arc::clone(&seen);
        move |ws, handshake| {
            assert_eq!(handshake.remote_addr, ws.remote_addr());
            let agreed = handshake.response.headers().get("sec-websocket-protocol").cloned();
            assert_eq!(agreed.as_ref().map(|agreed| agreed.to_str().unwrap()), handshake.subprotocol.as_deref());
            let uri = handshake.uri().to_string();
            seen.lock().unwrap().push((handshake.client_ip(), handshake.subprotocol.clone(), uri));
        }
    });
    let headers =
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.7, 10.0.0.9\r\nSec-WebSocket-Protocol: v3, v1, v2\r\n";
    for from in [Some("10.0.0.1:99"), Some("198.51.100.1:99"), None] {
        let (wire, end) = wire();
        let server = server.clone();
        let from = from.map(|addr| addr.parse::<SocketAddr>().unwrap());
        tokio::spawn(async move { server.serve_stream(Transport::other(end), from).await });
        wire.send_bytes(request(headers).replace("/chat", "/chat?room=1"));
        settle().await;
    }
    let expected = [Some("203.0.113.7"), Some("198.51.100.1"), None].map(|addr| {
        let addr = addr.map(|addr| addr.parse::<IpAddr>().unwrap());
        (addr, Some("v1".to_owned()), "/chat?room=1".to_owned())
    });
    assert_eq!(*seen.lock().unwrap(), expected);
}

// Requests that do not ask for a WebSocket.

#[tokio::test(start_paused = true)]
async fn a_plain_request_is_told_to_upgrade() {
    let (server, _log) = server();
    let (response, body) = ask(&server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(response.status(), 426);
    assert_eq!(response.headers()["upgrade"], "websocket");
    assert_eq!(response.headers()["sec-websocket-version"], "13");
    assert_eq!(response.headers()["content-length"], body.len().to_string());
    assert!(body.contains("ws://"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_plain_request_gets_the_page_where_there_is_one() {
    let (server, log) = server();
    let page = |request: &Request<()>| {
        let body = format!("{} {}", request.method(), request.uri());
        http::Response::builder().header("etag", "\"1\"").body(Bytes::from(body)).unwrap()
    };
    server.on_http(page);
    let (response, body) = ask(&server, "GET /page?1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((response.status().as_u16(), body.as_str()), (200, "GET /page?1"));
    assert_eq!(response.headers()["etag"], "\"1\"");
    // RFC 9112 section 9.6: a server that ends the connection after an answer says so in the answer.
    assert_eq!(response.headers()["connection"], "close");
    let (response, body) = ask(&server, "POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na=b").await;
    assert_eq!((response.status().as_u16(), body.as_str()), (200, "POST /form"));
    // WebSockets are served on the same port.
    let wire = open(&server).await;
    wire.send(&[text("hello")]);
    settle().await;
    assert_eq!(log.take_texts(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_head_has_no_body() {
    let (server, _log) = server();
    let (response, body) = ask(&server, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((response.status().as_u16(), body.as_str()), (426, ""));
    assert_ne!(response.headers()["content-length"], "0");
    let (response, body) = ask(&server, request("").replace("GET", "HEAD")).await;
    assert_eq!((response.status().as_u16(), body.as_str()), (405, ""));
    server.on_http(|_| http::Response::new("page".into()));
    let (response, body) = ask(&server, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((response.status().as_u16(), body.as_str()), (200, ""));
    assert_eq!(response.headers()["content-length"], "4");
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_not_http_are_refused_and_a_client_that_leaves_is_not_answered() {
    let (server, _log) = server();
    let (response, body) = ask(&server, "\x16\x03\x01\x02\x00\x01").await;
    assert_eq!(response.status(), 400);
    assert!(body.contains("TLS"), "{body}");
    let wire = knock(&server);
    wire.send_bytes("GET / HT");
    wire.end();
    settle().await;
    assert!(wire.is_dropped());
    assert_eq!(wire.take_written(), b"");
}

#[tokio::test(start_paused = true)]
async fn an_application_that_panics_over_a_request_takes_no_other_with_it() {
    let (server, log) = server();
    server.on_http(|request| panic!("{}", request.uri()));
    let (response, body) = ask(&server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(response.status(), 500);
    assert!(body.contains("RFC 9110 section 15.6.1"), "{body}");
    let other = open(&server).await;
    other.send(&[text("hello")]);
    settle().await;
    assert_eq!(log.take_texts(), ["hello"]);
}
