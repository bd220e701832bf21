//! `ropeway connect` as a user has it: the program itself, against servers that behave and servers that do not.

mod exits;
mod filter;
mod program;
#[cfg(unix)]
mod prompt;
mod server;
#[cfg(unix)]
mod signals;
mod tls;
