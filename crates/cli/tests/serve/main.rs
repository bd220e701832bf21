//! `ropeway serve` as a user has it: the program itself, and `ropeway connect` or bytes on a socket to talk to it.

mod chat;
#[cfg(unix)]
mod logging;
mod names;
mod program;
mod raw;
#[cfg(unix)]
mod stopping;
mod tls;
