//! From messages to written bytes, as a driver does it: memory is lent, messages are queued, slices are taken, all of
//! it is written.

use std::hint::black_box;
use std::io::IoSlice;
use std::time::Instant;

use bytes::Bytes;
use ropeway_proto::deflate::{Options, Params};
use ropeway_proto::{Connection, MessageRef, Prepared, Role, Spare};

use crate::sample;

/// The number of slices that the driver writes at once (`connection/writing.rs` of the `ropeway` crate).
const SLICES: usize = 16;

/// Messages of `length` bytes that are copied into the queue, `count` of them in one write.
pub(crate) fn copied(role: Role, length: usize, count: usize) -> impl FnMut() {
    let payload = sample::ascii(length);
    let mut connection = sample::connection(role, Instant::now());
    let mut spare = Spare::default();
    move || {
        connection.lend(&mut spare);
        for _ in 0..count {
            send(&mut connection, payload.as_slice().into());
        }
        write(&mut connection);
        connection.reclaim(&mut spare);
    }
}

/// A message whose payload is written without being copied.
pub(crate) fn shared(length: usize) -> impl FnMut() {
    let payload = Bytes::from(sample::ascii(length));
    let mut connection = sample::connection(Role::Server, Instant::now());
    let mut spare = Spare::default();
    move || {
        connection.lend(&mut spare);
        send(&mut connection, payload.clone().into());
        write(&mut connection);
        connection.reclaim(&mut spare);
    }
}

/// A message that `count` connections send, compressed or not.
pub(crate) fn prepared(length: usize, count: usize, compress: bool) -> impl FnMut() {
    let payload = sample::ascii(length);
    let connection = || {
        let connection = sample::connection(Role::Server, Instant::now());
        if compress { connection.with_deflate(&Params::default(), &Options::default()) } else { connection }
    };
    let mut connections: Vec<_> = std::iter::repeat_with(connection).take(count).collect();
    let mut spare = Spare::default();
    move || {
        let message = Prepared::from(payload.as_slice());
        for connection in &mut connections {
            connection.lend(&mut spare);
            connection.send_prepared(&message).expect("an open connection without a limit takes every message");
            write(connection);
            connection.reclaim(&mut spare);
        }
    }
}

/// One message. Not inlined, so that all benchmarks count the same code.
#[inline(never)]
fn send(connection: &mut Connection, message: MessageRef<'_>) {
    connection.send(message).expect("an open connection without a limit takes every message");
}

/// Writes all that waits, to a transport that accepts everything at once and costs nothing.
#[inline(never)]
pub(crate) fn write(connection: &mut Connection) {
    loop {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = connection.poll_transmit(&mut slices);
        if filled == 0 {
            return;
        }
        let written = black_box(&slices[..filled]).iter().map(|slice| slice.len()).sum();
        connection.handle_transmitted(written);
    }
}
