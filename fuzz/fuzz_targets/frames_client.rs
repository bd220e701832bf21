//! A client's connection that gets arbitrary bytes from a server.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ropeway_fuzz::frames;
use ropeway_proto::Role;

// A fixed mask: two runs of the same input must send the same bytes.
fuzz_target!(|data: &[u8]| frames(Role::client(|| [0x37, 0xfa, 0x21, 0x3d]), data));
