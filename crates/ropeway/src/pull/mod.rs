//! The pull API: a connection that is asked for its messages.

mod handler;
mod inbox;
mod websocket;

pub(crate) use handler::Pull;
pub use websocket::WebSocket;
