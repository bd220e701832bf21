//! The WebSocket protocol and nothing else.
pub mod deflate;
pub mod handshake;
