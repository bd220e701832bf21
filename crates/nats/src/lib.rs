#![doc = include_str!("../README.md")]

mod access;
mod connect;
mod echo;
mod hearing;
mod history;
mod jetstream;
mod nats;
mod neighbours;
mod presence;
mod session;
mod signals;
mod subject;
mod waiting;

/// The version of rustls whose settings [`Nats`] takes.
pub use async_nats::rustls;
pub use nats::Nats;
