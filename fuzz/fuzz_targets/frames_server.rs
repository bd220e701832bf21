//! A server's connection that gets arbitrary bytes from a client.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ropeway_fuzz::frames;
use ropeway_proto::Role;

fuzz_target!(|data: &[u8]| frames(Role::Server, data));
