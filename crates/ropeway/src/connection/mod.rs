//! A connection at work: its parts, the handler that it calls, and the two ways to drive it.

mod clients;
mod driver;
mod ending;
#[cfg(all(test, unix))]
mod guest;
mod handler;
mod in_event;
mod last_turn;
#[cfg(unix)]
mod on_loop;
mod on_task;
mod opened;
mod panics;
mod start;
mod writing;

pub(crate) use clients::{Clients, Place};
#[cfg(unix)]
pub(crate) use driver::Driver;
pub use handler::Handler;
pub use in_event::Connection;
pub(crate) use opened::{Endpoint, Opened};
pub(crate) use start::start;

/// For tests, which have copies of these numbers.
#[cfg(test)]
pub(crate) mod numbers {
    pub(crate) use super::driver::{BYTES_A_TURN, MOST_CODECS};
}
