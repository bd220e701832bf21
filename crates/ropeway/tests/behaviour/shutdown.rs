//! The end of a server: the close frames of its connections, how long connections and handlers are waited for, and the
//! report of those that are left.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use ropeway::{Bytes, Cause, CloseCode, Remaining, Server};
use testkit::wire::Frame;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};

use super::LATE;
use super::script::{Log, close, codes, knock, open, request, text};
use super::wire::{Wire, pass, settle};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Opens a number of connections.
async fn open_many(server: &Server, count: usize) -> Vec<Wire> {
    let mut wires = Vec::new();
    for _ in 0..count {
        wires.push(open(server).await);
    }
    wires
}

/// The client's part of a closing handshake.
fn answer(wire: &Wire, code: u16) {
    wire.send(&[close(code, "")]);
    wire.end();
}

/// A server that keeps a log.
fn server() -> (Server, Log) {
    let (server, log) = (Server::builder().build(), Log::default());
    server.handle_with(log.clone());
    (server, log)
}

/// Asks for a WebSocket. Returns the answer's status and its `Retry-After`.
async fn ask(server: &Server) -> (String, String) {
    let wire = knock(server);
    wire.send_bytes(request(""));
    settle().await;
    let answer = String::from_utf8(wire.take_written()).unwrap();
    let status = answer.lines().next().unwrap().to_owned();
    let retry = answer.lines().map(str::to_lowercase).find(|line| line.starts_with("retry-after: "));
    (status, retry.unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_with_1001_and_waits_for_the_answers() {
    let (server, log) = server();
    let (one, other) = (open(&server).await, open(&server).await);
    let start = Instant::now();
    let shutdown = tokio::spawn({
        let server = server.clone();
        async move { server.shutdown().timeout(60 * SECOND).await }
    });
    sleep(SECOND).await;
    for wire in [&one, &other] {
        assert_eq!(codes(wire), [1001]);
        wire.send(&[text("my last message"), close(1001, "")]);
        wire.end();
    }
    shutdown.await.unwrap();
    assert_eq!(start.elapsed(), SECOND);
    assert_eq!(log.take_texts(), ["my last message", "my last message"]);
    assert!(log.told().closed.iter().all(|closed| closed.clean));
    assert_eq!(server.clients().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_terminates_connections_that_do_not_answer_in_time() {
    let (server, log) = server();
    let (answers, ignores, stalls) = (open(&server).await, open(&server).await, open(&server).await);
    stalls.set_room(Some(0));
    let start = Instant::now();
    let shutdown = tokio::spawn({
        let server = server.clone();
        async move { server.shutdown().timeout(3 * SECOND).await }
    });
    settle().await;
    answers.send(&[close(1001, "")]);
    answers.end();
    shutdown.await.unwrap();
    assert_eq!(start.elapsed(), 3 * SECOND);
    assert!(answers.is_dropped() && ignores.is_dropped() && stalls.is_dropped());
    let terminated = log.told().closed.iter().filter(|closed| closed.cause == Cause::Terminated).count();
    assert_eq!((terminated, log.told().closed.len()), (2, 3));
}

/// A handler that blocks keeps its event loop, and all connections of that loop, from being terminated. The loop is on
/// a thread of its own, as in `ropeway serve`.
#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_loop_that_is_blocked() {
    let server = Server::builder().build();
    let (blocked, mut is_blocked) = unbounded_channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(released);
    server.on_connection(move |ws, _| {
        let blocked = blocked.clone();
        ws.on_message(move |_, _| blocked.send(()).unwrap());
    });
    let waits = Arc::new(released);
    server.at("/block").on_connection(move |_, _| {
        // Blocks until the test is over.
        let _ = waits.lock().unwrap().recv();
    });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let thread = std::thread::spawn({
        let server = server.clone();
        move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                server.serve(TcpListener::from_std(listener).unwrap()).await;
            });
        }
    });
    let ws = ropeway::connect(&format!("ws://{addr}/")).await.unwrap();
    ws.handle().send("hello").unwrap();
    is_blocked.recv().await.unwrap();
    // The 101 is written before the handler is called, so the client gets it all the same.
    let _blocking = ropeway::connect(&format!("ws://{addr}/block")).await.unwrap();
    tokio::time::timeout(60 * SECOND, server.shutdown().timeout(Duration::from_millis(50)))
        .await
        .expect("a bounded shutdown");
    assert!(!thread.is_finished(), "the loop is blocked still");
    assert!(!server.clients().is_empty());
    drop(release);
    thread.join().unwrap();
}

