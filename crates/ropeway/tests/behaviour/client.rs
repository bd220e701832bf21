//! The client: its request, its timeouts, the connections that it drops, its masks, and its two APIs. The check of a
//! server's answer is in the rows of `testdata/handshake-client.toml`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ropeway::{Accept, Client, ClientError, Config, Error, Message, ReadyState, Refusal, Server, Transport, WebSocket};
use ropeway_proto::handshake::{HeadReader, Limits, ServerOptions, accept};
use testkit::Event;
use testkit::wire::{CONTINUATION, Frame, PING, PONG, TEXT};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::script::{Log, code_of, open_client, open_client_with};
use super::wire::{Wire, settle, wire};

const SECOND: Duration = Duration::from_secs(1);

type Connecting = tokio::task::JoinHandle<Result<WebSocket, Error>>;

/// A client that has sent its request, to a server of which only the wire exists.
async fn knock(client: &Client, url: &'static str) -> (Connecting, Wire) {
    let (wire, end) = wire();
    let client = client.clone();
    let connecting = tokio::spawn(async move { client.connect(url).over(Transport::other(end)).await });
    settle().await;
    (connecting, wire)
}

/// An echo server on a port of its own.
async fn echo() -> Server {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    server.on_connection(|ws, _| {
        ws.on_message(|ws, message| ws.send(message).unwrap());
    });
    tokio::spawn({
        let server = server.clone();
        async move { server.run().await }
    });
    server
}

