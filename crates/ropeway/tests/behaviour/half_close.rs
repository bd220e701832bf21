//! Peers that have sent everything and wait for the answers. The end of the reading half is not the end of the writing
//! half, and messages before a close frame can be answered with events and with pull.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use ropeway::{Cause, Connection, Error, Handler, Handshake, Message, ReadyState, SendError, Server, ServerBuilder};
use testkit::wire::{BINARY, Frame, TEXT, decode_all};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep, timeout};

use super::eventually::{eventually, within};
use super::receiving::{pull, try_recv};
use super::script::{binary, close, codes, open, request, text};
use super::wire::{pass, settle};

const SECOND: Duration = Duration::from_secs(1);

/// Many more messages than can be on their way at a time.
const COUNT: usize = 12;
const SIZE: usize = 1_000_000;

/// Connects in such a way that only a few kilobytes can be on their way back at a time.
async fn dial(addr: SocketAddr) -> tokio::net::TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    socket.connect(addr).await.unwrap()
}

/// Sends messages, then a close frame if `closes`, then ends its half. Returns the frames that came back before the
/// server's end.
async fn ask_and_end(mut stream: impl AsyncRead + AsyncWrite + Unpin, closes: bool) -> Vec<Frame> {
    stream.write_all(request("").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let (mut read, mut write) = tokio::io::split(stream);
    let asking = async {
        for number in 0..COUNT {
            write.write_all(&binary(vec![number as u8; SIZE]).encode()).await.unwrap();
        }
        if closes {
            write.write_all(&close(1000, "").encode()).await.unwrap();
        }
        write.shutdown().await.unwrap();
    };
    let listening = async {
        let mut answers = Vec::new();
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match read.read(&mut buffer).await {
                Ok(0) => break answers,
                Ok(count) => answers.extend_from_slice(&buffer[..count]),
                Err(error) => panic!("after {} bytes: {error}", answers.len()),
            }
        }
    };
    let both = async { tokio::join!(asking, listening).1 };
    let answers = within("the end of the connection", both).await;
    let (frames, rest) = decode_all(&answers).unwrap();
    assert!(rest.is_empty(), "the last of the answers is cut: {} bytes behind {} frames", rest.len(), frames.len());
    frames
}

fn check(answers: &[Frame], closes: bool) {
    let echoes = answers.iter().take_while(|frame| frame.opcode == BINARY).count();
    assert_eq!(echoes, COUNT, "echoes");
    assert!(answers[..COUNT].iter().enumerate().all(|(number, frame)| frame.payload == vec![number as u8; SIZE]));
    let expected = if closes { vec![Frame::close(Some((1000, "")))] } else { vec![] };
    assert_eq!(answers[COUNT..], expected);
}

/// Echoes in either style: over plain TCP on an event loop, or over TLS in a task.
async fn serve(pulls: bool, builder: ServerBuilder) -> (Server, SocketAddr) {
    let server = builder.bind("127.0.0.1:0").await.unwrap();
    if pulls {
        server.spawn_each(|mut ws, _| async move {
            while let Ok(Some(message)) = ws.recv().await {
                ws.send(message).await.expect("what came before the end can be answered");
            }
        });
    } else {
        server.on_connection(|ws, _| {
            ws.on_message(|ws, message| ws.send(message).unwrap());
        });
    }
    let addr = server.local_addr().unwrap();
    tokio::spawn({
        let server = server.clone();
        async move { server.run().await }
    });
    (server, addr)
}

