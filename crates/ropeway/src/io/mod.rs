//! Byte streams, and the thread's memory for reading from them.

pub(crate) mod scratch;
#[cfg(unix)]
mod socket;
mod transport;
mod turn;

#[cfg(unix)]
pub(crate) use socket::{Readiness, Socket};
pub(crate) use transport::Stream;
pub use transport::{Io, Transport};
pub(crate) use turn::{Turn, go_on_later};