#[tokio::test]
async fn a_server_that_shuts_down_stops_accepting_on_its_port() {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    server.handle_with(Log::default());
    let addr = server.local_addr().unwrap();
    let running = tokio::spawn({
        let server = server.clone();
        async move { server.run().await }
    });
    let ws = ropeway::connect(&format!("ws://{addr}/")).await.unwrap();
    server.shutdown().timeout(60 * SECOND).await;
    running.await.unwrap().unwrap();
    assert!(TcpStream::connect(addr).await.is_err(), "nobody listens any more");
    let closed = ws.closed().await;
    assert_eq!((closed.code, closed.clean), (CloseCode::GOING_AWAY, true));
    assert!(server.run().await.is_err(), "its port is gone");
}

// Opening handshakes during a shutdown.

#[tokio::test(start_paused = true)]
async fn a_server_that_shuts_down_accepts_no_client() {
    let (server, _log) = server();
    server.shutdown().timeout(SECOND).await;
    assert_eq!(ask(&server).await, ("HTTP/1.1 503 Service Unavailable".into(), "retry-after: 5".into()));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_opens_while_the_server_shuts_down_is_closed_with_1001() {
    let (server, _log) = server();
    let wire = knock(&server);
    wire.set_room(Some(0));
    wire.send_bytes(request(""));
    settle().await;
    let shutdown = tokio::spawn({
        let server = server.clone();
        async move { server.shutdown().timeout(5 * SECOND).await }
    });
    settle().await;
    wire.set_room(None);
    settle().await;
    let written = wire.take_written();
    assert!(written.starts_with(b"HTTP/1.1 101 "), "it was on its way");
    let reason = "the server shuts down";
    assert!(written.ends_with(&Frame::close(Some((1001, reason))).encode()), "{}", String::from_utf8_lossy(&written));
    assert!(!shutdown.is_finished(), "it is waited for");
    wire.send(&[close(1001, "")]);
    wire.end();
    shutdown.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_never_done_does_not_hold_up_a_shutdown() {
    let (server, _log) = server();
    let wire = knock(&server);
    wire.set_room(Some(0));
    wire.send_bytes(request(""));
    settle().await;
    let start = Instant::now();
    server.shutdown().timeout(2 * SECOND).await;
    assert_eq!(start.elapsed(), 2 * SECOND);
}

#[tokio::test]
async fn a_server_whose_handshakes_are_all_taken_can_be_shut_down() {
    const HOUR: Duration = Duration::from_secs(3600);
    let server = Server::builder().max_handshakes(1).handshake_timeout(HOUR).bind("127.0.0.1:0").await.unwrap();
    // More than the buffers hold, for a client that does not read.
    let page = Bytes::from(vec![b'a'; 50 << 20]);
    let asked = Arc::new(Notify::new());
    server.on_http({
        let asked = Arc::clone(&asked);
        move |_| {
            asked.notify_one();
            http::Response::new(page.clone())
        }
    });
    let running = tokio::spawn({
        let server = server.clone();
        async move { server.run().await }
    });
    let client = TcpStream::connect(server.local_addr().unwrap()).await.unwrap();
    client.try_write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    asked.notified().await;
    server.shutdown().timeout(SECOND).await;
    running.await.unwrap().unwrap();
    drop(client);
}

// Handlers.

/// A server whose pull handlers take a time to return after their connections have ended, and count themselves then.
fn lingering(time: Duration) -> (Server, Arc<Mutex<usize>>) {
    let (server, returned) = (Server::builder().build(), Arc::new(Mutex::new(0)));
    server.spawn_each({
        let returned = Arc::clone(&returned);
        move |mut ws, _| {
            let returned = Arc::clone(&returned);
            async move {
                while let Ok(Some(_)) = ws.recv().await {}
                sleep(time).await;
                *returned.lock().unwrap() += 1;
            }
        }
    });
    (server, returned)
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_until_pull_handlers_have_returned() {
    let (server, returned) = lingering(300 * MS);
    let wires = open_many(&server, 3).await;
    let start = Instant::now();
    let shutdown = tokio::spawn(server.shutdown().into_future());
    settle().await;
    for wire in &wires {
        answer(wire, 1001);
    }
    assert!(shutdown.await.unwrap().is_none());
    assert!((300 * MS..SECOND).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(*returned.lock().unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn handlers_that_do_not_return_in_time_are_counted_and_not_aborted() {
    let (server, returned) = lingering(60 * SECOND);
    let wires = open_many(&server, 2).await;
    let start = Instant::now();
    let shutdown = tokio::spawn(server.shutdown().timeout(3 * SECOND).into_future());
    settle().await;
    for wire in &wires {
        answer(wire, 1001);
    }
    let remaining = shutdown.await.unwrap();
    assert_eq!(start.elapsed(), 3 * SECOND, "nothing was terminated, so nothing more is waited for");
    assert_eq!((remaining.connections, remaining.handlers), (0, 2));
    assert!(remaining.to_string().starts_with("0 connections and 2 pull handlers are still there"), "{remaining}");
    // A second call waits longer.
    assert_eq!(server.shutdown().timeout(60 * SECOND).await, Remaining::default());
    assert_eq!(*returned.lock().unwrap(), 2);
}

/// Handlers of connections that had to be terminated get a second to notice.
#[tokio::test(start_paused = true)]
async fn handlers_of_terminated_connections_are_waited_for() {
    let (server, returned) = lingering(300 * MS);
    let _ignores = open(&server).await;
    assert!(server.shutdown().timeout(3 * SECOND).await.is_none());
    assert_eq!(*returned.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_is_not_waited_for() {
    let server = Server::builder().build();
    server.spawn_each(|mut ws, _| async move {
        while let Ok(Some(_)) = ws.recv().await {}
        panic!("this is meant to panic");
    });
    let wire = open(&server).await;
    let shutdown = tokio::spawn(server.shutdown().into_future());
    settle().await;
    answer(&wire, 1001);
    assert!(shutdown.await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_pull_handler_may_shut_its_own_server_down() {
    let (server, (tell, told)) = (Server::builder().build(), oneshot::channel());
    let tell = Mutex::new(Some(tell));
    server.spawn_each({
        let server = server.clone();
        move |mut ws, _| {
            let (server, tell) = (server.clone(), tell.lock().unwrap().take().expect("one connection"));
            async move {
                ws.recv().await.unwrap().expect("a command");
                tell.send(server.shutdown().await).unwrap();
                // The connection is closed, and the handler still runs.
                ws.outcome().expect("it is closed");
            }
        }
    });
    let wire = open(&server).await;
    wire.send(&[text("shut down")]);
    settle().await;
    assert_eq!(codes(&wire), [1001]);
    let start = Instant::now();
    answer(&wire, 1001);
    assert!(told.await.unwrap().is_none());
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
}

// Code and reason.

#[tokio::test(start_paused = true)]
async fn a_shutdown_takes_a_code_and_a_reason() {
    let (server, _log) = server();
    let wire = open(&server).await;
    let late = knock(&server);
    late.set_room(Some(0));
    late.send_bytes(request(""));
    settle().await;
    let shutdown = tokio::spawn(server.shutdown().code(1012, "restart").into_future());
    settle().await;
    late.set_room(None);
    settle().await;
    let expected = Frame::close(Some((1012, "restart")));
    assert_eq!(wire.take_frames(), std::slice::from_ref(&expected));
    assert!(late.take_written().ends_with(&expected.encode()), "one that opens meanwhile gets it too");
    for wire in [wire, late] {
        answer(&wire, 1012);
    }
    assert!(shutdown.await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_that_cannot_be_sent_keeps_no_server_from_shutting_down() {
    let (server, _log) = server();
    let wire = open(&server).await;
    let shutdown = server.shutdown().code(1012, "restart").code(1006, "").code(1012, "x".repeat(124));
    let shutdown = tokio::spawn(shutdown.into_future());
    settle().await;
    assert_eq!(wire.take_frames(), [Frame::close(Some((1012, "restart")))]);
    answer(&wire, 1012);
    assert!(shutdown.await.unwrap().is_none());
}

// Spread.

/// The number of the wires that got a close frame.
fn count_closed(wires: &[Wire]) -> usize {
    wires.iter().filter(|wire| codes(wire) == [1001]).count()
}

#[tokio::test(start_paused = true)]
async fn closes_are_spread_evenly_over_a_window() {
    let (server, _log) = server();
    let wires = open_many(&server, 20).await;
    let start = Instant::now();
    let shutdown = tokio::spawn(server.shutdown().spread(10 * SECOND).timeout(3 * SECOND).into_future());
    settle().await;
    let mut counts = vec![count_closed(&wires)];
    pass(MS).await;
    for _ in 0..9 {
        sleep(SECOND).await;
        settle().await;
        counts.push(count_closed(&wires));
        // Meanwhile no client is accepted.
        assert_eq!(ask(&server).await, ("HTTP/1.1 503 Service Unavailable".into(), "retry-after: 5".into()));
    }
    assert_eq!(counts, [1, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
    assert_eq!(count_closed(&wires), 0);
    sleep(600 * MS).await;
    settle().await;
    assert_eq!(count_closed(&wires), 1, "the last is closed before the window ends");
    // The first have ended in the meantime, as their peers have not answered for 10 s.
    for wire in &wires {
        answer(wire, 1001);
    }
    assert!(shutdown.await.unwrap().is_none());
    assert!(start.elapsed() < 10 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_time_to_close_counts_from_the_last_close_frame() {
    let (server, _log) = server();
    let wires = open_many(&server, 2).await;
    let start = Instant::now();
    server.shutdown().spread(10 * SECOND).timeout(3 * SECOND).await;
    assert!((8 * SECOND..=8 * SECOND + LATE + MS).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert!(wires.iter().all(Wire::is_dropped));
}

#[tokio::test(start_paused = true)]
async fn many_are_closed_in_steps_that_nobody_notices() {
    const COUNT: usize = 5000;
    let (server, _log) = server();
    let wires = open_many(&server, COUNT).await;
    let shutdown = tokio::spawn(server.shutdown().spread(SECOND).timeout(Duration::ZERO).into_future());
    let mut total = 0;
    for tenth in 1..=9 {
        sleep(100 * MS).await;
        settle().await;
        total += count_closed(&wires);
        let even = COUNT * tenth / 10;
        assert!((even - COUNT / 50..=even + COUNT / 50).contains(&total), "{total} of {COUNT} after {tenth} tenths");
    }
    shutdown.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_spread_ends_early_where_everybody_has_gone() {
    let (server, _returned) = lingering(Duration::ZERO);
    let wires = open_many(&server, 10).await;
    let start = Instant::now();
    let shutdown = tokio::spawn(server.shutdown().spread(3600 * SECOND).into_future());
    sleep(SECOND).await;
    for wire in &wires {
        answer(wire, 1001);
    }
    assert!(shutdown.await.unwrap().is_none());
    assert!(start.elapsed() < 2 * SECOND, "{:?}", start.elapsed());
}

// Shutdowns that are cancelled, and shutdowns that wait for others.

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_is_dropped_leaves_the_rest_open_and_lets_nobody_in() {
    let (server, _log) = server();
    let wires = open_many(&server, 4).await;
    let shutdown = server.shutdown().spread(4 * SECOND).into_future();
    assert!(tokio::time::timeout(1500 * MS, shutdown).await.is_err());
    // Less than the time until the first ping.
    sleep(15 * SECOND).await;
    settle().await;
    assert_eq!(count_closed(&wires), 2);
    assert_eq!(server.clients().len(), 2, "the first two have had their time to answer");
    assert_eq!(ask(&server).await.0, "HTTP/1.1 503 Service Unavailable");
    // Another shutdown goes on, with a close frame of its own.
    let shutdown = tokio::spawn(server.shutdown().code(1012, "").into_future());
    settle().await;
    assert_eq!(wires.iter().flat_map(codes).collect::<Vec<_>>(), [1012, 1012]);
    for wire in &wires {
        answer(wire, 1012);
    }
    assert!(shutdown.await.unwrap().is_none());
}

/// The runtime that serves also drives the connections.
#[tokio::test]
async fn serving_ends_when_the_shutdown_is_done_and_the_port_is_free_before() {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let addr = server.local_addr().unwrap();
    let (release, released) = oneshot::channel::<()>();
    let released = Mutex::new(Some(released));
    server.spawn_each(move |mut ws, _| {
        let released = released.lock().unwrap().take().expect("one connection");
        async move {
            while let Ok(Some(_)) = ws.recv().await {}
            released.await.unwrap();
        }
    });
    let mut running = pin!(server.run());
    let (told, is_told) = oneshot::channel::<()>();
    let shutdown = tokio::spawn(server.shutdown_on(is_told));
    let client = async {
        let mut ws = ropeway::connect(&format!("ws://{addr}/")).await.unwrap();
        told.send(()).unwrap();
        assert_eq!(ws.recv().await.unwrap(), None);
    };
    tokio::select! {
        () = client => {}
        _ = &mut running => panic!("it serves"),
    }
    // This drops the listener in the turn in which it learns of the shutdown, and goes on.
    assert!(tokio::time::timeout(Duration::ZERO, &mut running).await.is_err(), "a handler still runs");
    assert!(TcpStream::connect(addr).await.is_err());
    release.send(()).unwrap();
    tokio::time::timeout(60 * SECOND, running).await.expect("serving ends").unwrap();
    shutdown.await.unwrap();
}

#[tokio::test]
async fn serving_ends_though_the_shutdown_was_dropped_once_nothing_is_left() {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let addr = server.local_addr().unwrap();
    server.handle_with(Log::default());
    let running = tokio::spawn({
        let server = server.clone();
        async move { server.run().await }
    });
    let mut ws = ropeway::connect(&format!("ws://{addr}/")).await.unwrap();
    // The first poll sends the close frames, and no connection can have answered.
    let mut shutdown = server.shutdown().into_future();
    assert!(poll_fn(|cx| Poll::Ready(shutdown.as_mut().poll(cx).is_pending())).await);
    drop(shutdown);
    assert_eq!(ws.recv().await.unwrap(), None);
    tokio::time::timeout(60 * SECOND, running).await.expect("serving ends").unwrap().unwrap();
}
