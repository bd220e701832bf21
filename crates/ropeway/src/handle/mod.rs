//! Handles to a connection, and what they share with it.

mod addr;
mod command;
mod link;
mod methods;
#[cfg(all(test, ropeway_loom))]
mod orders;
mod shared;
mod sync;
mod traffic;
mod unread;

pub(crate) use command::{Asked, Command, with_commands};
pub(crate) use link::Link;
pub use methods::Handle;
