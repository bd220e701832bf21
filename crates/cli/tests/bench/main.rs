//! `ropeway bench` as a user runs it: the program itself, against good servers and bad ones. Counts and output are
//! checked, never times.

mod errors;
mod modes;
mod output;
mod program;
mod server;
#[path = "../shared/soon.rs"]
mod soon;
mod tls;
