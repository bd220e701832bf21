//! A server's connection, fed with what a client may send.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ropeway_fuzz::frames;
use ropeway_proto::Role;

fuzz_target!(|data: &[u8]| frames(Role::Server, data));
