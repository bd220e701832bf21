//! The benchmarks of `ropeway-proto`, defined once: `benches/instructions.rs` counts their instructions,
//! `benches/time.rs` takes their time. The README of this crate says how to run them, and what the numbers mean.
//!
//! They use only the public API. Private parts (the mask, headers, UTF-8) are measured through the smallest public
//! operation that consists of little else; `pieces` names it. All input is deterministic.

mod deflate;
mod echo;
mod handshake;
mod pieces;
mod receive;
mod sample;
mod send;

/// One benchmark, ready to be run any number of times. Its input is made already, and each run does the same work.
pub type Job = Box<dyn FnMut()>;

/// Passes the list of all benchmarks to the macro `$apply`: for each its name, which is also its name in the baseline,
/// and the expression that makes it. `x16` in a name says that a run does the operation 16 times.
#[macro_export]
macro_rules! benchmarks {
    ($apply:ident) => {
        $apply! {
            mask_64k: pieces::mask(64 * 1024);
            header_parse_x64: pieces::header_parse(64);
            header_write_x64: pieces::header_write(64);
            utf8_ascii_64k: pieces::utf8(sample::ascii(64 * 1024));
            utf8_mixed_64k: pieces::utf8(sample::mixed(64 * 1024));
            utf8_mixed_64k_in_pieces: pieces::utf8_in_pieces(sample::mixed(64 * 1024), 1_000);

            receive_binary_20_x16: receive::messages(Kind::Binary, 20, 16);
            receive_text_20_x16: receive::messages(Kind::Text, 20, 16);
            receive_binary_1k: receive::messages(Kind::Binary, 1024, 1);
            receive_text_1k: receive::messages(Kind::Text, 1024, 1);
            receive_binary_16k: receive::messages(Kind::Binary, 16 * 1024, 1);
            receive_text_16k: receive::messages(Kind::Text, 16 * 1024, 1);
            receive_binary_1m: receive::large(Kind::Binary, 1024 * 1024);
            receive_text_1m: receive::large(Kind::Text, 1024 * 1024);
            receive_binary_fragments_1k_x16: receive::fragments(Kind::Binary, 1024, 16);
            receive_text_fragments_1k_x16: receive::fragments(Kind::Text, 1024, 16);
            receive_ping_x16: receive::pings(16);

            send_server_20_x16: send::copied(Role::Server, 20, 16);
            send_server_1k: send::copied(Role::Server, 1024, 1);
            send_server_16k_shared: send::shared(16 * 1024);
            send_client_20_x16: send::copied(client(), 20, 16);
            send_client_16k: send::copied(client(), 16 * 1024, 1);
            send_prepared_64_x100: send::prepared(64, 100, false);
            send_prepared_1k_x100_deflate: send::prepared(1024, 100, true);

            echo_20: echo::messages(20, 1);
            echo_20_x16: echo::messages(20, 16);
            echo_1k: echo::messages(1024, 1);
            echo_16k: echo::messages(16 * 1024, 1);

            deflate_compress_1k_x4: deflate::compress(Window::Fresh, 1024, 4);
            deflate_compress_1k_x4_takeover: deflate::compress(Window::Kept, 1024, 4);
            deflate_compress_64k: deflate::compress(Window::Fresh, 64 * 1024, 1);
            deflate_compress_64k_takeover: deflate::compress(Window::Kept, 64 * 1024, 1);
            deflate_inflate_1k_x4: deflate::inflate(Window::Fresh, 1024, 4);
            deflate_inflate_1k_x4_takeover: deflate::inflate(Window::Kept, 1024, 4);
            deflate_inflate_64k: deflate::inflate(Window::Fresh, 64 * 1024, 1);
            deflate_inflate_64k_takeover: deflate::inflate(Window::Kept, 64 * 1024, 1);

            handshake_server: handshake::server();
        }
    };
}

macro_rules! table {
    ($($name:ident: $make:expr;)*) => {
        /// The names of all benchmarks.
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];

        fn make(name: &str) -> Job {
            match name {
                $(stringify!($name) => Box::new($make),)*
                _ => panic!("there is no benchmark `{name}`"),
            }
        }
    };
}

/// Makes the benchmark of this name and runs it twice. That allocates memory and takes codecs, as in a connection that
/// has been busy before.
///
/// # Panics
/// There is no benchmark of this name.
pub fn job(name: &str) -> Job {
    let mut job = make(name);
    job();
    job();
    job
}

use ropeway_proto::Role;

use deflate::Window;
use sample::{Kind, client};

benchmarks!(table);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_benchmark_can_be_run_again_and_again() {
        for name in NAMES {
            let mut job = job(name);
            for _ in 0..3 {
                job();
            }
        }
    }
}
