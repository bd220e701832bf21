//! `ropeway serve` as a user runs it: the program itself, with `ropeway connect` or bytes on a socket as its client.

mod chat;
#[cfg(unix)]
mod logging;
mod names;
#[cfg(unix)]
mod nodes;
mod program;
mod raw;
#[path = "../shared/soon.rs"]
mod soon;
#[cfg(unix)]
mod stopping;
mod tls;
