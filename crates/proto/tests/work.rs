//! Large messages that are compressed outside of their connection.
#![expect(clippy::disallowed_methods, reason = "a driver reads the clock; here no time matters")]

use std::io::IoSlice;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use ropeway_proto::deflate::{self, Options, Params};
use ropeway_proto::{Config, Connection, Role, Work};

const LARGE: usize = 100_000;

fn connection() -> Connection {
    let config = Arc::new(Config::server().control_first(false));
    Connection::new(Role::Server, config, Instant::now()).with_deflate(&Params::default(), &Options::default())
}

fn written(connection: &mut Connection) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = connection.poll_transmit(&mut slices);
        if count == 0 {
            return all;
        }
        let before = all.len();
        slices[..count].iter().for_each(|slice| all.extend_from_slice(slice));
        let length = all.len() - before;
        connection.handle_transmitted(length);
    }
}

fn large(letter: &str) -> String {
    letter.repeat(LARGE)
}

/// Two large messages and what lies between them.
fn send(connection: &mut Connection) {
    connection.send(large("a")).unwrap();
    connection.send("short").unwrap();
    connection.ping(b"ping").unwrap();
    connection.send(large("b")).unwrap();
    connection.send("last").unwrap();
    connection.close(None, Instant::now()).unwrap();
}

/// The bytes of a connection that does all its work itself.
fn expected() -> Vec<u8> {
    let mut connection = connection();
    send(&mut connection);
    while connection.has_work() {
        connection.handle_work(true);
    }
    written(&mut connection)
}

fn on_a_thread(mut work: Work) -> Work {
    thread::spawn(move || {
        work.run();
        work
    })
    .join()
    .expect("compressing does not panic")
}

#[test]
fn another_thread_makes_the_same_bytes_in_the_same_order() {
    let mut connection = connection();
    send(&mut connection);
    for _ in 0..2 {
        let work = connection.take_work().expect("a large message waits");
        assert!(!connection.has_work() && connection.take_work().is_none(), "it is away");
        connection.handle_work(true);
        assert!(!connection.poll_shutdown(), "the close frame waits too");
        connection.return_work(on_a_thread(work));
    }
    assert!(connection.take_work().is_none());
    assert_eq!(written(&mut connection), expected());
    assert!(connection.buffered_amount() == 0 && !connection.has_work());
}

#[test]
fn work_that_waits_for_its_thread_holds_no_codec() {
    // Other tests of this process may hold some codecs too, but not this many.
    const MANY: usize = 1_000;
    let mut connections: Vec<_> = (0..MANY).map(|_| connection()).collect();
    let mut works = Vec::new();
    for connection in &mut connections {
        send(connection);
        works.extend(connection.take_work());
    }
    let in_use = deflate::codecs_in_use();
    assert!(works.len() == MANY && in_use < MANY / 2, "{in_use} codecs are in use");
    connections[0].return_work(on_a_thread(works.swap_remove(0)));
    while connections[0].has_work() {
        connections[0].handle_work(true);
    }
    assert_eq!(written(&mut connections[0]), expected());
}

#[test]
fn what_was_not_done_elsewhere_is_done_when_it_comes_back() {
    let mut connection = connection();
    send(&mut connection);
    connection.handle_work(true);
    for _ in 0..2 {
        let work = connection.take_work().expect("a large message waits");
        connection.return_work(work);
    }
    assert_eq!(written(&mut connection), expected());
}

#[test]
fn work_of_a_connection_that_was_closed_or_of_another_one_is_dropped() {
    let mut one = connection();
    one.send(large("a")).unwrap();
    let work = one.take_work().expect("a large message waits");
    one.terminate();
    one.return_work(on_a_thread(work));
    assert_eq!(written(&mut one), b"");

    let (mut one, mut other) = (connection(), connection());
    one.send(large("a")).unwrap();
    other.send(large("b")).unwrap();
    let (work, others) = (one.take_work().unwrap(), other.take_work().unwrap());
    one.return_work(others);
    assert_eq!(written(&mut one), b"");
    one.return_work(work);
    assert!(!written(&mut one).is_empty());
}
