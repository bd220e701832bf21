//! The addon of the npm package `ropeway`: connections of `ropeway-proto` for JavaScript, which keeps the sockets.
//!
//! ```text
//!   JavaScript                         Rust
//!   chunk ──────── feed ─────────────► Connection ──► rows: [id, kind, offset, length, value]
//!   table.js ◄──── reads the rows, makes views of the payloads
//!   socket.write ◄─ take ───────────── Connection ◄── send, control
//! ```
//!
//! `unsafe` is in the files alone that say so in their first lines.

mod background;
mod callback;
mod commands;
#[cfg(target_os = "linux")]
mod descriptor;
#[cfg(target_os = "linux")]
mod descriptor_commands;
mod hub;
mod keys;
mod memory;
mod napi;
#[cfg(target_os = "linux")]
mod poller;
mod rows;
mod settings;
mod slab;
mod slice;
mod socket;
#[cfg(target_os = "linux")]
mod sockets;
mod start;
mod text;
#[cfg(target_os = "linux")]
mod turn;
#[cfg(target_os = "linux")]
mod uv;
