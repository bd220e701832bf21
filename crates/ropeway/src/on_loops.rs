//! The behaviour tests on event loops. In `tests/behaviour` connections are tasks. This module builds the same files
//! into this crate, where an event loop drives every stream.

// Times of tests are constants, and the larger one comes first.
#![allow(clippy::unchecked_time_subtraction)]

/// How late a deadline may come: a loop counts milliseconds, and looks at all deadlines at most every 5 ms, see
/// `deadlines`.
const LATE: std::time::Duration = std::time::Duration::from_millis(7);

#[path = "../tests/behaviour/abandoned.rs"]
mod abandoned;
#[path = "../tests/behaviour/closing.rs"]
mod closing;
#[cfg(feature = "tls")]
#[path = "../tests/behaviour/connecting.rs"]
mod connecting;
#[path = "../tests/behaviour/eventually.rs"]
mod eventually;
#[path = "../tests/behaviour/flood.rs"]
mod flood;
#[path = "../tests/behaviour/fragments.rs"]
mod fragments;
#[path = "../tests/behaviour/half_close.rs"]
mod half_close;
#[cfg(feature = "tls")]
#[path = "../tests/behaviour/handshake_rows.rs"]
mod handshake_rows;
#[path = "../tests/behaviour/keepalive.rs"]
mod keepalive;
#[path = "../tests/behaviour/logs.rs"]
mod logs;
#[path = "../tests/behaviour/panics.rs"]
mod panics;
#[path = "../tests/behaviour/pausing.rs"]
mod pausing;
#[path = "../tests/behaviour/pings.rs"]
mod pings;
#[path = "../tests/behaviour/receiving.rs"]
mod receiving;
#[path = "../tests/behaviour/rows.rs"]
mod rows;
#[path = "../tests/behaviour/script.rs"]
mod script;
#[path = "../tests/behaviour/sending.rs"]
mod sending;
#[path = "../tests/behaviour/settings.rs"]
mod settings;
#[path = "../tests/behaviour/shutdown.rs"]
mod shutdown;
#[path = "../tests/behaviour/slow_subscribers.rs"]
mod slow_subscribers;
#[cfg(feature = "tls")]
#[path = "../tests/behaviour/tls.rs"]
mod tls;
#[path = "../tests/behaviour/turns.rs"]
mod turns;
#[path = "../tests/behaviour/wire.rs"]
mod wire;

/// The tests are also built without access to this crate's private numbers, so they have copies of some.
#[test]
fn numbers_that_tests_copy_are_those_of_the_code() {
    use crate::connection::numbers::{BYTES_A_TURN, MOST_CODECS};
    assert_eq!((turns::READ, turns::TURN), (crate::io::scratch::SIZE, BYTES_A_TURN));
    assert_eq!((receiving::INBOX, flood::MOST_CODECS), (crate::pull::INBOX_FULL, MOST_CODECS));
}
