//! NATS as an engine of ropeway.

mod access;
mod connect;
mod echo;
mod hearing;
mod history;
mod jetstream;
mod nats;
mod presence;
mod session;
mod signals;
mod subject;

pub use nats::Nats;