fn url(server: &Server) -> String {
    format!("ws://{}/", server.local_addr().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_client_asks_for_what_it_was_told_to() {
    let client = Client::new()
        .header("authorization", "Bearer 1")
        .header("cookie", "a=b")
        .origin("https://example.com")
        .subprotocols(["v2", "v1"])
        .per_message_deflate(None);
    let (_connecting, wire) = knock(&client, "ws://example.com:8005/path?query#not sent").await;
    assert_eq!(wire.take_written(), b"", "a fragment is no part of a WebSocket's URL");
    let (_connecting, wire) = knock(&client, "ws://example.com:8005/path?query").await;
    let (request, _) = HeadReader::new(Limits::server()).handle_request(&wire.take_written()).unwrap().unwrap();
    assert_eq!(request.uri(), "/path?query");
    let headers = request.headers();
    let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
    for (name, expected) in [
        ("host", Some("example.com:8005")),
        ("authorization", Some("Bearer 1")),
        ("cookie", Some("a=b")),
        ("origin", Some("https://example.com")),
        ("sec-websocket-protocol", Some("v2, v1")),
        ("sec-websocket-version", Some("13")),
        ("sec-websocket-extensions", None),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    // By default it offers compression and sends no origin, and each request has another key.
    let mut keys = Vec::new();
    for _ in 0..2 {
        let (_connecting, wire) = knock(&Client::new(), "ws://example.com/").await;
        let (request, _) = HeadReader::new(Limits::server()).handle_request(&wire.take_written()).unwrap().unwrap();
        assert_eq!(request.headers()["host"], "example.com");
        assert!(request.headers().contains_key("sec-websocket-extensions"));
        assert!(!request.headers().contains_key("origin"));
        keys.push(request.headers()["sec-websocket-key"].clone());
    }
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_given_up_after_the_handshake_timeout() {
    for (seconds, client) in [(10, Client::new()), (3, Client::new().handshake_timeout(3 * SECOND))] {
        let start = Instant::now();
        let (connecting, wire) = knock(&client, "ws://example.com/").await;
        // A few bytes now and then are not an answer.
        for byte in b"HTTP" {
            wire.send_bytes([*byte]);
            sleep(SECOND / 2).await;
        }
        let error = connecting.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Handshake(ClientError::Timeout)), "{error:?}");
        assert_eq!(start.elapsed(), seconds * SECOND);
        assert!(wire.is_dropped());
    }
}

#[tokio::test(start_paused = true)]
async fn connecting_can_be_given_up_at_any_time() {
    let (connecting, wire) = knock(&Client::new(), "ws://example.com/").await;
    wire.send_bytes("HTTP/1.1 101 ");
    settle().await;
    connecting.abort();
    settle().await;
    assert!(wire.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_leaves_before_it_answers_is_an_error() {
    let (connecting, wire) = knock(&Client::new(), "ws://example.com/").await;
    wire.end();
    let error = connecting.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Handshake(ClientError::Closed { .. })), "{error:?}");

    let (connecting, wire) = knock(&Client::new(), "ws://example.com/").await;
    wire.reset();
    let error = connecting.await.unwrap().unwrap_err();
    let Error::Connect(error) = error else { panic!("{error:?}") };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_refusal_is_given_with_its_body() {
    let server = echo().await;
    server.authorize(async |_| Err::<Accept, _>(Refusal::new(403, "not you"))).handle_with(Log::default());
    let error = ropeway::connect(&url(&server)).await.unwrap_err();
    let response = error.response().expect("the server answered");
    assert_eq!((response.status().as_u16(), response.body().as_slice()), (403, &b"not you"[..]));
    assert!(error.to_string().contains("403"), "{error}");
}

#[tokio::test]
async fn an_url_that_is_none_is_an_error_before_anything_is_connected() {
    for url in ["", "example.com", "ftp://example.com/", "ws://", "ws://a b/", "ws://example.com/#fragment"] {
        let error = ropeway::connect(url).await.unwrap_err();
        assert!(matches!(error, Error::Handshake(ClientError::Target(_))), "{url}: {error:?}");
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_an_error() {
    let addr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = ropeway::connect(&format!("ws://{addr}/")).await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
}

#[tokio::test]
async fn a_client_can_listen() {
    let server = echo().await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let handle = Client::new()
        .connect(&url(&server))
        .on_connection(move |ws, handshake| {
            assert_eq!(handshake.response.status(), 101);
            ws.send("first").unwrap();
            let (message, close) = (tell.clone(), tell);
            ws.on_message(move |_, received| message.send(received.to_string()).unwrap());
            ws.on_close(move |_, closed| close.send(closed.to_string()).unwrap());
        })
        .await
        .unwrap();
    handle.send("second").unwrap();
    assert_eq!(told.recv().await.unwrap(), "first");
    assert_eq!(told.recv().await.unwrap(), "second");
    handle.close(4000, "done").unwrap();
    assert_eq!(told.recv().await.unwrap(), "4000 (private use) \"done\"");
    handle.closed().await;
    assert_eq!(handle.ready_state(), ReadyState::Closed);
}

#[tokio::test]
async fn a_client_can_handle() {
    let (server, log) = (echo().await, Log::default());
    let handle = Client::new().connect(&url(&server)).handle_with(log.clone()).await.unwrap();
    handle.send(vec![7; 100_000]).unwrap();
    handle.ping("are you there").sent().unwrap();
    handle.close(1000, "").unwrap();
    handle.closed().await;
    let events = log.take_events();
    assert!(events.contains(&Event::Binary(vec![7; 100_000])));
    assert!(events.contains(&Event::Pong(b"are you there".to_vec())));
    assert!(log.closed().clean);
}

#[tokio::test]
async fn many_clients_and_messages_find_their_way() {
    let server = echo().await;
    let mut tasks = Vec::new();
    for client in 0..50 {
        let url = url(&server);
        tasks.push(tokio::spawn(async move {
            let mut ws = ropeway::connect(&url).await.unwrap();
            for number in 0..100 {
                let message = Message::from(format!("{client} {number} {}", "x".repeat(number * 37)));
                ws.send(message.clone()).await.unwrap();
                assert_eq!(ws.recv().await.unwrap(), Some(message));
            }
            assert!(ws.close(1000, "").await.unwrap().clean);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    server.shutdown().timeout(SECOND).await;
}

#[tokio::test]
async fn both_ends_compress_when_both_want_to() {
    let server = Server::builder().per_message_deflate(ropeway::deflate::Options::context_takeover());
    let server = server.bind("127.0.0.1:0").await.unwrap();
    server.on_connection(|ws, handshake| {
        assert!(handshake.response.headers().contains_key("sec-websocket-extensions"));
        ws.on_message(|ws, message| ws.send(message).unwrap());
    });
    let url = url(&server);
    tokio::spawn(async move { server.run().await });
    for client in [
        Client::new(),
        Client::new().per_message_deflate(ropeway::deflate::Options::no_context_takeover()),
        Client::new().per_message_deflate(ropeway::deflate::Options::default().client_max_window_bits(9).threshold(0)),
    ] {
        let mut ws = client.connect(&url).await.unwrap();
        for number in 0..50 {
            let message = Message::from(format!("message {number} ").repeat(number * 20));
            ws.send(message.clone()).await.unwrap();
            assert_eq!(ws.recv().await.unwrap(), Some(message));
        }
        assert!(ws.close(1000, "").await.unwrap().clean);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_asks_a_silent_server_and_gives_it_up_too() {
    let (mut ws, wire) = open_client(&Client::new()).await;
    sleep(20 * SECOND).await;
    let start = Instant::now();
    settle().await;
    assert_eq!(wire.take_frames()[0].opcode, PING);
    let Err(Error::Lost(closed)) = ws.recv().await else { panic!("it is lost") };
    assert_eq!(closed.cause, ropeway::Cause::KeepaliveTimeout);
    assert_eq!(start.elapsed(), 20 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_clients_limits_hold_for_servers() {
    let (mut ws, wire) = open_client(&Client::new().max_payload(10)).await;
    wire.send(&[Frame::new(TEXT, "fits"), Frame::new(TEXT, "does not fit")]);
    settle().await;
    assert_eq!(wire.take_frames().iter().map(code_of).collect::<Vec<_>>(), [1009]);
    wire.end();
    assert_eq!(ws.recv().await.unwrap(), Some("fits".into()));
    assert!(matches!(ws.recv().await, Err(Error::Violation(_))));

    let config = Config::client().max_payload(1 << 30);
    let (mut ws, wire) = open_client(&Client::new().config(config)).await;
    wire.send(&[Frame::new(TEXT, "x".repeat(1000))]);
    assert_eq!(ws.recv().await.unwrap().unwrap().len(), 1000);
}

/// Answers a client's request with this many additional headers.
fn answer_with_headers(wire: &Wire, more: usize) {
    let (request, _) = HeadReader::new(Limits::server()).handle_request(&wire.take_written()).unwrap().unwrap();
    let answer = accept(&request, &ServerOptions::default()).unwrap().response_bytes();
    let (head, end) = answer.split_at(answer.len() - 2);
    let more: Vec<_> = (0..more).map(|number| format!("x-{number}: v\r\n")).collect();
    wire.send_bytes([head, more.concat().as_bytes(), end].concat());
}

#[tokio::test(start_paused = true)]
async fn a_client_takes_more_of_the_server_it_chose_than_a_server_takes_of_anyone() {
    let (connecting, wire) = knock(&Client::new(), "ws://example.com/").await;
    answer_with_headers(&wire, 1_000);
    let mut ws = connecting.await.unwrap().unwrap();

    let first = Frame { fin: false, ..Frame::new(TEXT, "") };
    let next = Frame { fin: false, ..Frame::new(CONTINUATION, "x") };
    wire.send(&[vec![first], vec![next; 120_000], vec![Frame::new(CONTINUATION, "")]].concat());
    assert_eq!(ws.recv().await.unwrap().map(|message| message.len()), Some(120_000));

    // A header that announces 100 MiB.
    wire.send_bytes([&[0x82, 127][..], &(100_u64 << 20).to_be_bytes(), b"a"].concat());
    settle().await;
    assert_eq!(wire.take_frames(), []);
}

#[tokio::test(start_paused = true)]
async fn a_clients_limits_can_be_set() {
    let client = Client::new().head_limits(Limits::server().max_headers(50));
    let (connecting, wire) = knock(&client, "ws://example.com/").await;
    answer_with_headers(&wire, 50);
    let error = connecting.await.unwrap().unwrap_err();
    let text = "the server's answer has more than 50 header lines, which is the limit here (RFC 6585 section 5); raise the \
                client's limit for header lines if such an answer is expected";
    assert_eq!(error.to_string(), text);

    let (_ws, wire) = open_client(&Client::new().max_fragments(2)).await;
    let first = Frame { fin: false, ..Frame::new(TEXT, "x") };
    let next = Frame { fin: false, ..Frame::new(CONTINUATION, "x") };
    wire.send(&[first, next.clone(), next]);
    settle().await;
    assert_eq!(wire.take_frames().iter().map(code_of).collect::<Vec<_>>(), [1008]);

    let (_ws, wire) = open_client(&Client::new().max_control_rate(2)).await;
    wire.send(&vec![Frame::new(PONG, ""); 3]);
    settle().await;
    assert_eq!(wire.take_frames().iter().map(code_of).collect::<Vec<_>>(), [1008]);

    let (_ws, wire) = open_client(&Client::new().message_timeout(SECOND)).await;
    wire.send(&[Frame { fin: false, ..Frame::new(TEXT, "x") }]);
    sleep(2 * SECOND).await;
    assert_eq!(wire.take_frames().iter().map(code_of).collect::<Vec<_>>(), [1008]);
}

#[tokio::test]
async fn a_connection_is_found_by_name_and_by_ipv6() {
    let server = echo().await;
    let port = server.local_addr().unwrap().port();
    ropeway::connect(&format!("ws://localhost:{port}/")).await.unwrap();
    // Some machines have no IPv6.
    if let Ok(listener) = TcpListener::bind("[::1]:0").await {
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(None));
        server.on_connection({
            let seen = Arc::clone(&seen);
            move |ws, handshake| {
                *seen.lock().unwrap() = handshake.client_ip();
                ws.send("seen").unwrap();
            }
        });
        tokio::spawn(async move { server.serve(listener).await });
        let mut ws = ropeway::connect(&url).await.unwrap();
        ws.recv().await.unwrap();
        assert!(seen.lock().unwrap().unwrap().is_ipv6());
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_gets_what_came_right_behind_the_servers_answer() {
    let behind = [Frame::new(TEXT, "welcome").encode(), Frame::new(TEXT, "here").encode()].concat();
    let (connecting, wire) = open_client_with(&Client::new(), None, &behind).await;
    let mut ws = connecting.await;
    assert_eq!(ws.recv().await.unwrap(), Some("welcome".into()));
    assert_eq!(ws.recv().await.unwrap(), Some("here".into()));
    ws.send("thanks").await.unwrap();
    settle().await;
    let frame = wire.take_frames().remove(0);
    assert!(frame.mask.is_some());
    assert_eq!(frame.payload, b"thanks");
}

#[tokio::test(start_paused = true)]
async fn a_client_masks_each_frame_with_another_key() {
    let (ws, wire) = open_client(&Client::new()).await;
    for _ in 0..100 {
        ws.send("x").await.unwrap();
    }
    settle().await;
    let keys: std::collections::HashSet<_> = wire.take_frames().into_iter().map(|frame| frame.mask).collect();
    assert!(!keys.contains(&None));
    assert!(keys.len() > 95, "{} keys for 100 frames", keys.len());
}

#[tokio::test(start_paused = true)]
async fn a_client_masks_with_the_keys_that_it_is_given() {
    // The key of the example in RFC 6455 section 5.7.
    for (key, on_the_wire) in
        [([0; 4], "Hello".as_bytes()), ([0x37, 0xfa, 0x21, 0x3d], &[0x7f, 0x9f, 0x4d, 0x51, 0x58])]
    {
        let (ws, wire) = open_client(&Client::new().generate_mask(move || key).per_message_deflate(None)).await;
        ws.send("Hello").await.unwrap();
        settle().await;
        assert_eq!(wire.take_written(), [&[0x81, 0x85], &key[..], on_the_wire].concat());
    }
}

#[tokio::test(start_paused = true)]
async fn masking_keys_may_come_from_a_source_with_state() {
    let next = AtomicU32::new(1);
    let client = Client::new().generate_mask(move || next.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let ((one, wire), (other, other_wire)) = (open_client(&client).await, open_client(&client).await);
    for (ws, wire, number) in [(&one, &wire, 1), (&other, &other_wire, 2), (&one, &wire, 3_u32)] {
        ws.send("x").await.unwrap();
        settle().await;
        let keys: Vec<_> = wire.take_frames().into_iter().map(|frame| frame.mask).collect();
        assert_eq!(keys, [Some(number.to_be_bytes())]);
    }
}
