//! The data that violations carry about the bytes that caused them. The rows of `testdata/` say which bytes cause
//! which.

#![expect(clippy::disallowed_methods, reason = "a driver has a clock")]

use std::sync::Arc;
use std::time::Instant;

use ropeway_proto::deflate::{Options, Params};
use ropeway_proto::{Config, Connection, Event, Input, Role, Violation};
use testkit::deflate::Deflater;
use testkit::wire::{self, Frame, Length};

/// The violation that these frames of a server cause in a client that accepts messages of at most 1,000 bytes.
fn violation(bytes: &[u8]) -> Violation {
    let config = Config::client().max_payload(1000);
    let connection = Connection::new(Role::client(|| wire::KEY), Arc::new(config), Instant::now());
    let mut connection = connection.with_deflate(&Params::default(), &Options::default());
    let mut bytes = bytes.to_vec();
    let mut input = Input::new(&mut bytes);
    while let Some(event) = connection.handle_input(&mut input, Instant::now()) {
        if let Event::Violation(violation) = event {
            return violation;
        }
    }
    panic!("there is no violation");
}

fn announcing(opcode: u8, length: u64) -> Vec<u8> {
    Frame { length: Length::Declared(length), ..Frame::new(opcode, "") }.encode()
}

fn first_fragment(payload: &str) -> Vec<u8> {
    Frame { fin: false, ..Frame::new(wire::TEXT, payload) }.encode()
}

#[test]
fn a_message_inside_another_tells_its_opcode() {
    for opcode in [wire::TEXT, wire::BINARY] {
        let bytes = [first_fragment("a"), Frame::new(opcode, "b").encode()].concat();
        assert_eq!(violation(&bytes), Violation::MessageUnfinished(opcode));
    }
}

#[test]
fn a_control_frame_that_is_too_long_tells_the_length_in_its_second_byte() {
    for (length, told) in [(126, 126), (65_535, 126), (65_536, 127)] {
        assert_eq!(violation(&announcing(wire::PING, length)), Violation::ControlTooLong(told), "{length} bytes");
    }
}

#[test]
fn a_message_that_is_too_big_tells_the_length_that_its_frame_announces() {
    for length in [1001, 1 << 53, u64::MAX >> 1] {
        let too_big = Violation::too_big(1000, Some(length));
        assert_eq!(violation(&announcing(wire::BINARY, length)), too_big);
    }
    let bytes = [first_fragment("abc"), announcing(wire::CONTINUATION, 998)].concat();
    assert_eq!(violation(&bytes), Violation::too_big(1000, Some(998)));
}

#[test]
fn a_message_that_is_inflated_to_too_much_tells_no_length() {
    let payload = Deflater::new().deflate(&[0; 1001]);
    let bytes = Frame::new(wire::BINARY, payload).with_rsv(wire::RSV1).encode();
    assert_eq!(violation(&bytes), Violation::too_big(1000, None));
}
