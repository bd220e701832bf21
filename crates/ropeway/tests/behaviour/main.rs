//! What the tokio layer promises, one topic a file. One test program, so that it is linked once.

mod closing;
mod flood;
mod handshake;
mod handshake_rows;
mod receiving;
mod rows;
mod script;
mod sending;
mod wire;
