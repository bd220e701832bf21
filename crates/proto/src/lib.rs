//! The WebSocket protocol and nothing else: frames, messages, closing, keepalive, permessage-deflate and the opening
//! handshake, for both roles, without a socket, a clock, a runtime or a source of randomness of its own.
//!
//! Most people want the `ropeway` crate, which drives this one with tokio. This one is for drivers: another runtime, another
//! language, a test.
//!
//! # The driver's loop
//!
//! A [`Connection`] has four families of methods: getters; `handle_*`, which tell it what came from the network or the clock;
//! commands ([`send`](Connection::send), [`ping`](Connection::ping), [`close`](Connection::close)); and `poll_*`, which say
//! what it wants done. Once the [`handshake`] is done, a driver goes round this:
//!
//! 0. Where permessage-deflate was negotiated: while it [has work](Connection::has_work), call
//!    [`handle_work`](Connection::handle_work), once a turn, and say whether it may take a codec.
//! 1. Write what [`poll_transmit`](Connection::poll_transmit) gives, in one `writev`, and say how much of it went with
//!    [`handle_transmitted`](Connection::handle_transmitted); until it gives nothing.
//! 2. If [`poll_shutdown`](Connection::poll_shutdown) says so, end the writing half of the transport, and say so with
//!    [`handle_shutdown`](Connection::handle_shutdown).
//! 3. If there is an [`outcome`](Connection::outcome), drop the transport: the connection is closed.
//! 4. Wait until there is something to read, unless it [reads no more](Connection::is_reading), or something can be written
//!    that waits, or until [`poll_timeout`](Connection::poll_timeout).
//! 5. Lend what was read to [`handle_input`](Connection::handle_input), again and again until it gives no event; if some of
//!    the input is left then, lend that again. At the end of the peer's half of the transport call [`handle_eof`](Connection::handle_eof), and where it is broken
//!    [`handle_reset`](Connection::handle_reset); when the time has come, [`handle_timeout`](Connection::handle_timeout).
//!
//! ```
//! use std::io::IoSlice;
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use ropeway_proto::{Config, Connection, Event, Input, Role};
//!
//! # fn write(bytes: &[u8]) -> usize { bytes.len() }
//! let mut connection = Connection::new(Role::Server, Arc::new(Config::server()), Instant::now());
//!
//! // 5. What a client sent: "Hello" in one masked text frame (RFC 6455 section 5.7).
//! let mut read = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
//! let mut input = Input::new(&mut read);
//! while let Some(event) = connection.handle_input(&mut input, Instant::now()) {
//!     if let Event::Message(message) = event {
//!         // The message is lent from `read`, and the connection is free to take the answer.
//!         connection.send(message)?;
//!     }
//! }
//!
//! // 1. The echo, unmasked, ready to be written.
//! let mut slices = [IoSlice::new(&[]); 16];
//! assert_eq!(connection.poll_transmit(&mut slices), 1);
//! assert_eq!(&*slices[0], b"\x81\x05Hello");
//! let written = write(&slices[0]);
//! connection.handle_transmitted(written);
//! assert_eq!(connection.buffered_amount(), 0);
//! # Ok::<(), ropeway_proto::SendError>(())
//! ```
//!
//! The example `blocking` in this crate's repository drives it over `std::net`, handshake included.

mod append;
mod buffers;
mod close;
mod code;
mod config;
mod connection;
mod control_rate;
pub mod deflate;
mod error;
mod event;
mod frame;
pub mod handshake;
mod input;
mod keepalive;
mod life;
mod message;
mod outcome;
mod recv;
mod role;
mod send;
mod state;
mod token;
mod utf8;

pub use bytes::Bytes;
pub use bytestring::ByteString;

pub use buffers::Buffers;
pub use close::CloseFrame;
pub use code::CloseCode;
pub use config::Config;
pub use connection::Connection;
pub use error::{SendError, Violation};
pub use event::Event;
pub use frame::header::MAX_CONTROL_PAYLOAD;
pub use input::Input;
pub use message::{Message, MessageRef, Payload, Text};
pub use outcome::{Broken, Cause, Closed};
pub use role::{MaskingKeys, Role};
pub use send::prepared::Prepared;
pub use send::queue::Spare;
pub use state::ReadyState;
