//! The pull API: the user asks a connection for its messages.

mod handler;
mod inbox;
mod websocket;

pub(crate) use handler::Pull;
#[cfg(test)]
pub(crate) use inbox::INBOX_FULL;
pub use websocket::WebSocket;
