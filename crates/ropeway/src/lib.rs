//! WebSockets for tokio: a server that shares your HTTP server's port, and a client.
//!
//! The [guide] has short pages: choosing an API, axum, authentication, slow readers, testing, shutdown, and moving from
//! other libraries. What follows is the shortest way in.
//!
//! # A server
//!
//! ```no_run
//! # async fn run() -> std::io::Result<()> {
//! let server = ropeway::Server::bind("127.0.0.1:8005").await?;
//! server.on_connection(|ws, handshake| {
//!     if let Some(ip) = handshake.client_ip() {
//!         println!("client {ip}");
//!     }
//!     ws.on_message(|ws, message| {
//!         ws.send(message).ok();
//!     });
//! });
//! server.run().await
//! # }
//! ```
//!
//! [`Server::builder`] has the settings, and a server without a port of its own that shares axum's or hyper's instead
//! (features `axum` and `hyper`).
//!
//! # A client
//!
//! ```no_run
//! # async fn run() -> Result<(), ropeway::Error> {
//! let mut ws = ropeway::connect("wss://example.org/feed").await?;
//! while let Some(message) = ws.recv().await? {
//!     ws.send(message).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Client`] has the settings.
//!
//! # Two ways to use a connection
//!
//! **Events.** A [`Handler`], or listeners on a [`Listeners`], are called with each message as it comes. The message is lent from
//! the buffer that it was read into, and what is sent meanwhile leaves in one write. This is the fast way.
//!
//! **Pull.** A [`WebSocket`] is asked for its messages. They are owned, and wait in order; a user who asks slowly makes the
//! peer wait.
//!
//! Either way a connection is driven without your doing: it reads, writes, answers pings and keeps its deadlines, on an event
//! loop that it shares with others, or as a task where there is TLS. It may have any number of
//! [`Handle`]s that send from anywhere.
//!
//! # Four views of a connection
//!
//! A [`Connection`] is lent to a handler or a listener while an event of it is handled. [`Listeners`] are lent once, when the
//! connection opens, to put listeners on. A [`Handle`] can be cloned and kept, on any thread. A [`WebSocket`] is the user's end of a
//! connection that is pulled from. Where a method is in several of them it means the same:
//!
//! | | [`Connection`] | [`Listeners`] | [`Handle`] | [`WebSocket`] |
//! |---|---|---|---|---|
//! | send | `send` | `send` | `send` | `send().await` waits for room |
//! | wait for room | | `send_wait().await` | `send_wait().await` | its `send` does |
//! | until the system has all | | | `flush().await` | `flush().await` |
//! | a message in parts | `send_fragment` | `send_fragment` | `send_fragment` | `send_fragment` |
//! | ping | `ping`; the answer is `on_pong` | `ping`, `.await` for the round-trip time | `ping`, `.await` for the round-trip time | `ping`, `.await` for the round-trip time |
//! | pong | `pong` | `pong` | `pong` | `pong` |
//! | close | `close`, `close_without_code` | `close`, `close_without_code` | `close`, `close_without_code` | `close().await`, `close_without_code().await` wait for the end |
//! | give up | `terminate` | `terminate` | `terminate` | `terminate` |
//! | how it ended | `on_close` | `on_close` | `closed().await`, `outcome` | `closed().await`, `outcome` |
//! | topics | `subscribe`, `unsubscribe` | `subscribe`, `unsubscribe` | `subscribe`, `unsubscribe` | `subscribe`, `unsubscribe` |
//! | make the peer wait | `pause` | `pause`, `resume` | `pause`, `resume` | by not asking |
//! | facts | `ready_state`, `buffered_amount`, `dropped`, `remote_addr`, `id` | the same | the same | the same |
//! | one to keep | `handle` | `handle`, `AsRef<Handle>` | `clone` | `handle`, `AsRef<Handle>` |
//!
//! What sends fails with a [`SendError`], and what receives with an [`Error`]; `?` turns the first into the second.
//!
//! # What is bounded
//!
//! A message by `max_payload`, what waits to be written by `max_buffered` plus one message. While a peer does not take what is
//! queued for it, nothing more is read from it, so a reply always finds room; messages sent through a [`Handle`] meet the
//! [`Overflow`] policy. [`Config`] has every limit and time, each with its reason.
//!
//! # Features
//!
//! `tls` (default): `wss://`, and TLS on a server's own port, by rustls. `url`: a client reads URLs as a browser does, such as
//! `ws://bücher.example/`; without it they must be ASCII and percent-encoded. `hyper`, `axum`: sharing their ports.

#![cfg_attr(docsrs, feature(doc_cfg))]

// The behaviour tests name it so.
#[cfg(test)]
extern crate self as ropeway;

mod client;
mod connection;
mod error;
#[cfg(unix)]
mod event_loop;
mod handle;
mod handshake;
mod io;
mod listen;
mod log;
#[cfg(all(test, unix, not(ropeway_loom)))]
mod on_loops;
mod once;
mod overflow;
mod pull;
mod random;
mod server;
mod settings;
mod topic;

pub use client::{Client, Connecting, connect};
pub use connection::{Connection, Handler};
pub use error::Error;
pub use handle::{ConnectionId, Handle, Ping};
pub use handshake::{Handshake, UpgradeRequest};
pub use io::{Io, Transport};
pub use listen::Listeners;
pub use overflow::Overflow;
pub use pull::WebSocket;
#[cfg(feature = "hyper")]
pub use server::attach::{Attached, AttachedFuture, Layer};
pub use server::{Accept, Remaining, Route, RouteError, Server, ServerBuilder, Shutdown};
pub use topic::{PublishError, Topic};

pub use bytes::Bytes;
pub use bytestring::ByteString;
pub use http;
pub use ropeway_proto::handshake::{
    Cidr, CidrError, ClientError, Destination, Fault, ForwardedHeader, HeadError, Limits as HeadLimits, Origin,
    Refusal, Target, TargetError,
};
pub use ropeway_proto::{
    Broken, Buffers, Cause, CloseCode, CloseFrame, Closed, Config, Message, MessageRef, Payload, Prepared, ReadyState,
    SendError, Text, Violation,
};
/// The version of rustls whose settings [`Client`] and [`ServerBuilder`] take.
#[cfg(feature = "tls")]
pub use tokio_rustls::rustls;

// It is text alone, so a program that uses the crate has none of it.
#[cfg(doc)]
pub mod guide;

/// permessage-deflate (RFC 7692): how it is offered and negotiated, and what may be wrong with an answer.
pub mod deflate {
    pub use ropeway_proto::deflate::{ExtensionError, Options};
}

/// The README's examples are compiled with the tests.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The same for that of the package.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct PackageReadme;
