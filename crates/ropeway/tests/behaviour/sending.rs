//! Sending: messages that leave in one write, their order, peers that do not read, and the figures that handles report.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use futures_util::SinkExt;
use ropeway::{
    Bytes, Cause, Client, CloseCode, Message, Overflow, ReadyState, SendError, Server, ServerBuilder, Transport,
};
use testkit::Event;
use testkit::wire::{BINARY, CLOSE, Frame, PING, PONG, TEXT};

use super::script::{code_of, connect, open, open_client, ping, pong, request, text};
use super::wire::{Wire, settle, wire};

/// A server that echoes.
fn echo(builder: ServerBuilder) -> Server {
    let server = builder.build();
    server.on_connection(|ws, _| {
        ws.on_message(|ws, message| ws.send(message).unwrap());
    });
    server
}

fn unmasked(opcode: u8, payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(opcode, payload)
}

fn texts(payloads: &[&str]) -> Vec<Frame> {
    payloads.iter().map(|payload| unmasked(TEXT, *payload)).collect()
}

/// Polls a future once.
async fn ask<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    poll_fn(|cx| match Pin::new(&mut *future).poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

// Messages that leave in one write.

#[tokio::test(start_paused = true)]
async fn the_replies_to_all_messages_of_one_read_leave_in_one_write() {
    let wire = open(&echo(Server::builder())).await;
    let messages: Vec<Frame> = (0..500).map(|number| text(number.to_string())).collect();
    wire.send(&messages);
    settle().await;
    assert_eq!(wire.take_writes(), 1);
    assert_eq!(wire.unflushed(), 0);
    let replies: Vec<Frame> = (0..500).map(|number| unmasked(TEXT, number.to_string())).collect();
    assert_eq!(wire.take_frames(), replies);
}

#[tokio::test(start_paused = true)]
async fn messages_of_handles_to_a_resting_connection_leave_in_one_write() {
    let (log, wire) = connect(Server::builder()).await;
    let handle = log.handle();
    for payload in ["a", "b", "c"] {
        handle.send(payload).unwrap();
    }
    handle.ping("d").sent().unwrap();
    assert_eq!(wire.take_writes(), 0);
    settle().await;
    assert_eq!(wire.take_writes(), 1);
    assert_eq!(wire.take_frames(), [vec![unmasked(PING, "d")], texts(&["a", "b", "c"])].concat());
    // A message that is sent later does not wait for others.
    handle.send("e").unwrap();
    settle().await;
    assert_eq!(wire.take_writes(), 1);
    assert_eq!((wire.unflushed(), wire.take_frames()), (0, texts(&["e"])));
}

#[tokio::test(start_paused = true)]
async fn messages_of_an_event_and_of_handles_keep_their_order() {
    let server = Server::builder().build();
    server.on_connection(|ws, _| {
        let handle = ws.handle();
        ws.on_message(move |ws, message| {
            ws.send(format!("{message} by the event")).unwrap();
            handle.send(format!("{message} by the handle")).unwrap();
            ws.send(format!("{message} by the event again")).unwrap();
            handle.send(format!("{message} by the handle again")).unwrap();
        });
    });
    let wire = open(&server).await;
    wire.send(&[text("1"), text("2")]);
    settle().await;
    let expected = [" by the event", " by the handle", " by the event again", " by the handle again"];
    let expected: Vec<Frame> =
        ["1", "2"].iter().flat_map(|n| expected.iter().map(move |e| unmasked(TEXT, format!("{n}{e}")))).collect();
    assert_eq!(wire.take_writes(), 1);
    assert_eq!(wire.take_frames(), expected);
}

#[tokio::test(start_paused = true)]
async fn messages_sent_on_open_leave_first() {
    let server = Server::builder().build();
    server.on_connection(|ws, _| {
        ws.send("welcome").unwrap();
        ws.on_message(|ws, message| ws.send(message).unwrap());
    });
    let (wire, end) = wire();
    wire.send_bytes([request("").as_bytes(), &text("hello").encode()].concat());
    tokio::spawn({
        let server = server.clone();
        async move { server.serve_stream(Transport::other(end), None).await }
    });
    settle().await;
    let written = wire.take_written();
    let frames = [unmasked(TEXT, "welcome").encode(), unmasked(TEXT, "hello").encode()].concat();
    assert!(written.ends_with(&frames), "{}", String::from_utf8_lossy(&written));
}

#[tokio::test(start_paused = true)]
async fn large_payloads_are_queued_without_a_copy_and_let_go_when_written() {
    let (log, wire) = connect(Server::builder()).await;
    let payload = Bytes::from(vec![7; 1 << 20]);
    wire.set_room(Some(1000));
    log.handle().send(payload.clone()).unwrap();
    settle().await;
    assert_eq!(log.handle().buffered_amount(), (1 << 20) + 10 - 1000);
    assert!(!payload.is_unique(), "it is still shared");
    wire.set_room(None);
    settle().await;
    assert!(payload.is_unique());
    assert_eq!(wire.take_frames(), [unmasked(BINARY, payload)]);
}

// Peers that do not read.

#[tokio::test(start_paused = true)]
async fn without_room_a_message_is_refused_and_nothing_of_it_sent() {
    let (log, wire) = connect(Server::builder().max_buffered(1000)).await;
    let handle = log.handle();
    wire.set_room(Some(0));
    let mut taken = 0;
    let buffered = loop {
        settle().await;
        match handle.send(vec![taken; 300]) {
            Ok(()) => taken += 1,
            Err(SendError::Full { buffered }) => break buffered,
            Err(other) => panic!("{other}"),
        }
    };
    // A message is accepted as a whole while there is any room.
    assert_eq!((taken, buffered), (4, 4 * 304));
    assert_eq!(handle.buffered_amount(), buffered);
    assert!(matches!(handle.ping("x").await, Err(SendError::Full { .. })));
    assert_eq!(handle.ready_state(), ReadyState::Open);

    wire.set_room(None);
    settle().await;
    assert_eq!(handle.buffered_amount(), 0);
    handle.send("room again").unwrap();
    settle().await;
    let mut expected: Vec<Frame> = (0..4).map(|fill| unmasked(BINARY, vec![fill; 300])).collect();
    expected.push(unmasked(TEXT, "room again"));
    assert_eq!(wire.take_frames(), expected);
}

#[tokio::test(start_paused = true)]
async fn by_default_messages_are_refused_once_1_mib_waits() {
    let (log, wire) = connect(Server::builder()).await;
    let handle = log.handle();
    wire.set_room(Some(0));
    let mut taken = 0;
    while handle.send(vec![7; 1000]).is_ok() {
        taken += 1;
        assert!(taken <= 1 << 20, "no limit holds");
        settle().await;
    }
    // Each has a header of 4 bytes.
    assert_eq!(taken, usize::div_ceil(1 << 20, 1004));
}

#[tokio::test(start_paused = true)]
async fn room_is_counted_before_the_connection_has_seen_the_messages() {
    let (log, wire) = connect(Server::builder().max_buffered(1000)).await;
    let handle = log.handle();
    // No task has run since then, so nothing is written yet.
    assert_eq!((0..100).filter(|_| handle.send(vec![0; 300]).is_ok()).count(), 4);
    assert_eq!(handle.buffered_amount(), 1200);
    settle().await;
    assert_eq!(handle.buffered_amount(), 0);
    assert_eq!(wire.take_frames().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn without_room_messages_are_dropped_and_counted_where_that_is_the_policy() {
    let (log, wire) = connect(Server::builder().max_buffered(1000).overflow(Overflow::Drop)).await;
    let handle = log.handle();
    wire.set_room(Some(0));
    for number in 0..10_u8 {
        handle.send(vec![number; 600]).unwrap();
    }
    assert_eq!(handle.dropped(), 8);
    settle().await;
    wire.set_room(None);
    settle().await;
    handle.send("room again").unwrap();
    settle().await;
    assert_eq!(handle.dropped(), 8);
    let expected = [unmasked(BINARY, vec![0; 600]), unmasked(BINARY, vec![1; 600]), unmasked(TEXT, "room again")];
    assert_eq!(wire.take_frames(), expected);
}

#[tokio::test(start_paused = true)]
async fn without_room_the_connection_is_closed_with_1013_where_that_is_the_policy() {
    let (log, wire) = connect(Server::builder().max_buffered(1000).overflow(Overflow::Close)).await;
    let handle = log.handle();
    wire.set_room(Some(0));
    handle.send(vec![0; 600]).unwrap();
    handle.send(vec![1; 600]).unwrap();
    assert!(matches!(handle.send("too much"), Err(SendError::Full { .. })));
    assert_eq!(handle.ready_state(), ReadyState::Closing);
    assert_eq!(handle.send("later"), Err(SendError::NotOpen(ReadyState::Closing)));
    wire.set_room(None);
    settle().await;
    let frames = wire.take_frames();
    assert_eq!(frames.len(), 3, "what had room is sent before: {frames:?}");
    assert_eq!(code_of(&frames[2]), 1013);
}

#[tokio::test(start_paused = true)]
async fn the_policies_hold_for_what_an_event_sends_too() {
    for (overflow, expected) in [
        (Overflow::Refuse, vec!["sent", "sent", "Full", "Full"]),
        (Overflow::Drop, vec!["sent", "sent", "sent", "sent"]),
        (Overflow::Close, vec!["sent", "sent", "Full", "NotOpen"]),
    ] {
        let server = Server::builder().max_buffered(1000).overflow(overflow).build();
        let results = Arc::new(Mutex::new(Vec::new()));
        server.on_connection({
            let results = Arc::clone(&results);
            move |ws, _| {
                let results = Arc::clone(&results);
                ws.on_message(move |ws, _| {
                    for _ in 0..4 {
                        let result = ws.send(vec![0; 600]);
                        results.lock().unwrap().push(result.err().map_or("sent".into(), |e| testkit::variant(&e)));
                    }
                });
            }
        });
        let wire = open(&server).await;
        let handle = server.clients().remove(0);
        wire.send(&[text("go")]);
        settle().await;
        assert_eq!(*results.lock().unwrap(), expected);
        assert_eq!(handle.dropped(), if overflow == Overflow::Drop { 2 } else { 0 });
        let frames = wire.take_frames();
        if overflow == Overflow::Close {
            assert_eq!((frames.len(), code_of(&frames[2])), (3, 1013));
        } else {
            assert_eq!(frames.len(), 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn send_wait_waits_for_room_and_then_keeps_its_order() {
    let (log, wire) = connect(Server::builder().max_buffered(1000)).await;
    let handle = log.handle();
    wire.set_room(Some(0));
    handle.send(vec![0; 1000]).unwrap();
    settle().await;
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move {
            for number in 1..20_u8 {
                handle.send_wait(vec![number; 1000]).await.unwrap();
            }
        }
    });
    settle().await;
    assert!(!waiting.is_finished());
    // For each further 1000 bytes one message leaves, and the next is accepted.
    for _ in 0..19 {
        let before = handle.buffered_amount();
        wire.set_room(Some(1004));
        settle().await;
        assert_eq!(handle.buffered_amount(), if waiting.is_finished() { 1004 } else { before });
    }
    wire.set_room(None);
    waiting.await.unwrap();
    settle().await;
    let frames = wire.take_frames();
    assert_eq!(frames, (0..20).map(|fill| unmasked(BINARY, vec![fill; 1000])).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_send_wait_that_is_dropped_sends_nothing() {
    let (log, wire) = connect(Server::builder().max_buffered(100)).await;
    let handle = log.handle();
    wire.set_room(Some(0));
    handle.send(vec![0; 100]).unwrap();
    settle().await;
    {
        let mut waiting = pin!(handle.send_wait("never"));
        assert_eq!(ask(&mut waiting).await, None);
        settle().await;
        assert_eq!(ask(&mut waiting).await, None);
    }
    wire.set_room(None);
    settle().await;
    handle.send_wait("after").await.unwrap();
    settle().await;
    assert_eq!(wire.take_frames(), [unmasked(BINARY, vec![0; 100]), unmasked(TEXT, "after")]);
}

#[tokio::test(start_paused = true)]
async fn all_tasks_that_wait_for_room_are_told_of_the_connections_end() {
    for ends in [Wire::end as fn(&Wire), Wire::reset] {
        let (log, wire) = connect(Server::builder().max_buffered(100)).await;
        let handle = log.handle();
        wire.set_room(Some(0));
        handle.send(vec![0; 100]).unwrap();
        settle().await;
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let handle = handle.clone();
                tokio::spawn(async move { handle.send_wait("x").await })
            })
            .collect();
        let closed = tokio::spawn({
            let handle = handle.clone();
            async move { handle.closed().await }
        });
        settle().await;
        ends(&wire);
        for waiting in waiting {
            assert!(matches!(waiting.await.unwrap(), Err(SendError::NotOpen(_))));
        }
        closed.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_keeps_no_other_from_a_broadcast() {
    let server = echo(Server::builder().max_buffered(1000));
    let mut wires = Vec::new();
    for _ in 0..50 {
        wires.push(open(&server).await);
    }
    wires[7].set_room(Some(0));
    assert_eq!(server.clients().len(), 50);
    for round in 0..20 {
        let news = Bytes::from(vec![round; 100]);
        let full = server.clients().iter().filter(|client| client.send(news.clone()).is_err()).count();
        assert_eq!(full, usize::from(round >= 10), "in round {round}");
        settle().await;
    }
    for (index, wire) in wires.iter().enumerate() {
        let expected = if index == 7 { 0 } else { 20 };
        assert_eq!(wire.take_frames().len(), expected, "client {index}");
    }
    wires[7].set_room(None);
    settle().await;
    assert_eq!(wires[7].take_frames().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn buffered_amount_is_nothing_once_the_connection_is_gone() {
    let (log, wire) = connect(Server::builder()).await;
    let handle = log.handle();
    let payload = Bytes::from(vec![7; 100_000]);
    wire.set_room(Some(0));
    handle.send(payload.clone()).unwrap();
    settle().await;
    assert!(handle.buffered_amount() > 100_000);
    // The connection never gets this one.
    handle.terminate();
    assert!(handle.send(payload.clone()).is_err());
    settle().await;
    assert_eq!(handle.buffered_amount(), 0);
    assert!(payload.is_unique(), "nothing is kept for nobody");
}

#[test]
fn the_loops_of_an_ended_runtime_are_not_kept() {
    let payload = Bytes::from(vec![7; 100_000]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (log, _wire) = runtime.block_on(connect(Server::builder()));
    log.handle().send(payload.clone()).unwrap();
    drop(runtime);
    let handle = log.handle();
    assert_eq!(handle.ready_state(), ReadyState::Closed);
    assert_eq!(handle.buffered_amount(), 0);
    assert!(payload.is_unique());
}

// Pings.

#[tokio::test(start_paused = true)]
async fn pings_are_answered_and_told_and_pongs_are_told() {
    let (log, wire) = connect(Server::builder()).await;
    log.handle().ping("ours").sent().unwrap();
    log.handle().pong("unasked").unwrap();
    settle().await;
    assert_eq!(wire.take_frames(), [unmasked(PING, "ours"), unmasked(PONG, "unasked")]);
    wire.send(&[pong("ours"), ping("theirs")]);
    settle().await;
    assert_eq!(log.take_events(), [Event::Pong(b"ours".to_vec()), Event::Ping(b"theirs".to_vec())]);
    assert_eq!(wire.take_frames(), [unmasked(PONG, "theirs")]);
}

#[tokio::test(start_paused = true)]
async fn without_auto_pong_a_listener_answers() {
    let server = Server::builder().auto_pong(false).build();
    server.on_connection(|ws, _| {
        ws.on_ping(|ws, payload| ws.pong(payload).unwrap());
        ws.on_pong(|ws, payload| ws.ping(payload).unwrap());
    });
    let wire = open(&server).await;
    wire.send(&[ping("a"), pong("b")]);
    settle().await;
    assert_eq!(wire.take_frames(), [unmasked(PONG, "a"), unmasked(PING, "b")]);
}

#[tokio::test(start_paused = true)]
async fn a_close_that_cannot_be_sent_changes_nothing() {
    let (log, wire) = connect(Server::builder()).await;
    let handle = log.handle();
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
        assert_eq!(handle.close(code, ""), Err(SendError::InvalidCloseCode(CloseCode::from(code))));
    }
    assert_eq!(handle.close(1000, "r".repeat(124)), Err(SendError::ReasonTooLong(124)));
    assert_eq!(handle.ping([0; 126]).await, Err(SendError::ControlTooLong(126)));
    assert_eq!(handle.pong([0; 126]), Err(SendError::ControlTooLong(126)));
    settle().await;
    assert_eq!(handle.ready_state(), ReadyState::Open);
    assert_eq!(wire.take_written(), b"");
    handle.close(4999, "r".repeat(123)).unwrap();
    settle().await;
    assert_eq!(wire.take_frames(), [Frame::close(Some((4999, &"r".repeat(123))))]);
}

#[tokio::test(start_paused = true)]
async fn terminate_ends_at_once_and_writes_nothing_more() {
    let (log, wire) = connect(Server::builder()).await;
    let handle = log.handle();
    wire.set_room(Some(3));
    handle.send("never read").unwrap();
    settle().await;
    handle.terminate();
    assert_eq!(handle.ready_state(), ReadyState::Closing);
    handle.terminate();
    settle().await;
    wire.set_room(None);
    settle().await;
    assert!(wire.is_dropped());
    assert_eq!(wire.take_written().len(), 3);
    assert_eq!((handle.ready_state(), handle.buffered_amount()), (ReadyState::Closed, 0));
    let closed = log.closed();
    assert_eq!((closed.code, closed.clean, closed.cause), (CloseCode::ABNORMAL, false, Cause::Terminated));
    assert_eq!(handle.send("x"), Err(SendError::NotOpen(ReadyState::Closed)));
    assert_eq!(handle.close(1000, ""), Ok(()));
    handle.closed().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_can_terminate_and_nothing_more_is_told_of_that_read() {
    let server = Server::builder().build();
    let count = Arc::new(Mutex::new(0));
    server.on_connection({
        let count = Arc::clone(&count);
        move |ws, _| {
            let count = Arc::clone(&count);
            ws.on_message(move |ws, _| {
                *count.lock().unwrap() += 1;
                ws.send("x").unwrap();
                ws.terminate();
            });
        }
    });
    let wire = open(&server).await;
    wire.send(&[text("1"), text("2")]);
    settle().await;
    assert_eq!(*count.lock().unwrap(), 1);
    assert!(wire.is_dropped());
    assert_eq!(wire.take_written(), b"");
}

#[tokio::test(start_paused = true)]
async fn flushing_waits_until_the_transport_has_taken_all_and_fails_where_it_cannot() {
    for closes in [false, true] {
        let (mut ws, wire) = open_client(&Client::new()).await;
        wire.set_room(Some(0));
        ws.send("a").await.unwrap();
        let handle = ws.handle();
        let mut flush = pin!(handle.flush());
        for room in [1, 5] {
            assert!(poll_fn(|cx| Poll::Ready(flush.as_mut().poll(cx).is_pending())).await);
            wire.set_room(Some(room));
            settle().await;
        }
        assert!(poll_fn(|cx| Poll::Ready(flush.as_mut().poll(cx).is_pending())).await, "a byte is missing");
        if closes {
            wire.reset();
            assert!(matches!(flush.await, Err(SendError::NotOpen(_))));
            assert!(matches!(ws.flush().await, Err(SendError::NotOpen(_))));
        } else {
            wire.set_room(None);
            flush.await.unwrap();
            assert_eq!(ws.buffered_amount(), 0);
            // For a sink, flushing means the same.
            wire.set_room(Some(0));
            ws.feed(Message::from("b")).await.unwrap();
            let mut flush = SinkExt::flush(&mut ws);
            assert!(poll_fn(|cx| Poll::Ready(Pin::new(&mut flush).poll(cx).is_pending())).await);
            wire.set_room(None);
            flush.await.unwrap();
        }
    }
}

// The figures that handles report.

#[tokio::test(start_paused = true)]
async fn the_ready_state_goes_from_open_over_closing_to_closed() {
    let (log, wire) = connect(Server::builder()).await;
    let handle = log.handle();
    assert_eq!(handle.ready_state(), ReadyState::Open);
    handle.close(1000, "").unwrap();
    assert_eq!(handle.ready_state(), ReadyState::Closing);
    assert_eq!(handle.send("x"), Err(SendError::NotOpen(ReadyState::Closing)));
    settle().await;
    assert_eq!(handle.ready_state(), ReadyState::Closing);
    wire.send(&[super::script::close(1000, "")]);
    settle().await;
    assert_eq!(handle.ready_state(), ReadyState::Closed);
    assert_eq!(wire.take_frames().iter().filter(|frame| frame.opcode == CLOSE).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn at_the_close_event_every_handle_says_closed() {
    for ends in [Wire::end as fn(&Wire), Wire::reset] {
        let server = Server::builder().build();
        let states = Arc::new(Mutex::new(Vec::new()));
        server.on_connection({
            let states = Arc::clone(&states);
            move |ws, _| {
                let (states, handle) = (Arc::clone(&states), ws.handle());
                ws.on_close(move |ws, _| {
                    states.lock().unwrap().push((ws.ready_state(), handle.ready_state()));
                    assert!(handle.send("too late").is_err());
                    assert!(ws.send("too late").is_err());
                });
            }
        });
        let wire = open(&server).await;
        ends(&wire);
        settle().await;
        assert_eq!(*states.lock().unwrap(), [(ReadyState::Closed, ReadyState::Closed)]);
    }
}

#[tokio::test(start_paused = true)]
async fn handles_to_one_connection_are_equal() {
    let server = echo(Server::builder());
    let (_one, _other) = (open(&server).await, open(&server).await);
    let clients = server.clients();
    assert_eq!(clients[0], clients[0].clone());
    assert_ne!(clients[0], clients[1]);
}
