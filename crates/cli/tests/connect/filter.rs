//! The filter: its input, its output, and its end.

use std::fmt::Write;

use ropeway::{CloseCode, Handshake, Message, WebSocket, deflate};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot};

use crate::program::{command, end, run};
use crate::server::{self, echo, open, start};
use crate::soon::soon;

fn lines(count: usize) -> String {
    let mut lines = String::new();
    for number in 0..count {
        writeln!(lines, "line {number}").unwrap();
    }
    lines
}

#[tokio::test]
async fn each_line_comes_back_as_a_line() {
    let lines = lines(5000);
    assert_eq!(run(&[&echo().await], &lines).await.output(), lines);
}

#[tokio::test]
async fn empty_lines_and_a_last_line_without_an_end_are_messages() {
    assert_eq!(run(&[&echo().await], "\n\r\n \nlast").await.output(), "\n\r\n \nlast\n");
}

#[tokio::test]
async fn a_line_of_ten_mebibytes_is_one_message() {
    let line = "x".repeat(10 << 20) + "\n";
    let output = run(&[&echo().await], &line).await.output();
    assert!(output == line, "{} bytes came back", output.len());
}

#[tokio::test]
async fn a_line_that_is_not_utf_8_is_sent_as_a_binary_message() {
    assert_eq!(run(&[&echo().await], b"\xff\xfe\ntext\n").await.output(), "fffe\ntext\n");
}

#[tokio::test]
async fn binary_messages_are_written_as_asked_for() {
    for (how, expected) in [("hex", &b"000aff\n"[..]), ("base64", b"AAr/\n"), ("raw", b"\0\n\xff")] {
        let url = start(|mut ws, _| async move {
            ws.send(vec![0, b'\n', 255]).await.unwrap();
            ws.close(1000, "").await.unwrap();
        });
        let outcome = run(&[&url.await, "--binary", how, "--wait", "forever"], "").await;
        assert_eq!((outcome.code, &*outcome.stdout), (Some(0), expected), "{how}");
    }
}

#[tokio::test]
async fn replies_that_come_after_the_end_of_the_input_are_waited_for() {
    let url = start(|mut ws, _| async move {
        let mut messages = Vec::new();
        while messages.len() < 3 {
            messages.push(ws.recv().await.unwrap().unwrap());
        }
        for message in messages.into_iter().rev() {
            ws.send(message).await.unwrap();
        }
        // Only the client ends this.
        assert_eq!(ws.recv().await.unwrap(), None);
    });
    // As many messages as were sent are enough, long before the time is up.
    assert_eq!(run(&[&url.await, "--wait", "86400"], "1\n2\n3\n").await.output(), "3\n2\n1\n");
}

/// Messages that the server sends by itself are not replies, whether they come with the handshake or after the first
/// line was sent.
#[tokio::test]
async fn a_greeting_does_not_count_as_a_reply() {
    for greeting_comes_first in [true, false] {
        let (tell, told) = oneshot::channel();
        let url = open(move |mut tcp| async move {
            if greeting_comes_first {
                tcp.write_all(b"\x81\x08Welcome!").await.unwrap();
            }
            // A ping of 22 bytes, then "query". Each has a header of two bytes and a mask.
            let mut sent = [0; 28 + 11];
            tcp.read_exact(&mut sent).await.unwrap();
            assert_eq!((sent[0], sent[28]), (0x89, 0x81));
            let ping: Vec<u8> =
                sent[6..28].iter().zip(sent[2..6].iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            if !greeting_comes_first {
                tcp.write_all(b"\x81\x08Welcome!").await.unwrap();
            }
            tcp.write_all(&[&b"\x8a\x16"[..], &ping].concat()).await.unwrap();
            // The answer is sent after the greeting has been written and handled.
            let _: Result<(), _> = told.await;
            tcp.write_all(b"\x81\x06answer").await.unwrap();
            // The close frame.
            tcp.read_exact(&mut [0; 8]).await.unwrap();
        });
        let mut child = command(&[&url.await, "--wait", "86400", "-v"]).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"query\n").await.unwrap();
        let mut notes = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(soon("a message", output.next_line()).await.unwrap().as_deref(), Some("Welcome!"));
        loop {
            let note = soon("a note of the pong", notes.next_line()).await.unwrap().expect("a note of the pong");
            assert!(!note.contains("closing"), "the greeting was taken for the reply: {note}");
            if note.contains("pong") {
                break;
            }
        }
        tell.send(()).unwrap();
        assert_eq!(soon("a message", output.next_line()).await.unwrap().as_deref(), Some("answer"));
        let told = loop {
            let note = soon("a note of the close", notes.next_line()).await.unwrap().expect("a note of the close");
            if note.contains("closing") {
                break note;
            }
        };
        assert!(told.contains("closing with 1000"), "{told}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_reply_is_not_waited_for_longer_than_asked() {
    let url = start(|mut ws, _| async move { while let Ok(Some(_)) = ws.recv().await {} }).await;
    assert_eq!(run(&[&url, "--wait", "0.1"], "1\n2\n").await.output(), "");
}

#[tokio::test]
async fn without_a_wait_all_that_comes_before_the_answer_to_the_close_is_written() {
    let lines = lines(1000);
    assert_eq!(run(&[&echo().await, "--no-wait"], &lines).await.output(), lines);
}

#[tokio::test]
async fn waiting_forever_ends_when_the_server_closes() {
    let url = start(|mut ws, _| async move {
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from("subscribe")));
        for number in 0..10 {
            ws.send(format!("news {number}")).await.unwrap();
        }
        ws.close(1001, "that was all").await.unwrap();
    });
    let output = run(&[&url.await, "--wait", "forever"], "subscribe\n").await.output();
    assert_eq!(output.lines().count(), 10, "{output}");
}

