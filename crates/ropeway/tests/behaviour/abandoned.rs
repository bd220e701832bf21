//! A runtime that ends before its connections: each view of a connection reports its end once, and as it was decided
//! before.

use std::sync::{Arc, Mutex};

use ropeway::{Cause, Client, Closed, Error, Handle, Server, WebSocket};
use testkit::deflate::Inflater;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::unbounded_channel;

use super::script::{Log, close, open, open_client, open_with, request, text};
use super::wire::{Wire, settle};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// The event before the runtime ends. From then on the transport accepts nothing, so that no closing handshake is
/// completed.
type Act = fn(&Wire, &Handle);

/// The end: the text of `Closed`, and whether it is an error.
const ENDS: [(&str, Act, &str, bool); 5] = [
    ("nothing", |_, _| {}, "1006 (abnormal closure): its runtime, or the task", true),
    ("the peer closes", |wire, _| wire.send(&[close(4000, "bye")]), "4000 (private use) \"bye\"", false),
    ("the peer breaks the protocol", |wire, _| wire.send_bytes([0xff, 0xff]), "1006 (abnormal closure): ", true),
    ("the peer ends its half", |wire, _| wire.end(), "1006 (abnormal closure): the transport ended", true),
    ("this side closes", |_, handle| handle.close(1000, "").unwrap(), "1006 (abnormal closure): its runtime", true),
];

fn act(runtime: &Runtime, act: Act, wire: &Wire, handle: &Handle) {
    runtime.block_on(async {
        wire.set_room(Some(0));
        act(wire, handle);
        settle().await;
    });
}

fn assert_ended(name: &str, end: &str, closed: &Closed, handle: &Handle) {
    assert!(closed.to_string().starts_with(end), "{name}: {closed}");
    assert_eq!(handle.outcome().as_ref(), Some(closed), "{name}");
    assert_eq!(runtime().block_on(handle.closed()), *closed, "{name}");
}

#[test]
fn a_handler_is_told_how_its_connection_ended() {
    for (name, then, end, is_error) in ENDS {
        let runtime = runtime();
        let (server, log) = (Server::builder().build(), Log::default());
        server.handle_with(log.clone());
        let wire = runtime.block_on(open(&server));
        act(&runtime, then, &wire, &log.handle());
        drop(runtime);
        assert_ended(name, end, &log.closed(), &log.handle());
        let (violations, lost) = (log.take_events().len(), log.told().lost.len());
        assert_eq!(violations + lost, usize::from(is_error), "{name}: an error is told once");
        assert!(server.clients().is_empty());
    }
}

/// The events that listeners got.
#[derive(Default)]
struct Heard {
    handle: Option<Handle>,
    errors: usize,
    closed: Vec<Closed>,
}

#[test]
fn listeners_are_told_how_their_connection_ended() {
    for (name, then, end, is_error) in ENDS {
        let runtime = runtime();
        let told: Arc<Mutex<Heard>> = Arc::default();
        let server = Server::builder().build();
        server.on_connection({
            let told = Arc::clone(&told);
            move |ws, _| {
                told.lock().unwrap().handle = Some(ws.handle());
                let log = Arc::clone(&told);
                ws.on_error(move |_, _| log.lock().unwrap().errors += 1);
                let log = Arc::clone(&told);
                ws.on_close(move |_, closed| log.lock().unwrap().closed.push(closed.clone()));
            }
        });
        let wire = runtime.block_on(open(&server));
        let handle = told.lock().unwrap().handle.take().unwrap();
        act(&runtime, then, &wire, &handle);
        drop(runtime);
        let told = told.lock().unwrap();
        assert_eq!((told.errors, told.closed.len()), (usize::from(is_error), 1), "{name}");
        assert_ended(name, end, &told.closed[0], &handle);
    }
}

