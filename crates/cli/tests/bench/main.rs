//! `ropeway bench` as a user has it: the program itself, against servers that behave and servers that do not. Counts are
//! checked, and what is printed; never times.

mod errors;
mod modes;
mod output;
mod program;
mod server;
mod tls;
