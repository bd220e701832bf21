//! The core's tests under Miri, which finds undefined behaviour. Our own code has no `unsafe`, but its dependencies
//! have (bytes, zlib-rs, httparse, http), and memory that is lent passes through all of it.

use std::time::Duration;

use crate::program::Program;
use crate::setup;
use crate::steps::Step;

/// The tests that are run, by a part of their names. Miri is some thousand times slower than a processor, so tests of
/// thousands of inputs or of megabytes are not among them. Fewer rows are run under Miri.
const TESTS: [&str; 14] = [
    "buffers::",
    "every_row_holds_however_its_input_is_cut",
    "deflate::compress::tests::hello",
    "deflate::compress::tests::a_shared_message_can_be_pointed_back",
    "deflate::inflate::tests::codec_of_a_connection_that_failed",
    "deflate::inflate::tests::message_may_point_back",
    "deflate::pool::",
    "handshake::encode::",
    "handshake::head::tests::every_form_of_request_target_is_read",
    "handshake::key::",
    "handshake::refused_body::",
    "handshake::server::tests::",
    "recv::",
    "send::queue::tests::lent_memory",
];

/// Tests with such a name that try too many inputs.
const TOO_LONG: [&str; 4] = [
    "a_message_whose_last_bytes_come_apart_takes_no_more_than_its_length",
    "any_headers_are_judged_without_a_panic",
    "room_is_for_twice_of_what_came_at_most",
    "an_announced_length_costs_little_memory_until_the_bytes_come",
];

/// A run takes one to two minutes.
const DEADLINE: Duration = Duration::from_secs(10 * 60);

pub(crate) fn step() -> Step {
    Step::new("miri", "the core's tests do nothing that Rust leaves undefined", |workspace| {
        setup::miri(workspace)?;
        Program::nightly("cargo")
            .args(["miri", "test", "--package", "ropeway-proto", "--lib", "--test", "rows"])
            .arg("--target-dir")
            .arg(workspace.target.join("miri"))
            .arg("--")
            .args(TESTS)
            .args(TOO_LONG.iter().flat_map(|name| ["--skip", name]))
            // The tests read the clock and `testdata/`.
            .env("MIRIFLAGS", "-Zmiri-disable-isolation")
            .dir(&workspace.root)
            .deadline(DEADLINE)
            .run()?;
        Ok("ropeway-proto: unit tests, and rows of every kind".into())
    })
}
