//! Receiving: an application that reads slowly makes the peer wait, no whole message is lost, and the end is reported
//! once.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use ropeway::{
    Cause, CloseCode, Connection, Error, Handler, Handshake, Message, MessageRef, ReadyState, SendError, Server,
    ServerBuilder, Violation, WebSocket,
};
use testkit::wire::{BINARY, Frame, PONG, TEXT, decode_all};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::sleep;

use super::script::{binary, close, code_of, continuation, open, ping, text};
use super::wire::{Wire, pass, settle};

/// The most bytes of one read; see `scratch`.
const READ: usize = 128 * 1024;

/// The bytes that a pull user's inbox holds before the peer has to wait; see `websocket`.
pub(crate) const INBOX: usize = 1024 * 1024;

/// A server whose connections are passed to the test.
fn pulling(builder: ServerBuilder) -> (Server, UnboundedReceiver<WebSocket>) {
    let server = builder.build();
    let (give, take) = unbounded_channel();
    server.spawn_each(move |ws, _| {
        let _ = give.send(ws);
        async {}
    });
    (server, take)
}

/// A connection of a server, for the pull API.
pub(crate) async fn pull(builder: ServerBuilder) -> (WebSocket, Wire) {
    let (server, mut connections) = pulling(builder);
    let wire = open(&server).await;
    (connections.recv().await.unwrap(), wire)
}

