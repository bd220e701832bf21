//! Messages that are sent in fragments, and the messages that wait behind them.

use ropeway::Server;
use testkit::wire::{BINARY, CONTINUATION, Frame, PING, TEXT};

use super::script::{connect, open, text};
use super::wire::settle;

#[tokio::test(start_paused = true)]
async fn other_messages_wait_for_the_last_fragment_and_pings_do_not() {
    let (log, wire) = connect(Server::builder()).await;
    let handle = log.handle();
    handle.send_fragment("one ", false).unwrap();
    handle.send("waits").unwrap();
    settle().await;
    handle.ping("does not").sent().unwrap();
    settle().await;
    assert_eq!(wire.take_frames(), [Frame::new(TEXT, "one ").unfinished(), Frame::new(PING, "does not")]);
    // The message, and a constant for its place.
    assert!((5..100).contains(&handle.buffered_amount()), "{} bytes", handle.buffered_amount());
    handle.send_fragment("two ", false).unwrap();
    handle.send(vec![1; 10_000]).unwrap();
    handle.send_fragment("three", true).unwrap();
    handle.send("behind").unwrap();
    settle().await;
    let expected = [
        Frame::new(CONTINUATION, "two ").unfinished(),
        Frame::new(CONTINUATION, "three"),
        Frame::new(TEXT, "waits"),
        Frame::new(BINARY, vec![1; 10_000]),
        Frame::new(TEXT, "behind"),
    ];
    assert_eq!(wire.take_frames(), expected);
    assert_eq!(handle.buffered_amount(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_can_send_in_fragments() {
    let server = Server::builder().build();
    server.on_connection(|ws, _| {
        ws.on_message(|ws, message| {
            ws.send_fragment(message.as_bytes(), false).unwrap();
            ws.send("waits").unwrap();
            ws.send_fragment("", true).unwrap();
        });
    });
    let wire = open(&server).await;
    wire.send(&[text("x")]);
    settle().await;
    let expected = [Frame::new(BINARY, "x").unfinished(), Frame::new(CONTINUATION, ""), Frame::new(TEXT, "waits")];
    assert_eq!(wire.take_frames(), expected);
}
