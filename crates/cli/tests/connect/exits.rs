//! Exit codes, and the texts that come with them.

use ropeway::http::StatusCode;
use ropeway::{Accept, Refusal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::program::{Outcome, run};
use crate::server::{self, open, raw, start};

/// Reads until the client leaves.
async fn listen(mut tcp: TcpStream) {
    while tcp.read(&mut [0; 1024]).await.is_ok_and(|count| count > 0) {}
}

/// The outcome of a session with a server that sends these frames, and leaves once the client has sent something.
async fn after(frames: &'static [u8]) -> Outcome {
    after_with(frames, &[]).await
}

async fn after_with(frames: &'static [u8], args: &[&str]) -> Outcome {
    let url = open(move |mut tcp| async move {
        tcp.write_all(frames).await.unwrap();
        assert!(tcp.read(&mut [0; 1024]).await.unwrap() > 0);
    });
    run(&[&[&*url.await, "--wait", "forever"], args].concat(), "").await
}

/// The outcome if the server answers the opening handshake with these bytes.
async fn answered(answer: &'static [u8]) -> Outcome {
    let url = raw(move |mut tcp| async move {
        tcp.read_exact(&mut [0; 100]).await.unwrap();
        tcp.write_all(answer).await.unwrap();
        tcp.shutdown().await.unwrap();
        listen(tcp).await;
    });
    run(&[&url.await], "never sent\n").await
}

#[tokio::test]
async fn closed_with_1000_or_1001_or_no_code_is_success() {
    assert_eq!(after(b"\x88\x02\x03\xe8").await.output(), "");
    assert_eq!(after(b"\x88\x02\x03\xe9").await.output(), "");
    assert_eq!(after(b"\x88\x00").await.output(), "");
}

#[tokio::test]
async fn another_close_code_is_6_and_shown_with_its_reason() {
    let url = start(|mut ws, _| async move {
        ws.send("before").await.unwrap();
        ws.close(4001, "go away").await.unwrap();
    });
    let outcome = run(&[&url.await, "--wait", "forever"], "").await;
    assert_eq!(outcome.stdout, b"before\n");
    let said = outcome.failure(6);
    assert!(said.contains("4001 (private use) \"go away\""), "{said}");
}

#[tokio::test]
async fn a_connection_lost_without_a_close_frame_is_6() {
    let url = open(|mut tcp| async move { tcp.write_all(b"\x81\x02hi").await.unwrap() });
    let outcome = run(&[&url.await, "--wait", "forever"], "").await;
    assert_eq!(outcome.stdout, b"hi\n");
    let said = outcome.failure(6);
    assert!(said.contains("1006") && said.contains("without a close frame"), "{said}");
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_2() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    drop(listener);
    let said = run(&[&url], "").await.failure(2);
    assert!(said.contains("could not be reached"), "{said}");
}

#[tokio::test]
async fn a_server_that_hangs_up_without_an_answer_is_2() {
    let said = answered(b"").await.failure(2);
    assert!(said.contains("without an answer"), "{said}");
}

#[tokio::test]
async fn a_refusal_is_3_with_its_status_and_its_body() {
    let server = ropeway::Server::bind("127.0.0.1:0").await.unwrap();
    server.spawn_each(|_, _| async {});
    let refuse = async |_| Err::<Accept, _>(Refusal::new(StatusCode::FORBIDDEN, "not on a Sunday"));
    server.authorize(refuse).on_connection(|_, _| ());
    let said = run(&[&server::run(server)], "never sent\n").await.failure(3);
    assert!(said.contains("HTTP/1.1 403 Forbidden") && said.contains("not on a Sunday"), "{said}");
}

#[tokio::test]
async fn a_refusal_cannot_play_with_the_terminal_and_is_not_endless() {
    let said = answered(b"HTTP/1.1 418 I'm a teapot\r\nX-Tea: green\r\n\r\n\x1b[2Jshort and stout").await.failure(3);
    assert!(said.contains("\\x1b[2Jshort and stout") && !said.contains("x-tea"), "{said}");

    let page = Box::leak(format!("HTTP/1.1 500 Oh\r\n\r\n{}", "x".repeat(10_000)).into_bytes().into_boxed_slice());
    let said = answered(page).await.failure(3);
    assert!(said.contains("and 5904 bytes more"), "{said}");
}

#[tokio::test]
async fn a_refusal_whose_body_does_not_end_is_shown_as_far_as_it_came() {
    let url = raw(|mut tcp| async move {
        tcp.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nlater").await.unwrap();
        listen(tcp).await;
    });
    let said = run(&[&url.await, "--timeout", "2"], "").await.failure(3);
    assert!(said.contains("503 Service Unavailable") && said.contains("later"), "{said}");
}

#[tokio::test]
async fn a_violation_is_4_and_what_came_before_it_is_written() {
    let outcome = after(b"\x81\x02hi\x83\x00").await;
    assert_eq!(outcome.stdout, b"hi\n");
    let said = outcome.failure(4);
    assert!(said.contains("opcode 0x3") && said.contains("1002"), "{said}");
}

#[tokio::test]
async fn an_answer_that_is_no_websocket_servers_is_4() {
    let said = answered(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tea\r\n\r\n").await.failure(4);
    assert!(said.contains("RFC 6455"), "{said}");
    answered(b"SSH-2.0-OpenSSH\r\n").await.failure(4);
}

#[tokio::test]
async fn an_opening_handshake_that_takes_too_long_is_5() {
    let said = run(&[&raw(listen).await, "--timeout", "0.1"], "").await.failure(5);
    assert!(said.contains("not finished in time"), "{said}");
}

#[tokio::test]
async fn a_closing_handshake_that_takes_too_long_is_5() {
    let said = run(&[&open(listen).await, "--close-timeout", "0.1", "--no-wait"], "").await.failure(5);
    assert!(said.contains("closing handshake in time (see --close-timeout)"), "{said}");
}

#[tokio::test]
async fn limits_can_be_set_and_are_called_by_their_options() {
    let outcome = after_with(b"\x81\x05hello\x88\x00", &["--max-payload", "5"]).await;
    assert_eq!(outcome.output(), "hello\n");
    for (frames, option) in [
        (&b"\x81\x05hello"[..], "--max-payload"),
        (b"\x01\x01a\x00\x01b\x00\x01c\x80\x01d", "--max-fragments"),
        (b"\x89\x00\x89\x00\x89\x00\x89\x00", "--max-control-rate"),
    ] {
        let said = after_with(frames, &[option, "3"]).await.failure(4);
        assert!(said.contains(&format!("raise {option} ")), "{said}");
    }
}

#[tokio::test]
async fn a_server_that_answers_no_ping_is_5_soon() {
    let url = open(listen).await;
    let said = run(&[&url, "--ping", "0.1", "--ping-timeout", "0.2", "--wait", "forever"], "").await.failure(5);
    assert!(said.contains("answered no ping in time (see --ping and --ping-timeout)"), "{said}");
}

#[tokio::test]
async fn wrong_usage_is_64() {
    for (args, says) in [
        (&["ftp://example.org"][..], "use ws://"),
        (&["ws://"], "<URL>"),
        (&["ws://h", "-H", "no colon"], "a colon"),
        (&["ws://h", "-H", "Upgrade: tea"], "upgrade"),
        (&["ws://h", "--subprotocol", "a b"], "\"a b\""),
        (&["ws://h", "--timeout", "0"], "more than 0"),
        (&["ws://h", "--wait", "long"], "number of seconds"),
        (&["ws://h", "--wait", "-1"], "not a time that can be waited for"),
        (&["ws://h", "--wait", "1", "--no-wait"], "--no-wait"),
        (&[], "<URL>"),
    ] {
        let said = run(args, "").await.failure(64);
        assert!(said.contains(says), "{args:?}: {said}");
    }
}
