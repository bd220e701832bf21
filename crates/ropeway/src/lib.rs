//! WebSockets for tokio: a server, on a port of its own or on that of your HTTP server, and a client.
//!
//! The [guide] has short pages: a start, axum, authentication, slow readers, testing, shutdown, moving from other
//! libraries, and more.
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
//! [`Server::builder`] has the settings. It can also make a server without a port of its own, which shares the port of
//! axum or hyper (features `axum` and `hyper`).
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
//! **Events.** ropeway calls your code for each event of a connection: it has opened, a message has come, it is closed.
//! Your code is a [`Handler`], which is a type with a method for each event, or closures that you put on [`Listeners`].
//! A message is lent from the buffer that it was read into. All messages that are sent during a read leave in one
//! write.
//!
//! **Pull.** Your code asks a [`WebSocket`] for the next message, and awaits it. Messages are owned, and wait in order.
//! If your code asks slowly, the peer has to wait.
//!
//! Events are faster, and pull is simpler: [the guide](guide::events_and_pull) compares them. In both cases ropeway
//! reads, writes, answers pings and keeps deadlines in the background. Connections over plain TCP share an event loop,
//! which is one task for many connections. Others, such as those over TLS, have a task each.
//!
//! # Four views of a connection
//!
//! - A [`Connection`] is lent to a handler or a listener while an event is handled.
//! - [`Listeners`] are lent once, when the connection opens, so that you can put listeners on it.
//! - A [`Handle`] can be cloned and kept, on any thread. A connection may have any number of them.
//! - A [`WebSocket`] is a connection with the pull API.
//!
//! If several of them have a method of the same name, it means the same in each:
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
//! | end at once | `terminate` | `terminate` | `terminate` | `terminate` |
//! | how it ended | `on_close` | `on_close` | `closed().await`, `outcome` | `closed().await`, `outcome` |
//! | topics | `subscribe`, `unsubscribe` | `subscribe`, `unsubscribe` | `subscribe`, `unsubscribe` | `subscribe`, `unsubscribe` |
//! | topics, from a place in their history on | | `subscribe_from().await` | `subscribe_from().await` | `subscribe_from().await` |
//! | make the peer wait | `pause` | `pause`, `resume` | `pause`, `resume` | by not asking |
//! | facts | `ready_state`, `buffered_amount`, `dropped`, `remote_addr`, `id` | the same | the same | the same |
//! | one to keep | `handle` | `handle`, `AsRef<Handle>` | `clone` | `handle`, `AsRef<Handle>` |
//!
//! Methods that send fail with a [`SendError`], and methods that receive with an [`Error`]; `?` turns the first into
//! the second.
//!
//! # What is bounded
//!
//! A received message has at most `max_payload` bytes. The messages that wait to be written have at most `max_buffered`
//! bytes, and one message more. While `max_buffered` bytes wait for a peer, nothing is read from it, so a reply always
//! finds room. The [`Overflow`] policy decides what happens to a message for which there is no room. [`Config`] has
//! every limit and time, each with its reason.
//!
//! # Features
//!
//! - `tls` (default): `wss://`, and TLS on a server's own port, by rustls.
//! - `hyper`, `axum`: sharing the ports of these servers.
//! - `url`: a client reads URLs as a browser does, such as `ws://bücher.example/`. Without it, a URL must be ASCII and
//!   percent-encoded.

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
mod connection_id;
pub mod engine;
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
mod topics;

pub use client::{Client, Connecting, connect};
pub use connection::{Connection, Handler};
pub use connection_id::ConnectionId;
pub use engine::{History, Name, NameError, Position, PositionError};
pub use error::Error;
pub use handle::{Handle, Ping};
pub use handshake::{Handshake, UpgradeRequest};
pub use io::{Io, Transport};
pub use listen::Listeners;
pub use overflow::{Overflow, TopicSettings};
pub use pull::WebSocket;
#[cfg(feature = "hyper")]
pub use server::body::{AttachedBody, Body};
#[cfg(feature = "hyper")]
pub use server::layer::{Attached, AttachedFuture, Layer};
pub use server::{Accept, Remaining, Route, RouteError, Server, ServerBuilder, Shutdown};
pub use topic::{Delivery, Heard, Listening, PublishError, Published, Reach, Recovery, Subscribing, Topic};
pub use topics::{
    Events, Member, MemberEvent, MemberEvents, MemberList, Members, Membership, OutboxLimits, Publication, Topics,
    TopicsBuilder, TopicsEvent,
};

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

/// permessage-deflate (RFC 7692): how it is offered and negotiated, and the faults of an answer.
pub mod deflate {
    pub use ropeway_proto::deflate::{ExtensionError, Options, Params};
}

/// The README's examples are compiled with the tests.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The same for the README of the package.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct PackageReadme;
