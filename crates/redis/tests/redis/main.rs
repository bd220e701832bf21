//! The engine on real servers. `cargo xtask brokers` installs them.
#![cfg(unix)]

mod access;
mod cluster;
mod failures;
mod history;
mod messages;
mod node;
mod presence;
mod topics;
