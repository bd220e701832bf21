//! Handles to a connection, and what they share with it.

mod command;
mod link;
mod sender;
mod traffic;

pub(crate) use command::{Asked, Command, with_commands};
pub(crate) use link::Link;
pub use sender::Sender;
