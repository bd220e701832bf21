//! A connection whose opening handshake is done, put together for server and client alike.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use ropeway_proto::handshake::Negotiated;
use ropeway_proto::{Config, Connection as Core, Role, deflate};
use tokio::time::Instant;

use super::clients::{Clients, Place};
use crate::handle::Link;
use crate::handshake::Handshake;
use crate::io::Transport;
use crate::overflow::Overflow;

/// A connection whose opening handshake is done, before it is set to work.
pub(crate) struct Opened<S = Transport> {
    pub(crate) stream: S,
    pub(crate) core: Core,
    pub(crate) link: Arc<Link>,
    pub(crate) handshake: Handshake,
    /// Bytes that the peer sent right behind the handshake.
    pub(crate) leftover: Vec<u8>,
    /// Its place among the server's connections.
    pub(crate) place: Option<Place>,
}

/// Shared by many connections: the handler of a route, and the server's list of its connections.
pub(crate) struct Endpoint<H> {
    pub(crate) handler: H,
    /// `None` for a client.
    pub(crate) clients: Option<Arc<Clients>>,
}

/// The part of a connection that this end decides.
pub(crate) struct Setup<'a> {
    pub(crate) role: Role,
    pub(crate) config: Arc<Config>,
    /// The options that compression was negotiated from.
    pub(crate) deflate: Option<&'a deflate::Options>,
    pub(crate) overflow: Overflow,
}

impl<S> Opened<S> {
    /// Puts a connection together from what the handshake said.
    pub(crate) fn new(
        stream: S,
        remote_addr: Option<SocketAddr>,
        (request, response): (Request<()>, Response<()>),
        negotiated: Negotiated,
        setup: Setup<'_>,
    ) -> Self {
        let link = Arc::new(Link::new(remote_addr, setup.config.max_buffered, setup.overflow));
        let mut core = Core::new(setup.role, setup.config, Instant::now().into_std());
        if let (Some(params), Some(options)) = (&negotiated.deflate, setup.deflate) {
            core = core.with_deflate(params, options);
        }
        let mut handshake = Handshake::new(request, response, negotiated.subprotocol);
        handshake.remote_addr = remote_addr;
        Self { stream, core, link, handshake, leftover: Vec::new(), place: None }
    }
}
