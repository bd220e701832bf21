//! Pings that are awaited: the pongs that answer them, their times, and their fate at the end of the connection.

use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use ropeway::{Client, Ping, ReadyState, SendError, Server};
use testkit::Event;
use testkit::wire::{Frame, PING, PONG, TEXT};
use tokio::time::{Instant, sleep, sleep_until};

use super::receiving::pull;
use super::script::{close, connect, open, open_client, pong, text};
use super::wire::settle;

const LATENCY: Duration = Duration::from_millis(40);

/// The round-trip time, if it is known already.
async fn answer(ping: &mut Ping) -> Option<Result<Duration, SendError>> {
    poll_fn(|cx| match Pin::new(&mut *ping).poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_ping_takes_as_long_as_its_pong() {
    let (ws, wire) = pull(Server::builder()).await;
    for payload in ["x", ""] {
        let (ping, sent) = (ws.ping(payload), Instant::now());
        settle().await;
        assert_eq!(wire.take_frames(), [Frame::new(PING, payload)], "it is sent before it is awaited");
        let (waiting, ()) = tokio::join!(ping, async {
            sleep_until(sent + LATENCY).await;
            wire.send(&[pong(payload)]);
        });
        assert_eq!(waiting, Ok(LATENCY));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_measures_too() {
    let (ws, wire) = open_client(&Client::new().generate_mask(|| [0; 4])).await;
    let (ping, sent) = (ws.ping([1, 2, 3]), Instant::now());
    settle().await;
    assert_eq!(wire.take_frames(), [Frame::new(PING, [1, 2, 3]).with_mask(Some([0; 4]))]);
    sleep_until(sent + LATENCY).await;
    wire.send(&[Frame::new(PONG, [1, 2, 3])]);
    assert_eq!(ping.await, Ok(LATENCY));
}

#[tokio::test(start_paused = true)]
async fn a_handler_and_listeners_hear_of_the_pong_as_well() {
    let (log, wire) = connect(Server::builder()).await;
    let (ping, sent) = (log.handle().ping("x"), Instant::now());
    settle().await;
    sleep_until(sent + LATENCY).await;
    wire.send(&[pong("unasked"), pong("x")]);
    assert_eq!(ping.await, Ok(LATENCY));
    assert_eq!(log.take_events(), [Event::Pong(b"unasked".to_vec()), Event::Pong(b"x".to_vec())]);

    let server = Server::builder().build();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    server.on_connection(move |ws, _| {
        tell.send(ws.ping("at once")).unwrap();
        ws.on_pong(|ws, payload| ws.send(payload).unwrap());
    });
    // Its ping is the first frame that is written, after the answer to the handshake.
    let wire = super::script::knock(&server);
    wire.send_bytes(super::script::request(""));
    let opened = Instant::now();
    settle().await;
    let ping = told.recv().await.unwrap();
    wire.take_written();
    sleep_until(opened + LATENCY).await;
    wire.send(&[pong("at once")]);
    assert_eq!(ping.await, Ok(LATENCY));
    settle().await;
    assert_eq!(wire.take_frames(), [Frame::new(testkit::wire::BINARY, "at once")]);
}

#[tokio::test(start_paused = true)]
async fn a_pong_answers_the_pings_before_its_own_and_none_behind() {
    let (ws, wire) = pull(Server::builder()).await;
    let mut pings = Vec::new();
    let start = Instant::now();
    for (payload, number) in ["a", "b", "c", "d"].into_iter().zip(1..) {
        pings.push(ws.ping(payload));
        sleep_until(start + number * LATENCY).await;
    }
    // RFC 6455 section 5.5.3: the peer may answer only the newest ping.
    wire.send(&[pong("c")]);
    settle().await;
    for (ping, times) in pings.iter_mut().zip([4, 3, 2]) {
        assert_eq!(answer(ping).await, Some(Ok(times * LATENCY)));
    }
    assert_eq!(answer(&mut pings[3]).await, None);
    wire.send(&[pong("a"), pong("dd"), pong("")]);
    settle().await;
    assert_eq!(answer(&mut pings[3]).await, None, "those are not its pong");
    sleep_until(start + 5 * LATENCY).await;
    wire.send(&[pong("d")]);
    assert_eq!(pings.remove(3).await, Ok(2 * LATENCY));
}

#[tokio::test(start_paused = true)]
async fn of_pings_alike_the_first_pong_answers_all() {
    let (ws, wire) = pull(Server::builder()).await;
    let (first, second) = (ws.ping("same"), ws.ping("same"));
    sleep(LATENCY).await;
    wire.send(&[pong("same")]);
    assert_eq!((first.await, second.await), (Ok(LATENCY), Ok(LATENCY)));
    // If a second pong comes, it answers no ping; in particular not one with another payload.
    let mut other = ws.ping("other");
    wire.send(&[pong("same")]);
    settle().await;
    assert_eq!(answer(&mut other).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_is_not_awaited_any_more_is_sent_all_the_same() {
    let (ws, wire) = pull(Server::builder()).await;
    drop(ws.ping("dropped"));
    assert!(tokio::time::timeout(LATENCY, ws.ping("given up")).await.is_err());
    assert_eq!(wire.take_frames(), [Frame::new(PING, "dropped"), Frame::new(PING, "given up")]);
    wire.send(&[pong("dropped"), pong("given up"), text("and then")]);
    settle().await;
    let (ping, sent) = (ws.ping("awaited"), Instant::now());
    settle().await;
    wire.send(&[pong("awaited")]);
    assert_eq!(ping.await, Ok(sent.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn a_ping_goes_ahead_of_messages_that_wait() {
    let (ws, wire) = pull(Server::builder()).await;
    wire.set_room(Some(0));
    ws.send("begun").await.unwrap();
    ws.send("waits").await.unwrap();
    let (ping, sent) = (ws.ping("x"), Instant::now());
    settle().await;
    wire.set_room(None);
    settle().await;
    let frames = wire.take_frames();
    assert!(frames.iter().any(|frame| *frame == Frame::new(PING, "x")), "{frames:?}");
    assert_ne!(frames.last(), Some(&Frame::new(PING, "x")));
    assert_eq!(frames.iter().filter(|frame| frame.opcode == TEXT).count(), 2);
    wire.send(&[pong("x")]);
    assert_eq!(ping.await, Ok(sent.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn a_pong_is_waited_for_until_the_connection_ends_and_no_longer() {
    let (mut ws, wire) = pull(Server::builder()).await;
    let handle = ws.handle();
    let (answered, mut lost, sent) = (ws.ping("answered"), ws.ping("lost"), Instant::now());
    let closing = tokio::spawn(async move { ws.close(1000, "").await });
    settle().await;
    assert_eq!(handle.ready_state(), ReadyState::Closing);
    wire.send(&[pong("answered")]);
    assert_eq!(answered.await, Ok(sent.elapsed()), "a pong may come while this side closes");
    assert_eq!(answer(&mut lost).await, None);
    wire.send(&[close(1000, "")]);
    wire.end();
    assert_eq!(lost.await, Err(SendError::NotOpen(ReadyState::Closed)));
    assert!(closing.await.unwrap().unwrap().clean);
    assert_eq!(handle.ping("too late").await, Err(SendError::NotOpen(ReadyState::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_cannot_be_sent_says_so_awaited_or_not() {
    let (log, wire) = connect(Server::builder().max_buffered(100)).await;
    let handle = log.handle();
    let mut long = handle.ping([0; 126]);
    for _ in 0..2 {
        assert_eq!(answer(&mut long).await, Some(Err(SendError::ControlTooLong(126))));
    }
    wire.set_room(Some(0));
    handle.send(vec![0; 200]).unwrap();
    settle().await;
    let full = handle.ping("x");
    assert!(matches!(full.sent(), Err(SendError::Full { .. })));
    assert!(matches!(full.await, Err(SendError::Full { .. })));
    handle.terminate();
    assert_eq!(handle.ping("x").sent(), Err(SendError::NotOpen(ReadyState::Closing)));
}

#[tokio::test(start_paused = true)]
#[expect(clippy::mutable_key_type, reason = "a handle is hashed by its number, which does not change")]
async fn each_connection_has_a_number_of_its_own_in_all_views() {
    let server = Server::builder().build();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    server.on_connection(move |ws, _| {
        tell.send((ws.id(), ws.handle())).unwrap();
        ws.on_message(|ws, _| ws.send(ws.id().to_string()).unwrap());
    });
    let mut handles = HashSet::new();
    let mut ids = HashSet::new();
    for _ in 0..3 {
        let wire = open(&server).await;
        let (id, handle) = told.recv().await.unwrap();
        assert_eq!(id, handle.id());
        wire.send(&[text("who am I")]);
        settle().await;
        assert_eq!(wire.take_frames(), [Frame::new(TEXT, id.as_u64().to_string())]);
        assert!(handles.insert(handle.clone()) && !handles.insert(handle.clone()));
        assert!(ids.insert(id));
        // That connection is over. The next one has another number, even if it is at the same place in memory.
        handle.terminate();
        handle.closed().await;
        handles.remove(&handle);
    }
    let (ws, _wire) = pull(Server::builder()).await;
    assert_eq!(ws.id(), ws.handle().id());
    assert!(ids.insert(ws.id()));
}