#[tokio::test]
async fn over_tcp_all_answers_come_to_a_peer_that_has_ended_its_half() {
    for (pulls, closes) in [(false, true), (false, false), (true, true), (true, false)] {
        let (server, addr) = serve(pulls, Server::builder()).await;
        let answers = ask_and_end(dial(addr).await, closes).await;
        check(&answers, closes);
        timeout(10 * SECOND, server.shutdown().timeout(60 * SECOND)).await.expect("nothing is left of it");
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn over_tls_all_answers_come_to_a_peer_that_has_ended_its_half() {
    use super::tls::{client_config, server_config};
    for (pulls, closes) in [(false, true), (false, false), (true, true), (true, false)] {
        let (server, addr) = serve(pulls, Server::builder().tls(server_config())).await;
        let connector = tokio_rustls::TlsConnector::from(client_config());
        let stream = connector.connect("localhost".try_into().unwrap(), dial(addr).await).await.unwrap();
        let answers = ask_and_end(stream, closes).await;
        check(&answers, closes);
        timeout(10 * SECOND, server.shutdown().timeout(60 * SECOND)).await.expect("nothing is left of it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_a_connection_at_once_whatever_is_queued() {
    let (ws, wire) = pull(Server::builder()).await;
    wire.set_room(Some(3));
    ws.send("not written").await.unwrap();
    settle().await;
    wire.reset();
    settle().await;
    assert!(wire.is_dropped());
    let cause = ws.outcome().unwrap().cause;
    assert!(matches!(&cause, Cause::Broken(broken) if broken.error().kind() == ErrorKind::BrokenPipe), "{cause:?}");
}

// If messages are pulled, the answer to the close frame waits for the answers to messages.

#[tokio::test(start_paused = true)]
async fn messages_in_the_inbox_can_be_answered_before_the_peers_close() {
    let (mut ws, wire) = pull(Server::builder()).await;
    wire.send(&[text("1"), text("2"), close(4000, "bye")]);
    settle().await;
    for expected in ["1", "2"] {
        assert_eq!(ws.ready_state(), ReadyState::Open);
        let message = ws.recv().await.unwrap().unwrap();
        assert_eq!(message, Message::from(expected));
        settle().await;
        ws.send(message).await.unwrap();
    }
    assert_eq!(ws.recv().await.unwrap(), None);
    let expected = [Frame::new(TEXT, "1"), Frame::new(TEXT, "2"), Frame::close(Some((4000, "bye")))];
    assert_eq!(wire.take_frames(), expected);
    assert!(ws.outcome().unwrap().clean && wire.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn messages_before_the_peers_end_can_be_answered_and_the_end_is_reported_once() {
    let (mut ws, wire) = pull(Server::builder()).await;
    wire.send(&[text("1"), text("2")]);
    wire.end();
    settle().await;
    for expected in ["1", "2"] {
        let message = ws.recv().await.unwrap().unwrap();
        assert_eq!(message, Message::from(expected));
        ws.send(message).await.unwrap();
        settle().await;
    }
    let Err(Error::Lost(closed)) = ws.recv().await else { panic!("it was lost") };
    assert_eq!(closed.cause, Cause::Eof);
    assert_eq!(ws.recv().await.unwrap(), None);
    assert_eq!(wire.take_frames(), [Frame::new(TEXT, "1"), Frame::new(TEXT, "2")]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_being_answered_when_the_close_comes_can_be_answered() {
    let (mut ws, wire) = pull(Server::builder()).await;
    wire.send(&[text("question")]);
    let message = ws.recv().await.unwrap().unwrap();
    wire.send(&[close(1000, "")]);
    sleep(SECOND).await;
    assert_eq!(wire.take_frames(), []);
    ws.send(message).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), None);
    assert_eq!(wire.take_frames(), [Frame::new(TEXT, "question"), Frame::close(Some((1000, "")))]);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_to_be_answered_the_peers_close_is_answered_at_once() {
    for has_asked in [false, true] {
        let (mut ws, wire) = pull(Server::builder()).await;
        if has_asked {
            wire.send(&[text("before")]);
            settle().await;
            assert!(try_recv(&mut ws).await.is_some());
            assert!(try_recv(&mut ws).await.is_none());
        }
        wire.send(&[close(1000, "")]);
        settle().await;
        assert_eq!(codes(&wire), [1000], "whether it has asked: {has_asked}");
        let error = ws.send("too late").await.unwrap_err();
        assert!(matches!(error, SendError::NotOpen(_)), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_behind_messages_that_are_not_taken_is_answered_after_a_second() {
    let (mut ws, wire) = pull(Server::builder()).await;
    wire.send(&[text("unread"), close(1000, "")]);
    settle().await;
    sleep(SECOND - Duration::from_millis(1)).await;
    assert!(codes(&wire).is_empty());
    pass(Duration::from_millis(1)).await;
    settle().await;
    assert_eq!(codes(&wire), [1000]);
    assert_eq!(ws.recv().await.unwrap(), Some("unread".into()), "it is kept all the same");
    assert_eq!(ws.recv().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_user_who_only_sends_learns_of_the_peers_close_within_a_second() {
    let (mut ws, wire) = pull(Server::builder()).await;
    wire.send(&[text("subscribe")]);
    assert_eq!(ws.recv().await.unwrap(), Some("subscribe".into()));
    wire.send(&[close(4000, "enough")]);
    settle().await;
    let start = Instant::now();
    while ws.send("tick").await.is_ok() {
        sleep(Duration::from_millis(100)).await;
    }
    assert!(start.elapsed() <= SECOND + Duration::from_millis(200), "{:?}", start.elapsed());
    let last = wire.take_frames().pop().expect("ticks, and the close frame");
    assert!(last.payload.starts_with(&4000_u16.to_be_bytes()), "{last:?}");
    wire.end();
    let closed = ws.closed().await;
    assert_eq!((closed.code.as_u16(), closed.clean), (4000, true));
}

#[tokio::test(start_paused = true)]
async fn a_user_whose_answer_waits_for_the_peer_is_not_hurried() {
    let (mut ws, wire) = pull(Server::builder()).await;
    wire.send(&[text("one"), text("two"), close(1000, "")]);
    assert_eq!(ws.recv().await.unwrap(), Some("one".into()));
    wire.set_room(Some(0));
    ws.send("first").await.unwrap();
    sleep(5 * SECOND).await;
    settle().await;
    wire.set_room(None);
    settle().await;
    assert_eq!(ws.recv().await.unwrap(), Some("two".into()));
    ws.send("second").await.expect("it can still be answered");
    assert!(try_recv(&mut ws).await.is_none());
    settle().await;
    let sent: Vec<_> = wire.take_frames().into_iter().map(|frame| frame.payload).collect();
    assert_eq!(sent, [b"first".to_vec(), b"second".to_vec(), 1000_u16.to_be_bytes().to_vec()]);
}

#[tokio::test(start_paused = true)]
async fn a_web_socket_that_is_dropped_answers_what_the_peer_said_last() {
    for ends in [false, true] {
        let (ws, wire) = pull(Server::builder()).await;
        wire.send(&[text("unread")]);
        if ends {
            wire.end();
        } else {
            wire.send(&[close(4000, "")]);
        }
        settle().await;
        ws.send("but answered").await.unwrap();
        drop(ws);
        settle().await;
        assert_eq!(wire.take_frames(), [Frame::new(TEXT, "but answered"), Frame::close(Some((1000, "")))]);
        assert!(wire.is_dropped());
    }
}

/// Answers after some time.
struct Later;

impl Handler for Later {
    type State = ();

    fn on_open(&self, _ws: &mut Connection<'_>, _handshake: Handshake) {}

    fn on_peer_close(&self, ws: &mut Connection<'_>, (): &mut ()) {
        let handle = ws.handle();
        tokio::spawn(async move {
            sleep(SECOND).await;
            handle.send("the answer took its time").unwrap();
            handle.close(4000, "").unwrap();
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_can_leave_the_peers_close_for_later() {
    let server = Server::builder().build();
    server.handle_with(Later);
    let wire = open(&server).await;
    wire.send(&[text("question"), close(1000, "")]);
    sleep(2 * SECOND).await;
    assert_eq!(wire.take_frames(), [Frame::new(TEXT, "the answer took its time"), Frame::close(Some((4000, "")))]);
    assert!(wire.is_dropped());
}

/// Never answers the peer's close frame, so that the close timeout does.
struct Never;

impl Handler for Never {
    type State = ();

    fn on_open(&self, _ws: &mut Connection<'_>, _handshake: Handshake) {}

    fn on_peer_close(&self, _ws: &mut Connection<'_>, (): &mut ()) {}
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_that_no_handler_answers_is_answered_after_ten_seconds_or_64_mib() {
    let server = Server::builder().build();
    server.handle_with(Never);
    let wire = open(&server).await;
    wire.send(&[close(4000, "")]);
    sleep(10 * SECOND - Duration::from_millis(1)).await;
    assert!(codes(&wire).is_empty());
    pass(Duration::from_millis(1)).await;
    settle().await;
    assert_eq!(codes(&wire), [4000]);
    assert!(wire.is_dropped());

    let wire = open(&server).await;
    let (before, start) = (wire.read(), Instant::now());
    wire.send(&[close(4000, "")]);
    for _ in 0..200 {
        wire.send_bytes(vec![0; 1 << 20]);
    }
    eventually("the connection is dropped", || wire.is_dropped()).await;
    let read = wire.read() - before;
    // The limit may be exceeded by what one turn reads.
    assert!((64 << 20..(64 << 20) + 300 * 1024).contains(&read), "{read} bytes were read");
    assert_eq!(codes(&wire), [4000]);
    assert_eq!(start.elapsed(), Duration::ZERO);
}
