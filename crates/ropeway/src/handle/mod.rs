//! Handles to a connection, and the state that they share with it.

mod command;
mod driving;
mod identity;
mod link;
mod methods;
#[cfg(all(test, ropeway_loom))]
mod orders;
mod ping;
mod room;
mod seldom;
mod shared;
mod shared_methods;
mod sync;
mod traffic;
mod unread;
mod waiting;

pub(crate) use command::{Asked, Command, with_commands};
pub(crate) use link::Link;
pub use methods::Handle;
pub use ping::Ping;
pub(crate) use shared_methods::shared_methods;
