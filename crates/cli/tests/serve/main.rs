//! `ropeway serve` as a user has it: the program itself, and `ropeway connect` to talk to it.

mod chat;
mod program;
mod tls;
