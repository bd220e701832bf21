//! WebSockets for tokio: a server that shares your HTTP server's port, and a client.
//!
//! The [guide] has short pages: choosing an API, axum, authentication, slow readers, testing, shutdown, and moving from
//! other libraries. The shortest way in is below.
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
//! [`Server::builder`] has the settings. It can also make a server without a port of its own, which shares axum's or
//! hyper's (features `axum` and `hyper`).
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
//! **Events.** A [`Handler`], or listeners on a [`Listeners`], are called with each message as it comes. The message is
//! lent from the buffer that it was read into, and all messages that are sent during a read leave in one write. This is
//! the fast way.
//!
//! **Pull.** The user asks a [`WebSocket`] for its messages. They are owned, and wait in order. A user who asks slowly
//! makes the peer wait.
//!
//! In both cases a connection is driven in the background: it reads, writes, answers pings and keeps its deadlines.
//! Connections over plain TCP share an event loop; others, such as those over TLS, are tasks. A connection may have any
//! number of [`Handle`]s that send from anywhere.
//!
//! # Four views of a connection
//!
//! A [`Connection`] is lent to a handler or a listener while one of its events is handled. [`Listeners`] are lent once,
//! when the connection opens, for putting listeners on it. A [`Handle`] can be cloned and kept, on any thread. A
//! [`WebSocket`] is the user's end of a connection in the pull style. If several of them have a method, it means the
//! same in each:
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
//! Methods that send fail with a [`SendError`], and methods that receive with an [`Error`]; `?` turns the first into
//! the second.
//!
//! # What is bounded
//!
//! A message is bounded by `max_payload`. The bytes that wait to be written are bounded by `max_buffered` plus one
//! message. While a peer does not read what is queued for it, nothing more is read from it, so a reply always finds
//! room. The [`Overflow`] policy decides about messages that are sent through a [`Handle`]. [`Config`] has every limit
//! and time, each with its reason.
//!
//! # Features
//!
//! `tls` (default): `wss://`, and TLS on a server's own port, by rustls. `url`: a client reads URLs as a browser does,
//! such as `ws://bücher.example/`; without it they must be ASCII and percent-encoded. `hyper`, `axum`: sharing the
//! ports of these servers.

#![cfg_attr(docsrs, feature(doc_cfg))]

// The behaviour tests import the crate by this name.
#[cfg(test)]
extern crate self as ropeway;

/// For handlers of axum.
#[cfg(feature = "axum")]
pub mod axum {
    pub use crate::server::extractor::Upgrade;
}
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
pub use server::body::{AttachedBody, Body};
#[cfg(feature = "hyper")]
pub use server::layer::{Attached, AttachedFuture, Layer};
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

// It is text only, so programs that use the crate do not contain it.
#[cfg(doc)]
pub mod guide;

/// permessage-deflate (RFC 7692): how it is offered and negotiated, and what may be wrong with an answer.
pub mod deflate {
    pub use ropeway_proto::deflate::{ExtensionError, Options, Params};
}

/// The README's examples are compiled with the tests.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The same for that of the package.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct PackageReadme;
