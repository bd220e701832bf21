//! One turn of a driver: a read full of messages, each of which is answered with itself, and one write. A busy server
//! does this all day. System calls and the runtime are not included.

use std::time::Instant;

use ropeway_proto::{Connection, Event, Input, Role, Spare};

use crate::sample::{self, Kind};
use crate::send;

/// One read with `count` binary messages of `length` bytes.
pub(crate) fn messages(length: usize, count: usize) -> impl FnMut() {
    let mut bytes = sample::masked_messages(Kind::Binary, length, count);
    let now = Instant::now();
    let mut connection = sample::connection(Role::Server, now);
    let mut spare = Spare::default();
    move || {
        connection.lend(&mut spare);
        answer(&mut connection, &mut bytes, now);
        send::write(&mut connection);
        connection.reclaim(&mut spare);
    }
}

/// Not inlined, so that all benchmarks count the same code.
#[inline(never)]
fn answer(connection: &mut Connection, bytes: &mut [u8], now: Instant) {
    let mut input = Input::new(bytes);
    while let Some(event) = connection.handle_input(&mut input, now) {
        if let Event::Message(message) = event {
            connection.send(message).expect("an open connection without a limit takes every message");
        }
    }
}
