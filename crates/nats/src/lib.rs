//! NATS as an engine of ropeway.

mod access;
mod connect;
mod echo;
mod hearing;
mod nats;
mod session;
mod signals;
mod subject;

pub use nats::Nats;