#[tokio::test]
async fn one_message_is_enough_with_the_option_for_one() {
    let url = start(|mut ws, _| async move {
        for message in ["first", "second"] {
            ws.send(message).await.unwrap();
        }
        assert_eq!(ws.recv().await.unwrap(), None);
    })
    .await;
    assert_eq!(run(&["-1", &url], "").await.output(), "first\n");
}

/// No more was asked for, so the closing handshake does not matter, nor do later messages.
#[tokio::test]
async fn one_message_is_success_though_the_server_does_not_finish_the_closing_handshake() {
    for more in [&b""[..], b"\x81\x04more"] {
        let url = open(move |mut tcp| async move {
            tcp.write_all(b"\x81\x05first").await.unwrap();
            if more.is_empty() {
                while tcp.read(&mut [0; 1024]).await.is_ok_and(|count| count > 0) {}
            }
            while tcp.write_all(more).await.is_ok() && !more.is_empty() {}
        });
        // The closing handshake may take a day. The program ends because it need not wait for it.
        assert_eq!(run(&["-1", "--close-timeout", "86400", &url.await], "").await.output(), "first\n");
    }
}

#[tokio::test]
async fn when_all_replies_came_the_closing_handshake_is_not_waited_for() {
    let url = open(|mut tcp| async move {
        // A ping of 22 bytes, and "q".
        let mut sent = [0; 28 + 7];
        tcp.read_exact(&mut sent).await.unwrap();
        let ping: Vec<u8> = sent[6..28].iter().zip(sent[2..6].iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        tcp.write_all(&[&b"\x8a\x16"[..], &ping, b"\x81\x01a"].concat()).await.unwrap();
        while tcp.read(&mut [0; 1024]).await.is_ok_and(|count| count > 0) {}
    });
    let args = ["--wait", "86400", "--close-timeout", "86400", &url.await];
    assert_eq!(run(&args, "q\n").await.output(), "a\n");
}

#[tokio::test]
async fn one_message_that_does_not_come_is_a_timeout() {
    let url = start(|mut ws, _| async move { while let Ok(Some(_)) = ws.recv().await {} }).await;
    assert!(run(&["-1", "--wait", "0.1", &url], "").await.failure(5).contains("no message came"));
}

#[tokio::test]
async fn one_message_that_does_not_come_is_no_success_because_the_server_closes_well() {
    let url = start(|mut ws, _| async move { drop(ws.close(1000, "done").await) }).await;
    let said = run(&["-1", &url], "").await.failure(5);
    assert!(said.contains("no message came (--one): closed: 1000 (normal closure) \"done\""), "{said}");
}

#[tokio::test]
async fn a_reader_that_has_enough_ends_it_quietly() {
    let url = start(|ws, _| async move {
        let mut number = 0;
        while ws.send(format!("{number}")).await.is_ok() {
            number += 1;
        }
    });
    let mut child = command(&[&url.await]).spawn().unwrap();
    // The input stays open.
    let _stdin = child.stdin.take();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(soon("a message", lines.next_line()).await.unwrap().as_deref(), Some("0"));
    drop(lines);
    assert_eq!(end(child).await.output(), "");
}

/// The program writes nothing, so it cannot notice the end by writing.
#[tokio::test]
async fn a_reader_that_has_enough_is_noticed_while_the_server_is_quiet() {
    let url = open(|mut tcp| async move {
        tcp.write_all(b"\x81\x04only").await.unwrap();
        while tcp.read(&mut [0; 1024]).await.is_ok_and(|count| count > 0) {}
    });
    let mut child = command(&[&url.await, "--wait", "forever", "--close-timeout", "86400"]).spawn().unwrap();
    let _stdin = child.stdin.take();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(soon("a message", lines.next_line()).await.unwrap().as_deref(), Some("only"));
    drop(lines);
    assert_eq!(end(child).await.output(), "");
}

#[tokio::test]
async fn a_reader_that_is_gone_before_the_last_words_ends_it_quietly_too() {
    let url = start(|mut ws, _| async move {
        ws.recv().await.unwrap();
        ws.send("last words").await.unwrap();
        ws.close(4001, "").await.unwrap();
    });
    let mut child = command(&[&url.await]).spawn().unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(b"go\n").await.unwrap();
    assert_eq!(end(child).await.output(), "");
}

#[tokio::test]
async fn headers_origin_subprotocols_and_password_arrive() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = ropeway::Server::builder()
        .subprotocols(["v1", "v2"])
        .per_message_deflate(deflate::Options::default())
        .allow_any_origin()
        .bind("127.0.0.1:0");
    let server = server.await.unwrap();
    server.spawn_each(move |mut ws: WebSocket, handshake: Handshake| {
        tell.send(handshake).unwrap();
        async move { assert_eq!(ws.recv().await.unwrap(), None) }
    });
    let url = server::run(server).replace("ws://", "user:secret@");

    let args = ["-H", "X-One: 1", "--header", "X-Two:a:b", "--origin", "https://example.org", "--no-wait"];
    let offer = ["--subprotocol", "v3,v2", "--subprotocol", "v1", &url];
    let outcome = run(&[&args[..], &offer].concat(), "").await;
    assert_eq!(outcome.output(), "");
    let handshake = soon("the handshake", told.recv()).await.unwrap();
    let header = |name: &str| handshake.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(handshake.uri(), "/echo?q=1");
    assert_eq!(header("x-one").as_deref(), Some("1"));
    assert_eq!(header("x-two").as_deref(), Some("a:b"));
    assert_eq!(header("origin").as_deref(), Some("https://example.org"));
    assert_eq!(header("authorization").as_deref(), Some("Basic dXNlcjpzZWNyZXQ="));
    assert_eq!(header("sec-websocket-protocol").as_deref(), Some("v3, v2, v1"));
    assert_eq!(handshake.subprotocol.as_deref(), Some("v2"));
    assert!(handshake.response.headers().contains_key("sec-websocket-extensions"));

    assert_eq!(run(&["--no-deflate", "--no-wait", &url], "").await.output(), "");
    let handshake = soon("the handshake", told.recv()).await.unwrap();
    assert_eq!(handshake.headers().get("sec-websocket-extensions"), None);
    assert_eq!(handshake.headers().get("origin"), None);
}

