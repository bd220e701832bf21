//! Peers that fall silent, and peers that only seem to: pings of our own, and the time that a message may take.

use std::time::Duration;

use ropeway::{Cause, Config, ReadyState, Server};
use testkit::Event;
use testkit::wire::{BINARY, Frame, PING};
use tokio::time::{Instant, sleep, sleep_until};

use super::LATE;
use super::script::{binary, codes, connect, continuation, ping, pong, text};
use super::wire::{SETTLING, pass, settle};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_pinged_after_20_s_and_given_up_after_20_more() {
    let (log, wire) = connect(Server::builder()).await;
    let opened = Instant::now() - SETTLING;
    sleep_until(opened + 20 * SECOND - 2 * SETTLING).await;
    settle().await;
    assert_eq!(wire.take_frames(), []);
    sleep_until(opened + 20 * SECOND + LATE).await;
    settle().await;
    let frames = wire.take_frames();
    assert_eq!((frames.len(), frames[0].opcode), (1, PING));
    sleep_until(opened + 40 * SECOND - 2 * SETTLING).await;
    settle().await;
    assert!(!wire.is_dropped());
    sleep_until(opened + 40 * SECOND + 2 * LATE).await;
    settle().await;
    assert!(wire.is_dropped());
    assert_eq!(log.closed().cause, Cause::KeepaliveTimeout);
    assert_eq!(log.told().lost.len(), 1, "it is an error too");
    assert_eq!(log.closed().code.as_u16(), 1006);
}

#[tokio::test(start_paused = true)]
async fn any_byte_keeps_a_connection_alive() {
    let (log, wire) = connect(Server::builder()).await;
    // A large message, of which a byte comes every 19 seconds.
    for byte in &binary(vec![7; 100_000]).encode()[..100] {
        wire.send_bytes([*byte]);
        sleep(19 * SECOND).await;
    }
    settle().await;
    assert_eq!(wire.take_frames(), []);
    assert_eq!(log.handle().ready_state(), ReadyState::Open);
    wire.send_bytes([7]);
    settle().await;
    // So does the answer to a ping.
    for _ in 0..10 {
        sleep(25 * SECOND).await;
        let asked = wire.take_frames().remove(0);
        assert_eq!(asked.opcode, PING);
        wire.send_bytes([7]);
        settle().await;
    }
    assert_eq!(log.handle().ready_state(), ReadyState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_large_message_slowly_is_not_given_up() {
    let (log, wire) = connect(Server::builder()).await;
    let message = vec![7; 2_000_000];
    wire.set_room(Some(0));
    log.handle().send(message.clone()).unwrap();
    // It takes five minutes. Meanwhile our ping is stuck behind it, and the peer has no reason to send anything.
    for _ in 0..30 {
        sleep(10 * SECOND).await;
        wire.set_room(Some(2_100_000 / 30));
    }
    settle().await;
    let frames = wire.take_frames();
    assert!(frames[0] == Frame::new(BINARY, message));
    assert_eq!(log.handle().ready_state(), ReadyState::Open);
    for asked in &frames[1..] {
        wire.send(&[pong(asked.payload.clone())]);
    }
    settle().await;
    // A peer that reads nothing more is given up.
    wire.set_room(Some(0));
    log.handle().send(vec![7; 2_000_000]).unwrap();
    pass(40 * SECOND).await;
    settle().await;
    assert_eq!(log.closed().cause, Cause::KeepaliveTimeout);
}

#[tokio::test(start_paused = true)]
async fn keepalive_can_be_set_and_turned_off() {
    let (log, wire) = connect(Server::builder().ping_interval(SECOND).ping_timeout(2 * SECOND)).await;
    pass(SECOND).await;
    pass(2 * SECOND).await;
    settle().await;
    assert_eq!(wire.take_frames().len(), 1);
    assert_eq!(log.closed().cause, Cause::KeepaliveTimeout);
    let (log, wire) = connect(Server::builder().ping_interval(None)).await;
    sleep(100_000 * SECOND).await;
    settle().await;
    assert_eq!(wire.take_frames(), []);
    assert_eq!(log.handle().ready_state(), ReadyState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_that_never_comes_does_not_end_a_paused_connection() {
    let (log, wire) = connect(Server::builder().ping_timeout(Duration::MAX)).await;
    log.handle().pause();
    settle().await;
    wire.send(&[text("not read")]);
    pass(60 * SECOND).await;
    settle().await;
    assert_eq!(log.handle().ready_state(), ReadyState::Open);
    assert!(!wire.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_takes_longer_than_it_may_is_answered_with_1008() {
    let config = Config::server().message_timeout(5 * SECOND);
    let (log, wire) = connect(Server::builder().config(config)).await;
    wire.send(&[text("Hel").unfinished()]);
    sleep(4 * SECOND).await;
    wire.send(&[continuation("lo "), text("and ").unfinished()]);
    sleep(4 * SECOND).await;
    wire.send(&[ping("does not help"), continuation("").unfinished()]);
    sleep(SECOND - 2 * MS).await;
    settle().await;
    assert_eq!(wire.take_frames().len(), 1, "the pong");
    pass(MS).await;
    settle().await;
    assert_eq!(codes(&wire), [1008]);
    assert_eq!(log.take_events().last(), Some(&Event::Violation("MessageTooSlow".into())));
}
