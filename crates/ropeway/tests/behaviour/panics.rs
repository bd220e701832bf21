//! Handlers that panic: their own connection is closed, and no other is affected.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ropeway::{Cause, Client, Closed, Connection, Error, Handler, Handshake, MessageRef, ReadyState, Server};
use testkit::wire::{Frame, PING};

use super::script::{Log, binary, close, code_of, codes, open, open_client, ping, request, text};
use super::wire::settle;

/// A handler that panics in the method that is named.
struct Panics(&'static str, Log);

impl Handler for Panics {
    type State = Arc<AtomicBool>;

    fn on_open(&self, ws: &mut Connection<'_>, handshake: Handshake) -> Arc<AtomicBool> {
        assert_ne!(self.0, "open", "this is meant to panic");
        self.1.on_open(ws, handshake);
        Arc::default()
    }

    fn on_message(&self, ws: &mut Connection<'_>, is_read: &mut Arc<AtomicBool>, message: MessageRef<'_>) {
        let is_it = message.as_text() == Some(self.0);
        assert!(self.0 == "read" || !is_it, "this is meant to panic");
        is_read.fetch_or(is_it, Relaxed);
        self.1.on_message(ws, &mut (), message);
    }

    fn on_read_complete(&self, _ws: &mut Connection<'_>, is_read: &mut Arc<AtomicBool>) {
        assert!(!is_read.load(Relaxed), "this is meant to panic");
    }

    fn on_ping(&self, ws: &mut Connection<'_>, _: &mut Arc<AtomicBool>, payload: &[u8]) {
        assert_ne!(payload, self.0.as_bytes(), "this is meant to panic");
        self.1.on_ping(ws, &mut (), payload);
    }

    fn on_close(&self, ws: &mut Connection<'_>, _: Arc<AtomicBool>, closed: &Closed) {
        assert_ne!(self.0, "close", "this is meant to panic");
        self.1.on_close(ws, (), closed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_ends_its_own_connection_with_1011_and_no_other() {
    for word in ["open", "message", "ping", "read"] {
        let (server, log) = (Server::builder().build(), Log::default());
        server.handle_with(Panics(word, log.clone()));
        let wire = if word == "open" {
            let wire = super::script::knock(&server);
            wire.send_bytes(request(""));
            settle().await;
            let written = wire.take_written();
            assert!(written.ends_with(&Frame::close(Some((1011, ""))).encode()));
            wire
        } else {
            let (wire, other) = (open(&server).await, open(&server).await);
            wire.send(&[text("fine"), text(word), ping(word), text("behind")]);
            settle().await;
            assert_eq!(wire.take_frames().last().map(code_of), Some(1011), "{word}");
            other.send(&[text("hello")]);
            settle().await;
            assert!(log.take_texts().contains(&"hello".to_owned()), "{word}: the other lives");
            wire
        };
        // The closing handshake is done as usual.
        wire.send(&[close(1011, "")]);
        settle().await;
        assert!(wire.is_ended(), "{word}");
        wire.end();
        settle().await;
        assert!(wire.is_dropped());
        assert_eq!(log.told().closed.len(), 0, "{word}: whoever panicked is told nothing more");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_behind_the_message_of_a_panic_are_not_mistaken_for_a_frame() {
    let (server, log) = (Server::builder().build(), Log::default());
    server.handle_with(Panics("message", log.clone()));
    // The peer's close frame comes in the same read. On another connection, half a frame comes before it.
    let wire = open(&server).await;
    wire.send(&[text("message"), text("behind"), close(1000, "")]);
    settle().await;
    assert_eq!(codes(&wire), [1011]);
    assert!(wire.is_ended(), "the peer's close frame was seen");
    let wire = open(&server).await;
    let behind = binary(vec![0x81; 300]).encode();
    wire.send_bytes([text("message").encode(), behind[..100].to_vec()].concat());
    settle().await;
    wire.send_bytes(&behind[100..]);
    settle().await;
    assert_eq!(codes(&wire), [1011]);
    assert!(!wire.is_ended(), "there was no violation");
    wire.send(&[close(1000, "")]);
    settle().await;
    assert!(wire.is_ended());
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_pauses_and_panics_still_gets_its_close_frame_answered() {
    let server = Server::builder().build();
    server.on_connection(|ws, _| {
        ws.on_message(|ws, _| {
            ws.pause();
            panic!("this is meant to panic");
        });
    });
    let wire = open(&server).await;
    wire.send(&[text("go"), text("behind")]);
    settle().await;
    wire.send(&[close(1011, "")]);
    settle().await;
    assert!(wire.is_ended());
}

#[tokio::test(start_paused = true)]
async fn a_panic_at_the_close_event_harms_nobody() {
    let (server, log) = (Server::builder().build(), Log::default());
    server.handle_with(Panics("close", log.clone()));
    let wire = open(&server).await;
    let handle = log.handle();
    wire.end();
    handle.closed().await;
    assert_eq!(handle.ready_state(), ReadyState::Closed);
    assert_eq!(server.clients().len(), 0);
    open(&server).await;
}

#[tokio::test(start_paused = true)]
async fn masking_keys_that_panic_end_their_connection_and_no_other() {
    let panics = Arc::new(AtomicBool::new(false));
    let client = Client::new().per_message_deflate(None).ping_interval(Duration::from_secs(20)).generate_mask({
        let panics = Arc::clone(&panics);
        move || {
            assert!(!panics.load(Relaxed), "this is meant to panic");
            [0; 4]
        }
    });
    let (other, other_wire) = open_client(&Client::new().ping_interval(None)).await;
    for frame in ["message", "pong", "keepalive", "close"] {
        let (mut ws, wire) = open_client(&client).await;
        let handle = ws.handle();
        panics.store(true, Relaxed);
        match frame {
            "message" => drop(handle.send("x")),
            "pong" => wire.send(&[Frame::new(PING, "x")]),
            "keepalive" => tokio::time::sleep(Duration::from_secs(21)).await,
            _ => drop(handle.close(1000, "")),
        }
        settle().await;
        panics.store(false, Relaxed);
        let Err(Error::Lost(lost)) = ws.recv().await else { panic!("{frame}: the connection is lost") };
        assert_eq!(lost.cause, Cause::Abandoned, "{frame}");
        assert_eq!(wire.take_written(), b"", "{frame}");
        assert!(wire.is_dropped(), "{frame}");
        other.send("hello").await.unwrap();
        settle().await;
        assert_eq!(other_wire.take_frames().len(), 1, "the other lives");
    }
}
