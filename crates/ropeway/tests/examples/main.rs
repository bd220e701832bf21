//! Each example is started as a program and spoken to. `cargo test` builds the examples, and
//! `cargo test --test examples` does not.

mod listed;
mod program;
mod speaking;

use ropeway::{Client, CloseCode, Message, Server, WebSocket};

use program::Program;
#[cfg(any(unix, feature = "tls"))]
use program::TemporaryFile;
use speaking::{ask, connect, end, get, send, text, within};

/// Any free port.
const LOCAL: &str = "127.0.0.1:0";

#[tokio::test]
async fn echo_sends_each_message_back_and_prints_how_it_ended() {
    let mut echo = Program::start("echo", &[LOCAL]);
    let mut ws = connect(&echo.url().await).await;
    assert_eq!(ask(&mut ws, "hello").await, Message::from("hello"));
    assert_eq!(ask(&mut ws, &[1, 2, 3]).await, Message::from(&[1, 2, 3]));
    within("the server's close frame", ws.close(4000, "enough")).await.unwrap();
    echo.line(r#"closed: 4000 (private use) "enough""#).await;
    echo.end().await;
}

#[tokio::test]
async fn client_asks_echo_and_closes() {
    let mut echo = Program::start("echo", &[LOCAL]);
    let mut client = Program::start("client", &[&echo.url().await]);
    client.line(r#"received: Text("hello")"#).await;
    client.line(r#"closed: 1000 (normal closure) "that was all""#).await;
    client.ends_well().await;
    echo.line("closed: 1000").await;
    echo.end().await;
}

#[tokio::test]
async fn pull_asks_one_thing_after_the_other() {
    let mut pull = Program::start("pull", &[LOCAL]);
    let mut ws = connect(&pull.url().await).await;
    assert_eq!(text(&mut ws).await, "What is your name?");
    assert_eq!(ask(&mut ws, "Ada").await, Message::from("Hello, Ada! What shall I repeat?"));
    send(&ws, "echo").await;
    for _ in 0..3 {
        assert_eq!(text(&mut ws).await, "echo");
    }
    assert_eq!(end(&mut ws).await, (CloseCode::NORMAL, "bye".to_owned()));
    pull.line("closed: 1000").await;
    pull.end().await;
}

#[tokio::test]
async fn handler_counts_for_each_connection_and_for_all() {
    let mut handler = Program::start("handler", &[LOCAL]);
    let url = handler.url().await;
    let (mut one, mut two) = (connect(&format!("{url}one")).await, connect(&format!("{url}two")).await);
    assert_eq!(ask(&mut one, "a").await, Message::from("1 of 1"));
    assert_eq!(ask(&mut two, "b").await, Message::from("1 of 2"));
    assert_eq!(ask(&mut one, "c").await, Message::from("2 of 3"));
    within("the server's close frame", one.close(1000, "")).await.unwrap();
    handler.line(r#""/one" sent 2 messages: 1000"#).await;
    handler.end().await;
}

#[tokio::test]
async fn json_answers_requests_and_mistakes() {
    let mut json = Program::start("json", &[LOCAL]);
    let mut ws = connect(&json.url().await).await;
    for (request, answer) in [
        (r#"{"type":"add","a":1,"b":2}"#, r#"{"type":"sum","value":3}"#),
        (r#"{"type":"shout","text":"hello"}"#, r#"{"type":"shouted","text":"HELLO"}"#),
        (r#"{"type":"add","a":9223372036854775807,"b":1}"#, r#"{"type":"error","message":"the sum is too large"}"#),
    ] {
        assert_eq!(ask(&mut ws, request).await, Message::from(answer));
    }
    let answer = ask(&mut ws, "no JSON").await;
    assert!(answer.as_text().unwrap().starts_with(r#"{"type":"error","message":"expected"#), "{answer}");
    json.end().await;
}

#[tokio::test]
async fn chat_serves_its_page_and_tells_everybody() {
    let mut chat = Program::start("chat", &[LOCAL]);
    let addr = chat.addr().await;
    let page = get(&addr, "/").await;
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("<title>ropeway chat</title>"), "{page}");

    let mut one = connect(&format!("ws://{addr}/")).await;
    let hello = text(&mut one).await;
    let guest = hello.strip_suffix(" is here").expect(&hello);
    let mut two = connect(&format!("ws://{addr}/")).await;
    let other = text(&mut two).await;
    assert_eq!(text(&mut one).await, other);
    send(&one, "hello").await;
    for ws in [&mut one, &mut two] {
        assert_eq!(text(ws).await, format!("{guest}: hello"));
    }
    within("the server's close frame", one.close(1000, "")).await.unwrap();
    assert_eq!(text(&mut two).await, format!("{guest} has left"));
    chat.end().await;
}

#[tokio::test]
async fn rooms_keep_apart_and_know_who_is_there() {
    let mut rooms = Program::start("rooms", &[LOCAL]);
    let addr = rooms.addr().await;
    let enter = async |place: &str| connect(&format!("ws://{addr}/rooms/{place}")).await;
    let mut ada = enter("kitchen/Ada").await;
    assert_eq!(text(&mut ada).await, "Ada is here, 1 in the room");
    let mut elsewhere = enter("hall/Charles").await;
    assert_eq!(text(&mut elsewhere).await, "Charles is here, 1 in the room");
    let mut grace = enter("kitchen/Grace").await;
    for ws in [&mut ada, &mut grace] {
        assert_eq!(text(ws).await, "Grace is here, 2 in the room");
    }
    send(&grace, "hello").await;
    for ws in [&mut ada, &mut grace] {
        assert_eq!(text(ws).await, "Grace: hello");
    }
    assert_eq!(ask(&mut ada, "/who").await, Message::from("Ada, Grace"));
    within("the server's close frame", ada.close(1000, "")).await.unwrap();
    assert_eq!(text(&mut grace).await, "Ada has left, 1 in the room");
    assert_eq!(ask(&mut elsewhere, "/who").await, Message::from("Charles"));
    // A path without a route.
    let error = Client::new().connect(&format!("ws://{addr}/rooms/kitchen")).await.unwrap_err();
    assert_eq!(error.response().expect("a refusal").status(), 404);
    rooms.end().await;
}

#[tokio::test]
async fn authentication_refuses_strangers_and_knows_its_users() {
    let mut authentication = Program::start("authentication", &[LOCAL]);
    let url = authentication.url().await;
    let open = async |name: &str, value: &str| Client::new().header(name, value).connect(&url).await;
    let refused = ropeway::connect(&url).await.unwrap_err();
    let answer = refused.response().expect("a refusal");
    assert_eq!((answer.status().as_u16(), answer.headers()["www-authenticate"].as_bytes()), (401, &b"Bearer"[..]));
    let refused = open("authorization", "Bearer 1234").await.unwrap_err();
    assert_eq!(refused.response().expect("a refusal").status(), 403);

    let mut ada = open("authorization", "Bearer ada-1815").await.unwrap();
    assert_eq!(text(&mut ada).await, "hello Ada, you may do everything");
    let mut grace = open("cookie", "theme=dark; session=grace-1906").await.unwrap();
    assert_eq!(text(&mut grace).await, "hello Grace");
    let long = "a".repeat(2000);
    assert_eq!(ask(&mut ada, &long).await, Message::from(format!("Ada: {long}")));
    send(&grace, &long).await;
    assert_eq!(end(&mut grace).await.0, CloseCode::TOO_BIG);
    authentication.end().await;
}

#[tokio::test]
async fn feed_sends_one_price_after_the_other_to_all() {
    let mut feed = Program::start("feed", &[LOCAL]);
    let url = feed.url().await;
    for _ in 0..2 {
        let mut ws = connect(&url).await;
        let mut numbers = Vec::new();
        for _ in 0..2 {
            let price = text(&mut ws).await;
            numbers.push(price.split_once(' ').and_then(|(_, number)| number.parse::<u64>().ok()).expect(&price));
        }
        assert_eq!(numbers[0] + 1, numbers[1]);
        within("the server's close frame", ws.close(1000, "")).await.unwrap();
        feed.line("missed 0 messages: 1000").await;
    }
    feed.end().await;
}

#[tokio::test]
async fn ping_measures_a_round_trip() {
    let mut echo = Program::start("echo", &[LOCAL]);
    let mut ping = Program::start("ping", &[&echo.url().await, "1"]);
    ping.line("1: ").await;
    ping.ends_well().await;
    echo.line("closed: 1000").await;
    echo.end().await;
}

#[tokio::test]
async fn bridge_passes_messages_and_ends_both_ways() {
    let upstream = Server::bind(LOCAL).await.unwrap();
    upstream.spawn_each(async |mut ws: WebSocket, _| {
        while let Ok(Some(message)) = ws.recv().await {
            match message.as_text() {
                Some("close") => drop(ws.close(4002, "from upstream").await),
                Some("close without code") => drop(ws.close_without_code().await),
                Some("terminate") => ws.terminate(),
                _ => ws.send(message).await.unwrap(),
            }
        }
    });
    let url = format!("ws://{}/", upstream.local_addr().unwrap());
    let serving = tokio::spawn({
        let upstream = upstream.clone();
        async move { upstream.run().await }
    });

    let mut bridge = Program::start("bridge", &[LOCAL, &url]);
    let url = bridge.url().await;
    for (said, code, reason) in [
        ("close", CloseCode::from(4002), "from upstream"),
        ("close without code", CloseCode::NONE, ""),
        ("terminate", CloseCode::BAD_GATEWAY, "the other side was lost"),
    ] {
        let mut ws = connect(&url).await;
        assert_eq!(ask(&mut ws, "hello").await, Message::from("hello"));
        send(&ws, said).await;
        assert_eq!(end(&mut ws).await, (code, reason.to_owned()), "{said}");
    }
    // And the other way.
    let mut ws = connect(&url).await;
    assert_eq!(ask(&mut ws, "hello").await, Message::from("hello"));
    // The connections before this one have been counted off.
    within("one client at the upstream", async {
        while upstream.clients().len() != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let upstream_end = upstream.clients()[0].clone();
    within("the bridge's close frame", ws.close(4001, "from the client")).await.unwrap();
    let closed = within("the upstream's end", upstream_end.closed()).await;
    assert_eq!((closed.code, &*closed.reason), (CloseCode::from(4001), "from the client"));

    within("the upstream's shutdown", upstream.shutdown()).await;
    within("the end of serving", serving).await.unwrap().unwrap();
    let error = ropeway::connect(&url).await.unwrap_err();
    assert_eq!(error.response().expect("a refusal").status(), 502);
    bridge.end().await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn tls_client_trusts_tls_server_and_others_do_not() {
    let file = TemporaryFile::new("certificate.pem");
    let mut server = Program::start("tls_server", &[LOCAL, file.path()]);
    let url = server.url().await;
    let error = ropeway::connect(&url).await.unwrap_err();
    assert!(matches!(error, ropeway::Error::Tls(_)), "{error}");
    let mut client = Program::start("tls_client", &[&url, file.path()]);
    client.line(r#"received: Text("hello")"#).await;
    client.ends_well().await;
    server.end().await;
}

#[cfg(unix)]
#[tokio::test]
async fn shutdown_closes_with_1012_and_lets_handlers_finish() {
    shuts_down("shutdown", nix::sys::signal::Signal::SIGTERM, "").await;
}

#[cfg(all(unix, feature = "axum"))]
#[tokio::test]
async fn axum_shutdown_closes_with_1012_and_lets_handlers_finish() {
    shuts_down("axum_shutdown", nix::sys::signal::Signal::SIGINT, "ws").await;
}

#[cfg(unix)]
async fn shuts_down(name: &str, signal: nix::sys::signal::Signal, path: &str) {
    let mut program = Program::start(name, &[LOCAL]);
    let url = format!("ws://{}/{path}", program.addr().await);
    let (mut one, mut two) = (connect(&url).await, connect(&url).await);
    for ws in [&mut one, &mut two] {
        assert_eq!(ask(ws, "hello").await, Message::from("hello"));
    }
    program.signal(signal);
    for ws in [&mut one, &mut two] {
        assert_eq!(end(ws).await, (CloseCode::SERVICE_RESTART, "restart".to_owned()));
        program.line("saved").await;
    }
    program.line("done").await;
    program.ends_well().await;
}

#[cfg(unix)]
#[tokio::test]
async fn unix_socket_serves_itself_and_others() {
    let file = TemporaryFile::new("unix.sock");
    let mut program = Program::start("unix_socket", &[file.path()]);
    program.line("listening on ").await;
    program.line(r#"received: Text("hello")"#).await;
    let stream = tokio::net::UnixStream::connect(file.path()).await.unwrap();
    let mut ws = Client::new().connect("ws://localhost/ws").over(stream).await.unwrap();
    assert_eq!(ask(&mut ws, "hello").await, Message::from("hello"));
    within("the server's close frame", ws.close(1000, "")).await.unwrap();
    program.end().await;
}

#[cfg(feature = "hyper")]
#[tokio::test]
async fn hyper_serves_pages_and_a_websocket() {
    let mut hyper = Program::start("hyper", &[LOCAL]);
    let addr = hyper.addr().await;
    for (path, status) in [("/", 200), ("/elsewhere", 404), ("/ws", 426)] {
        let answer = get(&addr, path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
    let mut ws = connect(&format!("ws://{addr}/ws")).await;
    assert_eq!(ask(&mut ws, "hello").await, Message::from("hello"));
    within("the server's close frame", ws.close(1000, "")).await.unwrap();
    hyper.end().await;
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn axum_listeners_greets_and_prints_what_it_hears_escaped() {
    greets("axum_listeners", &["hello from the server, lobby"]).await;
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn axum_pull_greets_and_prints_what_it_hears_escaped() {
    greets("axum_pull", &["you are visitor 1", "hello from the server, lobby"]).await;
}

/// Both are tested in a browser too, with their page: `conformance/browser/examples.test.mjs`.
#[cfg(feature = "axum")]
async fn greets(name: &str, greetings: &[&str]) {
    let mut program = Program::start(name, &[LOCAL]);
    let addr = program.addr().await;
    let page = get(&addr, "/").await;
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("<title>ropeway starter</title>"), "{page}");
    let mut ws = connect(&format!("ws://{addr}/ws/lobby")).await;
    program.line("client 127.0.0.1").await;
    for greeting in greetings {
        assert_eq!(text(&mut ws).await, *greeting);
    }
    send(&ws, "\u{1b}[2Jhello").await;
    program.line(r"message: \u{1b}[2Jhello").await;
    within("the server's close frame", ws.close(4000, "enough")).await.unwrap();
    program.line("closed: 4000").await;

    let mut lost = connect(&format!("ws://{addr}/ws/lobby")).await;
    // Ended before that, the greeting would be what fails.
    text(&mut lost).await;
    lost.terminate();
    program.line("error: the connection was lost").await;
    program.line("closed: 1006").await;
    program.end().await;
}
