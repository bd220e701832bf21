//! `ropeway connect` as a user runs it: the program itself, against good servers and bad ones.

mod exits;
mod filter;
mod program;
#[cfg(unix)]
mod prompt;
mod server;
#[cfg(unix)]
mod signals;
#[path = "../shared/soon.rs"]
mod soon;
mod tls;
