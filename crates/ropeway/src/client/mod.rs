//! The client: its settings, then dialling, TLS and the opening handshake, in that order.

mod connecting;
mod dial;
mod settings;
mod shake;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod trust;

pub use connecting::{Connecting, connect};
pub use settings::Client;
