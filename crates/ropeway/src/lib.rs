//! WebSockets for tokio.

mod client;
mod driver;
mod error;
mod handler;
mod handshake;
mod link;
mod listeners;
mod random;
mod scratch;
mod sender;
mod server;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod websocket;
mod ws;

pub use client::{Client, connect};
pub use error::Error;
pub use handler::Handler;
pub use handshake::Handshake;
pub use link::Overflow;
pub use listeners::Socket;
pub use sender::Sender;
#[cfg(feature = "hyper")]
pub use server::{Attached, AttachedFuture, Layer};
pub use server::{Route, Server, ServerBuilder};
pub use stream::{Io, Stream};
pub use websocket::WebSocket;
pub use ws::Ws;

pub use bytes::Bytes;
pub use bytestring::ByteString;
pub use http;
pub use ropeway_proto::handshake::{Cidr, ClientError, Limits, Refusal};
pub use ropeway_proto::{
    Cause, CloseCode, CloseFrame, Closed, Config, Message, MessageRef, Payload, ReadyState, SendError, Text, Violation,
    deflate,
};