/// Returns a message if one is there. The future that asks is dropped in either case.
pub(crate) async fn try_recv(ws: &mut WebSocket) -> Option<Result<Option<Message>, Error>> {
    let mut recv = pin!(ws.recv());
    poll_fn(|cx| match recv.as_mut().poll(cx) {
        Poll::Ready(received) => Poll::Ready(Some(received)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Returns the text of the next message, which must be there.
async fn next(ws: &mut WebSocket) -> String {
    let message = try_recv(ws).await.expect("a message is there").unwrap().expect("it is not the end");
    message.as_text().unwrap().to_owned()
}

fn numbered(number: usize, size: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(size, number as u8);
    payload
}

// Reads.

/// Records how many messages each read brought.
struct Reads;

impl Handler for Reads {
    type State = usize;

    fn on_open(&self, _ws: &mut Connection<'_>, _handshake: Handshake) -> usize {
        0
    }

    fn on_message(&self, _ws: &mut Connection<'_>, brought: &mut usize, _message: MessageRef<'_>) {
        *brought += 1;
    }

    fn on_read_complete(&self, ws: &mut Connection<'_>, brought: &mut usize) {
        let _ = ws.send(std::mem::take(brought).to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_is_complete_once_all_that_it_brought_was_handled() {
    let server = Server::builder().build();
    server.handle_with(Reads);
    let wire = open(&server).await;
    let large = binary(vec![0; 2 * READ]);
    let in_place = large.encode().len().div_ceil(READ);
    for (frames, told) in [
        (vec![text("a"), ping("b"), text("c")], vec!["2"]),
        (vec![ping("a")], vec!["0"]),
        (vec![large], [vec!["0"; in_place - 1], vec!["1"]].concat()),
    ] {
        wire.send(&frames);
        settle().await;
        let texts = wire.take_frames().into_iter().filter(|frame| frame.opcode == TEXT);
        let texts: Vec<_> = texts.map(|frame| String::from_utf8(frame.payload).unwrap()).collect();
        assert_eq!(texts, told);
    }
}

// Backpressure.

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_and_never_reads_fills_the_write_queue_and_no_more() {
    const MAX: usize = 64 * 1024;
    let server = Server::builder().max_buffered(MAX).build();
    server.on_connection(|ws, _| {
        ws.on_message(|ws, message| ws.send(message).expect("a reply always finds room"));
    });
    let wire = open(&server).await;
    let handle = server.clients().remove(0);
    wire.set_room(Some(0));
    let messages: Vec<_> = (0..1000).map(|number| binary(numbered(number, 10_000))).collect();
    for message in &messages {
        wire.send(std::slice::from_ref(message));
    }
    settle().await;
    let (read, buffered) = (wire.read(), handle.buffered_amount());
    assert!((MAX..MAX + 10_004).contains(&buffered), "{buffered} bytes are queued");
    assert!(read <= MAX + READ, "{read} bytes were read");

    // It reads as fast as it is read from.
    wire.set_room(Some(30_000));
    settle().await;
    assert!(wire.read() > read);
    assert!(handle.buffered_amount() < MAX + 10_004);
    wire.set_room(None);
    settle().await;
    let expected: Vec<_> = (0..1000).map(|number| Frame::new(BINARY, numbered(number, 10_000))).collect();
    assert!(wire.take_frames() == expected, "all of it comes back in order");
}

#[tokio::test(start_paused = true)]
async fn replies_larger_than_what_asks_for_them_fill_the_write_queue_and_no_more() {
    const MAX: usize = 64 * 1024;
    let server = Server::builder().max_buffered(MAX).build();
    server.on_connection(|ws, _| {
        ws.on_message(|ws, _| ws.send(vec![7; 50_000]).expect("a reply always finds room"));
    });
    let wire = open(&server).await;
    let handle = server.clients().remove(0);
    wire.set_room(Some(0));
    let asking = vec![text("more"); 1000];
    wire.send(&asking);
    settle().await;
    assert_eq!(handle.buffered_amount(), 2 * 50_004, "of one read no more is handled than there is room for");
    wire.set_room(None);
    settle().await;
    let written = wire.take_written();
    let (frames, rest) = decode_all(&written).unwrap();
    assert_eq!((frames.len(), rest.len()), (1000, 0));
}

#[tokio::test(start_paused = true)]
async fn a_slow_pull_user_makes_the_peer_wait_and_loses_no_message() {
    let (mut ws, wire) = pull(Server::builder()).await;
    for number in 0..400 {
        wire.send(&[binary(numbered(number, 10_000))]);
    }
    settle().await;
    let read = wire.read();
    assert!((INBOX..INBOX + READ).contains(&read), "{read} bytes were read");
    settle().await;
    assert_eq!(wire.read(), read);
    for number in 0..400 {
        let message = ws.recv().await.unwrap().unwrap();
        assert_eq!(message.as_bytes(), numbered(number, 10_000));
    }
    assert!(try_recv(&mut ws).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn empty_messages_fill_the_inbox_too() {
    let (mut ws, wire) = pull(Server::builder()).await;
    let empty = vec![text(""); 10_000];
    for _ in 0..10 {
        wire.send(&empty);
    }
    settle().await;
    assert!(wire.read() < 3 * 60_000, "{} bytes were read", wire.read());
    for _ in 0..100_000 {
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from("")));
    }
    assert!(try_recv(&mut ws).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_ping_behind_thousands_of_messages_that_are_not_taken_is_answered() {
    let (_ws, wire) = pull(Server::builder()).await;
    for number in 0..4_000 {
        wire.send(&[text(number.to_string())]);
    }
    wire.send(&[ping("still there?")]);
    settle().await;
    assert_eq!(wire.take_frames(), [Frame::new(PONG, "still there?")]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_pinged_while_its_messages_are_not_taken_and_its_loss_is_noticed() {
    let server = Server::builder().build();
    let (give, mut connections) = unbounded_channel();
    server.spawn_each(move |ws, _| {
        let _ = give.send(ws);
        async {}
    });
    let wire = open(&server).await;
    let mut ws = connections.recv().await.unwrap();
    for number in 0..3 * INBOX / READ {
        wire.send(&[binary(numbered(number, READ - 100))]);
    }
    settle().await;
    assert!(wire.read() <= INBOX + 2 * READ, "{} bytes were read", wire.read());
    for _ in 0..10 {
        pass(Duration::from_secs(20)).await;
        settle().await;
        assert_eq!(wire.take_frames().len(), 1, "a ping");
    }
    assert_eq!(ws.ready_state(), ReadyState::Open, "what it has not been asked for it does not answer");
    wire.reset();
    pass(Duration::from_secs(20)).await;
    settle().await;
    // The end is known although nobody has asked, and all messages before it are there.
    assert!(wire.is_dropped() && server.clients().is_empty());
    for number in 0..3 * INBOX / READ {
        assert_eq!(ws.recv().await.unwrap(), Some(numbered(number, READ - 100).into()));
    }
    assert!(matches!(ws.recv().await, Err(Error::Lost(_))));
}

#[tokio::test(start_paused = true)]
async fn a_message_larger_than_the_inbox_comes_through() {
    let (mut ws, wire) = pull(Server::builder()).await;
    for _ in 0..3 {
        wire.send(&[binary(vec![7; 3 << 20]), text("behind")]);
        assert_eq!(ws.recv().await.unwrap().unwrap().len(), 3 << 20);
        assert_eq!(ws.recv().await.unwrap(), Some("behind".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_connection_is_full_it_still_sends() {
    let (ws, wire) = pull(Server::builder()).await;
    wire.send(&[binary(vec![7; INBOX])]);
    settle().await;
    ws.send("still here").await.unwrap();
    settle().await;
    assert_eq!(wire.take_frames(), [Frame::new(TEXT, "still here")]);
}

#[tokio::test(start_paused = true)]
async fn an_inbox_is_bounded_while_its_connection_closes_too() {
    let (mut ws, wire) = pull(Server::builder()).await;
    ws.handle().close(1001, "").unwrap();
    settle().await;
    for number in 0..400 {
        wire.send(&[binary(numbered(number, 10_000))]);
    }
    wire.send(&[close(1001, "")]);
    wire.end();
    settle().await;
    let read = wire.read();
    assert!(read < INBOX + READ, "{read} bytes were read");
    // A task that asks gets all of it, and a clean end.
    for number in 0..400 {
        let message = ws.recv().await.unwrap().unwrap();
        assert_eq!(message.as_bytes(), numbered(number, 10_000));
    }
    assert_eq!(ws.recv().await.unwrap(), None);
    assert!(ws.outcome().unwrap().clean);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_only_sends_is_told_of_a_broken_transport() {
    let (ws, wire) = pull(Server::builder()).await;
    // Nobody asks for these messages, so nothing more is read, nor is the end of the transport noticed.
    wire.send(&[binary(vec![7; INBOX])]);
    settle().await;
    wire.reset();
    let mut sent = 0;
    while ws.send("news").await.is_ok() {
        sent += 1;
        assert!(sent < 10, "nobody reads these");
        settle().await;
    }
    assert_ne!(ws.ready_state(), ReadyState::Open);
}

// Calls of `recv`.

#[tokio::test(start_paused = true)]
async fn asking_can_be_given_up_at_any_time_without_loss() {
    let (mut ws, wire) = pull(Server::builder()).await;
    let mut received = Vec::new();
    for number in 0..100 {
        let bytes = text(number.to_string()).encode();
        // A waiting future is dropped before each piece of the message comes, and once more behind the message.
        for byte in bytes {
            assert!(try_recv(&mut ws).await.is_none());
            wire.send_bytes([byte]);
            settle().await;
        }
        if number % 3 == 0 {
            while let Some(message) = try_recv(&mut ws).await {
                received.push(message.unwrap().unwrap().to_string());
            }
        } else {
            received.push(next(&mut ws).await);
        }
    }
    assert_eq!(received, (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_select_loop_loses_nothing() {
    let (mut ws, wire) = pull(Server::builder()).await;
    let peer = tokio::spawn(async move {
        for number in 0..200 {
            wire.send(&[text(number.to_string())]);
            sleep(Duration::from_millis(number % 7)).await;
        }
        wire.send(&[close(1000, "")]);
        wire.end();
    });
    let mut received = Vec::new();
    let mut ticks = 0;
    loop {
        tokio::select! {
            biased;
            () = sleep(Duration::from_millis(3)) => ticks += 1,
            message = ws.recv() => match message.unwrap() {
                Some(message) => received.push(message.to_string()),
                None => break,
            },
        }
    }
    peer.await.unwrap();
    assert!(ticks > 0);
    assert_eq!(received, (0..200).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_web_socket_is_a_stream_and_a_sink() {
    let (mut ws, wire) = pull(Server::builder()).await;
    let echo = tokio::spawn(async move {
        while let Some(message) = ws.next().await {
            ws.feed(message.unwrap()).await.unwrap();
            ws.feed("and more".into()).await.unwrap();
            SinkExt::flush(&mut ws).await.unwrap();
        }
        assert!(ws.next().await.is_none());
    });
    wire.send(&[text("a"), binary("b")]);
    settle().await;
    let more = Frame::new(TEXT, "and more");
    assert_eq!(wire.take_frames(), [Frame::new(TEXT, "a"), more.clone(), Frame::new(BINARY, "b"), more]);
    wire.send(&[close(1000, "")]);
    wire.end();
    echo.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn both_halves_of_a_split_web_socket_work() {
    let (ws, wire) = pull(Server::builder()).await;
    let (sink, stream) = ws.split();
    let forwarding = tokio::spawn(stream.forward(sink));
    wire.send(&[text("there and back")]);
    settle().await;
    assert_eq!(wire.take_frames(), [Frame::new(TEXT, "there and back")]);
    wire.send(&[close(1000, "")]);
    wire.end();
    forwarding.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_ready_takes_its_message_whatever_others_send_meanwhile() {
    let (mut ws, wire) = pull(Server::builder().max_buffered(100)).await;
    wire.set_room(Some(0));
    poll_fn(|cx| futures_util::Sink::poll_ready(Pin::new(&mut ws), cx)).await.unwrap();
    ws.handle().send(vec![0; 200]).unwrap();
    futures_util::Sink::start_send(Pin::new(&mut ws), "promised".into()).unwrap();
    wire.set_room(None);
    settle().await;
    assert_eq!(wire.take_frames(), [Frame::new(BINARY, vec![0; 200]), Frame::new(TEXT, "promised")]);
}

#[tokio::test(start_paused = true)]
async fn closing_a_sink_does_the_closing_handshake() {
    let (mut ws, wire) = pull(Server::builder()).await;
    let polls = Arc::new(AtomicUsize::new(0));
    let closing = tokio::spawn({
        let polls = Arc::clone(&polls);
        poll_fn(move |cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            ws.poll_close_unpin(cx)
        })
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let polls = polls.load(Ordering::Relaxed);
    assert!(polls < 10, "{polls} polls, though the peer has not answered");
    settle().await;
    assert_eq!(wire.take_frames().iter().map(code_of).collect::<Vec<_>>(), [1000]);
    assert!(!closing.is_finished());
    wire.send(&[close(1000, "")]);
    wire.end();
    closing.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_whether_messages_are_asked_for_or_not() {
    let (_ws, wire) = pull(Server::builder()).await;
    wire.send(&[text("unread"), ping("x")]);
    settle().await;
    assert_eq!(wire.take_frames(), [Frame::new(PONG, "x")]);
}

// Ends.

#[tokio::test(start_paused = true)]
async fn messages_before_a_violation_come_first_and_then_what_it_was_once() {
    let (mut ws, wire) = pull(Server::builder()).await;
    wire.send(&[text("1"), text("2"), Frame::new(3, ""), text("3")]);
    settle().await;
    wire.end();
    settle().await;
    assert_eq!(next(&mut ws).await, "1");
    assert_eq!(next(&mut ws).await, "2");
    let Err(Error::Violation(violation)) = ws.recv().await else { panic!("it is told") };
    assert_eq!(violation, Violation::ReservedOpcode(3));
    for _ in 0..3 {
        assert!(matches!(ws.recv().await, Ok(None)));
    }
    assert_eq!(wire.take_frames().iter().map(code_of).collect::<Vec<_>>(), [1002]);
}

#[tokio::test(start_paused = true)]
async fn an_unclean_end_is_told_once() {
    let reset = Cause::Broken(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into());
    for (ends, cause) in [(Wire::end as fn(&Wire), Cause::Eof), (Wire::reset, reset)] {
        let (mut ws, wire) = pull(Server::builder()).await;
        wire.send(&[text("before")]);
        wire.send_bytes(&text("never whole").encode()[..9]);
        ends(&wire);
        settle().await;
        assert_eq!(next(&mut ws).await, "before");
        let error = ws.recv().await.unwrap_err();
        // The transport's error is the source, and is not repeated in the text.
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(source.is_some(), cause != Cause::Eof, "{error}");
        assert!(source.is_none_or(|source| !error.to_string().contains(&source)), "{error}");
        let Error::Lost(closed) = error else { panic!("{error}") };
        assert_eq!((closed.code, closed.cause), (CloseCode::ABNORMAL, cause));
        for _ in 0..3 {
            assert!(matches!(ws.recv().await, Ok(None)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clean_end_is_none_and_says_how_it_ended() {
    let (mut ws, wire) = pull(Server::builder()).await;
    assert_eq!(ws.outcome(), None);
    wire.send(&[text("last words"), close(4000, "bye")]);
    wire.end();
    assert_eq!(ws.recv().await.unwrap(), Some("last words".into()));
    assert_eq!(ws.recv().await.unwrap(), None);
    let closed = ws.outcome().unwrap();
    assert_eq!((closed.code, &*closed.reason, closed.clean), (CloseCode::from(4000), "bye", true));
    assert_eq!(ws.ready_state(), ReadyState::Closed);
    assert!(matches!(ws.send("x").await, Err(SendError::NotOpen(_))));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_web_socket_closes_with_1000_whatever_is_unread() {
    let (ws, wire) = pull(Server::builder()).await;
    for _ in 0..40 {
        wire.send(&[binary(vec![7; 10_000])]);
    }
    settle().await;
    let handle = ws.handle();
    drop(ws);
    settle().await;
    assert_eq!(wire.take_frames(), [Frame::close(Some((1000, "")))]);
    wire.send(&[text("too late"), close(1000, "")]);
    settle().await;
    assert!(wire.is_ended());
    wire.end();
    handle.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_panics_closes_its_web_socket_with_1011() {
    let server = Server::builder().build();
    server.spawn_each(|mut ws, _| async move {
        let message = ws.recv().await.unwrap().unwrap();
        assert_eq!(message.as_text(), Some("fine"), "this is meant to panic");
        ws.send("fine").await.unwrap();
        ws.recv().await.unwrap();
    });
    let (panics, lives) = (open(&server).await, open(&server).await);
    panics.send(&[text("boom")]);
    lives.send(&[text("fine")]);
    settle().await;
    assert_eq!(panics.take_frames().iter().map(code_of).collect::<Vec<_>>(), [1011]);
    assert_eq!(lives.take_frames(), [Frame::new(TEXT, "fine")]);
}

#[test]
fn a_user_on_another_runtime_is_told_when_the_connections_own_is_gone() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (ours, theirs) = (runtime(), runtime());
    let (mut ws, wire) = theirs.block_on(pull(Server::builder()));
    theirs.block_on(async {
        wire.send(&[text("before")]);
        settle().await;
    });
    drop(theirs);
    ours.block_on(async {
        assert_eq!(ws.recv().await.unwrap(), Some("before".into()));
        let Err(Error::Lost(closed)) = ws.recv().await else { panic!("a runtime that is gone is no goodbye") };
        assert_eq!(closed.cause, Cause::Abandoned);
        assert_eq!(ws.recv().await.unwrap(), None, "an error is told once");
        assert!(ws.send("x").await.is_err());
        ws.handle().closed().await;
        ws.close(1000, "").await.unwrap();
    });
}

// Messages of any size.

#[tokio::test(start_paused = true)]
async fn large_messages_come_through_however_they_are_cut() {
    let words: Vec<String> = (0..200_000).map(|number| format!("{number} é€𝒳 ")).collect();
    let words = words.concat();
    assert!(words.len() > 2 << 20);
    for read in [1000, 65_536, 100_001] {
        let (mut ws, wire) = pull(Server::builder()).await;
        let (head, tail) = words.as_bytes().split_at(1_000_003);
        let frames =
            [text(head).unfinished(), ping("between"), continuation(tail), binary(words.as_bytes()), text("behind")];
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.encode_into(&mut bytes);
        }
        let peer = tokio::spawn(async move {
            for piece in bytes.chunks(read) {
                wire.send_bytes(piece);
                tokio::task::yield_now().await;
            }
            settle().await;
            assert_eq!(wire.take_frames(), [Frame::new(PONG, "between")]);
        });
        assert!(ws.recv().await.unwrap().unwrap().as_text() == Some(&words));
        assert!(ws.recv().await.unwrap() == Some(Message::from(words.as_bytes())));
        assert_eq!(ws.recv().await.unwrap(), Some("behind".into()));
        peer.await.unwrap();
    }
}
