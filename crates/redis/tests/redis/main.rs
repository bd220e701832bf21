//! The engine on real servers. `cargo xtask brokers` installs them.

mod access;
mod cluster;
mod failures;
mod history;
mod messages;
mod node;
mod presence;
