//! From bytes to messages, as a server's driver passes them on. Answering is left to `echo`.

use std::hint::black_box;
use std::time::Instant;

use ropeway_proto::{Connection, Event, Input, Role};
use testkit::wire::Frame;

use crate::sample::{self, Kind};

/// As much as the driver reads at once (`io/scratch.rs` of the `ropeway` crate).
const READ: usize = 128 * 1024;

/// Whole messages of `length` bytes, `count` of them in one read. They are lent from the read buffer.
pub(crate) fn messages(kind: Kind, length: usize, count: usize) -> impl FnMut() {
    one_read(Role::Server, sample::masked_messages(kind, length, count))
}

/// A message in fragments, all of them in one read: it has to be put together.
pub(crate) fn fragments(kind: Kind, length: usize, count: usize) -> impl FnMut() {
    one_read(Role::Server, sample::masked_fragments(kind, length, count))
}

/// Pings, each of which is answered. The answers are forgotten, as after a write.
pub(crate) fn pings(count: usize) -> impl FnMut() {
    let mut bytes = sample::masked_pings(count);
    let now = Instant::now();
    let mut connection = sample::connection(Role::Server, now);
    move || {
        read(&mut connection, &mut bytes, now);
        connection.handle_transmitted(connection.buffered_amount());
    }
}

/// A message from a server, which the client need not unmask.
pub(crate) fn unmasked(frame: &Frame) -> impl FnMut() + use<> {
    one_read(sample::client(), frame.encode())
}

/// A message that comes in many reads. The bytes behind the first read are read directly into the message, its last few
/// bytes are passed in a read of their own. Nothing is written to the message's memory, as that would be the kernel's
/// work: the ASCII that is there already is taken for the masked payload.
pub(crate) fn large(kind: Kind, length: usize) -> impl FnMut() {
    let mut bytes = sample::masked_messages(kind, length, 1);
    let now = Instant::now();
    let mut connection = sample::connection(Role::Server, now);
    move || {
        let (first, mut rest) = bytes.split_at_mut(READ);
        read(&mut connection, first, now);
        while let Some(room) = connection.poll_read_buffer() {
            let count = room.len();
            rest = &mut rest[count..];
            black_box(connection.handle_read_in_place(count, now));
        }
        assert_eq!(read(&mut connection, rest, now), 1, "the message comes with its last byte");
    }
}

fn one_read(role: Role, mut bytes: Vec<u8>) -> impl FnMut() {
    let now = Instant::now();
    let mut connection = sample::connection(role, now);
    move || {
        assert_ne!(read(&mut connection, &mut bytes, now), 0, "one read holds at least one message");
    }
}

/// One read. Returns the number of its events. It is not inlined: so all benchmarks count the same code, and another
/// benchmark does not change the counts of the others.
#[inline(never)]
pub(crate) fn read(connection: &mut Connection, bytes: &mut [u8], now: Instant) -> usize {
    let mut input = Input::new(bytes);
    let mut events = 0;
    while let Some(event) = connection.handle_input(&mut input, now) {
        assert!(!matches!(event, Event::Violation(_)), "the benchmark's input breaks the protocol");
        black_box(event);
        events += 1;
    }
    events
}
