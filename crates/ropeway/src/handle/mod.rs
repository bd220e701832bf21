//! Handles to a connection, and the state that they share with it.

mod command;
mod identity;
mod link;
mod methods;
#[cfg(all(test, ropeway_loom))]
mod orders;
mod ping;
mod seldom;
mod shared;
mod sync;
mod traffic;
mod unread;

pub(crate) use command::{Asked, Command, with_commands};
pub use identity::ConnectionId;
pub(crate) use link::Link;
pub use methods::Handle;
pub use ping::Ping;