fn assert_pulls(name: &str, ws: &mut WebSocket, end: &str, is_error: bool) {
    runtime().block_on(async {
        match ws.recv().await {
            Ok(None) => assert!(!is_error, "{name} is an error"),
            Err(Error::Lost(closed)) => assert!(is_error && Some(closed) == ws.outcome(), "{name}"),
            Err(Error::Violation(_)) => assert!(is_error, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(ws.recv().await.unwrap(), None, "{name}: the end is told once");
        assert!(ws.ping("x").await.is_err(), "{name}");
    });
    assert_ended(name, end, &ws.outcome().unwrap(), &ws.handle());
}

#[test]
fn a_user_who_pulls_is_told_how_the_connection_ended() {
    for (name, then, end, is_error) in ENDS {
        let runtime = runtime();
        let server = Server::builder().build();
        let (give, mut connections) = unbounded_channel();
        server.spawn_each(move |ws, _| {
            let _ = give.send(ws);
            async {}
        });
        let wire = runtime.block_on(open(&server));
        let mut ws = connections.try_recv().unwrap();
        act(&runtime, then, &wire, &ws.handle());
        drop(runtime);
        assert_pulls(name, &mut ws, end, is_error);
    }
}

#[test]
fn a_client_whose_server_has_closed_saw_a_clean_end_though_the_runtime_did_not_wait_for_its_transport() {
    let runtime = runtime();
    let (mut ws, wire) = runtime.block_on(open_client(&Client::new()));
    runtime.block_on(async {
        wire.send(&[testkit::wire::Frame::close(Some((1001, "gone")))]);
        assert!(super::receiving::try_recv(&mut ws).await.is_none(), "nothing came before it");
        settle().await;
        assert_eq!(ws.outcome(), None, "the server has a second to end the transport");
    });
    drop(runtime);
    assert_pulls("the server closes", &mut ws, "1001 (going away) \"gone\"", false);
}

#[test]
fn a_message_that_there_is_no_time_to_compress_is_sent_as_it_is() {
    let runtime = runtime();
    let server = Server::builder().per_message_deflate(ropeway::deflate::Options::default()).build();
    let log = Log::default();
    server.handle_with(log.clone());
    let asked = request("Sec-WebSocket-Extensions: permessage-deflate\r\n");
    let wire = runtime.block_on(open_with(&server, asked));
    // Two random letters are the slowest to compress: this takes a second and more.
    let mut state = 1_u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + (state >> 31) as u8
    };
    let letters: Vec<u8> = (0..30_000).map(|_| letter()).collect();
    let message: Vec<u8> = letters.into_iter().cycle().take(64 << 20).collect();
    runtime.block_on(async {
        log.handle().send(message.clone()).unwrap();
        // It has begun.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
    });
    drop(runtime);
    let frame = wire.take_frames().pop().expect("it is sent");
    // Where there is time, it is compressed.
    let payload = if frame.rsv == 0 { frame.payload } else { Inflater::new(15).inflate(&frame.payload).unwrap() };
    assert!(payload == message, "{} bytes", payload.len());
}

#[test]
fn a_peer_that_was_not_answered_has_closed_all_the_same() {
    let runtime = runtime();
    let (mut ws, wire) = runtime.block_on(super::receiving::pull(Server::builder()));
    runtime.block_on(async {
        wire.send(&[text("unread"), close(4000, "bye")]);
        settle().await;
    });
    drop(runtime);
    self::runtime().block_on(async {
        assert_eq!(ws.recv().await.unwrap(), Some("unread".into()));
        assert_eq!(ws.recv().await.unwrap(), None);
    });
    assert_ended("the peer closes", "4000 (private use) \"bye\"", &ws.outcome().unwrap(), &ws.handle());
}

#[test]
fn a_connection_that_was_to_be_terminated_was() {
    let runtime = runtime();
    let (mut ws, _wire) = runtime.block_on(super::receiving::pull(Server::builder()));
    // No task drives it now.
    ws.terminate();
    drop(runtime);
    assert_eq!(self::runtime().block_on(ws.recv()).unwrap(), None);
    assert_eq!(ws.outcome().unwrap().cause, Cause::Terminated);
}

#[test]
fn a_close_handler_that_panics_as_its_runtime_ends_takes_no_other_with_it() {
    let runtime = runtime();
    let (server, closed) = (Server::builder().build(), Arc::new(Mutex::new(0)));
    server.on_connection({
        let closed = Arc::clone(&closed);
        move |ws, _| {
            let closed = Arc::clone(&closed);
            ws.on_close(move |_, _| {
                *closed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += 1;
                panic!("this is meant to panic");
            });
        }
    });
    let _wires = runtime.block_on(async { [open(&server).await, open(&server).await, open(&server).await] });
    let handles = server.clients();
    drop(runtime);
    assert_eq!(*closed.lock().unwrap_or_else(std::sync::PoisonError::into_inner), 3);
    for handle in handles {
        assert_eq!(handle.outcome().unwrap().cause, Cause::Abandoned);
        self::runtime().block_on(handle.closed());
    }
}