#[tokio::test]
async fn verbose_notes_are_not_in_the_output() {
    let url = start(|mut ws, _| async move {
        ws.ping("are you there").sent().unwrap();
        while let Ok(Some(message)) = ws.recv().await {
            ws.send(message).await.unwrap();
        }
        assert_eq!(ws.outcome().unwrap().code, CloseCode::NORMAL);
    });
    let outcome = run(&["-v", &url.await], "hello\n").await;
    assert_eq!((outcome.code, &*outcome.stdout), (Some(0), &b"hello\n"[..]));
    for seen in [
        "> GET /echo?q=1 HTTP/1.1\n",
        "> upgrade: websocket\n",
        "< HTTP/1.1 101 Switching Protocols\n",
        "ping \"are you there\", answered\n",
        "closing with 1000 (normal closure)\n",
        "closed: 1000 (normal closure)\n",
    ] {
        assert!(outcome.stderr.contains(seen), "{seen:?} is missing in {}", outcome.stderr);
    }
}

#[tokio::test]
async fn the_help_tells_the_exit_codes_and_has_examples() {
    let help = run(&["--help"], "").await.output();
    for told in ["Usage: ropeway connect [OPTIONS] <URL>", "Exit codes:", "Examples:", "--cacert <FILE>", "forever"] {
        assert!(help.contains(told), "{told:?} is missing in {help}");
    }
}
