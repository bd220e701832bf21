//! The WebSocket protocol and nothing else: frames, messages, closing, keepalive, permessage-deflate and the opening
//! handshake, for both roles. It has no socket, clock, runtime or source of randomness of its own.
//!
//! Most programs need the `ropeway` crate, which drives this one with tokio. This crate is for other drivers: another
//! runtime, another language, a test.
//!
//! # The driver's loop
//!
//! A [`Connection`] has four families of methods: getters; `handle_*`, which take input from the network or the clock;
//! commands ([`send`](Connection::send), [`ping`](Connection::ping), [`close`](Connection::close)); and `poll_*`, which
//! return what the driver has to do. After the [`handshake`], a driver repeats these steps:
//!
//! 0. If permessage-deflate was negotiated and the connection [has work](Connection::has_work), call
//!    [`handle_work`](Connection::handle_work) once a turn, and tell it whether it may take a codec.
//! 1. Write the slices of [`poll_transmit`](Connection::poll_transmit) in one `writev`, and report how many bytes were
//!    written with [`handle_transmitted`](Connection::handle_transmitted). Repeat that until there are no slices.
//! 2. If [`poll_shutdown`](Connection::poll_shutdown) returns `true`, end the writing half of the transport, and report
//!    that with [`handle_shutdown`](Connection::handle_shutdown).
//! 3. If there is an [`outcome`](Connection::outcome), drop the transport: the connection is closed.
//! 4. Wait until there is something to read, if the connection still [reads](Connection::is_reading); or until bytes
//!    that wait can be written; or until [`poll_timeout`](Connection::poll_timeout).
//! 5. Lend the bytes that were read to [`handle_input`](Connection::handle_input), repeatedly until it returns no
//!    event. If some of the input is left then, lend that again later. If the peer ends its half of the transport, call
//!    [`handle_eof`](Connection::handle_eof). If the transport breaks, call [`handle_reset`](Connection::handle_reset).
//!    When the time of step 4 has come, call [`handle_timeout`](Connection::handle_timeout).
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
//! The whole contract, with every method and a driver for both ends, is in [`sansio`].
//!
//! The example `blocking` in this crate's repository drives a connection over `std::net`, with the handshake.

#![cfg_attr(docsrs, feature(doc_cfg))]

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
pub mod sansio;
mod send;
mod state;
mod token;
mod utf8;

pub use bytes::Bytes;
pub use bytestring::ByteString;

pub use buffers::Buffers;
pub use close::{CloseFrame, UncheckedClose};
pub use code::CloseCode;
pub use config::Config;
pub use connection::Connection;
pub use error::{SendError, TooBig, Violation};
pub use event::Event;
pub use frame::header::MAX_CONTROL_PAYLOAD;
pub use input::Input;
pub use message::{Message, MessageRef, Payload, Text};
pub use outcome::{Broken, Cause, Closed};
pub use role::{MaskingKeys, Role};
pub use send::job::Work;
pub use send::prepared::Prepared;
pub use send::queue::Spare;
pub use state::ReadyState;

/// The README's example is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
