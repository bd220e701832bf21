//! A client's masking keys: from a function with state, one for each frame.

#![expect(clippy::disallowed_methods, reason = "a test needs some time to begin with")]

use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use ropeway_proto::{CloseCode, CloseFrame, Config, Connection, MaskingKeys, Role};
use testkit::wire;

fn client(keys: &MaskingKeys) -> Connection {
    Connection::new(Role::Client { keys: keys.clone() }, Arc::new(Config::client()), Instant::now())
}

/// Returns the keys of the frames that wait, and removes these frames.
fn keys(connection: &mut Connection) -> Vec<u32> {
    let mut slices = [IoSlice::new(&[]); 16];
    let count = connection.poll_transmit(&mut slices);
    let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
    connection.handle_transmitted(bytes.len());
    let (frames, rest) = wire::decode_all(&bytes).unwrap();
    assert_eq!(rest, b"", "only whole frames are queued");
    frames.into_iter().map(|frame| u32::from_be_bytes(frame.mask.unwrap())).collect()
}

#[test]
fn each_frame_takes_the_next_key_of_a_source_that_all_connections_share() {
    let next = AtomicU32::new(1);
    let source = MaskingKeys::new(move || next.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let (mut one, mut other) = (client(&source), client(&source));
    one.send("text").unwrap();
    one.ping(b"").unwrap();
    other.send_fragment("first", false).unwrap();
    other.send_fragment("last", true).unwrap();
    one.send(vec![0; 20_000]).unwrap();
    one.close(Some(&CloseFrame::new(CloseCode::NORMAL, "")), Instant::now()).unwrap();
    // The ping goes ahead.
    assert_eq!(keys(&mut one), [2, 1, 5, 6]);
    assert_eq!(keys(&mut other), [3, 4]);
}

#[test]
fn a_source_that_panics_leaves_nothing_of_its_frame_behind() {
    let panics = Arc::new(AtomicBool::new(false));
    let source = MaskingKeys::new({
        let panics = Arc::clone(&panics);
        move || {
            assert!(!panics.load(Ordering::Relaxed), "this is meant to panic");
            [0; 4]
        }
    });
    let now = Instant::now();
    let sends: [fn(&mut Connection, Instant); 5] = [
        |connection, _| drop(connection.send("text")),
        |connection, _| drop(connection.send(vec![0; 20_000])),
        |connection, _| drop(connection.send_fragment("part", false)),
        |connection, _| drop(connection.ping(b"ping")),
        |connection, now| drop(connection.close(None, now)),
    ];
    for send in sends {
        panics.store(false, Ordering::Relaxed);
        let mut connection = client(&source);
        connection.send("before").unwrap();
        let before = connection.buffered_amount();
        panics.store(true, Ordering::Relaxed);
        assert!(catch_unwind(AssertUnwindSafe(|| send(&mut connection, now))).is_err());
        assert_eq!(connection.buffered_amount(), before);
        assert_eq!(keys(&mut connection), [0]);
    }
}
