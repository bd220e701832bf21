//! The opening handshake (RFC 6455 section 4) of both roles, sans-IO: from the first byte to [`Negotiated`].
//!
//! A server passes the bytes that it reads to a [`HeadReader`], and asks [`is_upgrade`] whether the request wants a
//! WebSocket at all. If so, [`accept`] returns a 101, or a [`Refusal`] that says what is wrong; [`encode_response`]
//! writes it. A client writes [`ClientHandshake::request_bytes`] and passes the bytes that it reads to
//! [`ClientHandshake::handle`]. Frames, and all else that comes after the 101, are left to the connection; framing
//! never imports this module. Timeouts are left to the driver, which has the clock. [`Refusal::timeout`] and
//! [`ClientHandshake::handle_timeout`] have the texts for them.
//!
//! ```
//! use ropeway_proto::handshake::{ClientHandshake, ClientOptions, HeadReader, Limits, ServerOptions, accept};
//!
//! // The nonce comes from a random source. The bytes come from a socket; here they come from memory.
//! let target = "ws://example.com/chat".parse()?;
//! let mut client = ClientHandshake::new(&target, &ClientOptions::default(), [7; 16])?;
//!
//! let mut head = HeadReader::new(Limits::server());
//! let (request, _) = head.handle_request(&client.request_bytes())?.expect("the request came whole");
//! let accepted = accept(&request, &ServerOptions::default())?;
//!
//! let opened = client.handle(&accepted.response_bytes())?.expect("the answer came whole");
//! assert_eq!(opened.negotiated, accepted.negotiated);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod authority;
mod cidr;
mod client;
mod client_error;
mod destination;
mod encode;
mod fault;
mod fields;
mod forwarded;
mod head;
#[cfg(feature = "axum-core")]
mod into_response;
mod key;
mod negotiated;
mod origin;
mod refusal;
mod refused_body;
mod server;
mod target;

#[cfg(test)]
mod rows;

pub use cidr::{Cidr, CidrError};
pub use client::{ClientHandshake, ClientOptions, Opened};
pub use client_error::ClientError;
pub use destination::Destination;
pub use encode::{announce_close, encode_response, encode_response_to_head};
pub use fault::Fault;
pub use fields::{header, hide_secrets};
pub use forwarded::{ForwardedHeader, Proxies};
pub use head::{HeadError, HeadReader, Limits};
pub use negotiated::Negotiated;
pub use origin::{Origin, OriginCheck, OriginPolicy};
pub use refusal::Refusal;
pub use server::{Accepted, ServerOptions, accept, accept_from, is_upgrade, offered_subprotocols};
pub use target::{Target, TargetError};
