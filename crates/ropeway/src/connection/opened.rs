//! What a connection is made of once its opening handshake is done, in one place for both ends.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use ropeway_proto::handshake::Negotiated;
use ropeway_proto::{Config, Connection, Role, deflate};
use tokio::time::Instant;

use super::clients::{Clients, Place};
use crate::handle::Link;
use crate::handshake::Handshake;
use crate::io::Transport;
use crate::overflow::Overflow;

/// What a connection is made of once its opening handshake is done.
pub(crate) struct Opened<S = Transport> {
    pub(crate) stream: S,
    pub(crate) connection: Connection,
    pub(crate) link: Arc<Link>,
    pub(crate) handshake: Handshake,
    /// What the peer sent right behind the handshake.
    pub(crate) leftover: Vec<u8>,
    /// Its place among the server's connections.
    pub(crate) place: Option<Place>,
}

/// What many connections have in common: the handler of a route, and the server's list of its connections.
pub(crate) struct Endpoint<H> {
    pub(crate) handler: H,
    /// `None` for a client.
    pub(crate) clients: Option<Arc<Clients>>,
}

/// How this end carries its part of the connection.
pub(crate) struct Terms<'a> {
    pub(crate) role: Role,
    pub(crate) config: Arc<Config>,
    /// What compression was negotiated from.
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
        terms: Terms<'_>,
    ) -> Self {
        let link = Arc::new(Link::new(remote_addr, terms.config.max_buffered, terms.overflow));
        let mut connection = Connection::new(terms.role, terms.config, Instant::now().into_std());
        if let (Some(params), Some(options)) = (&negotiated.deflate, terms.deflate) {
            connection = connection.with_deflate(params, options);
        }
        let mut handshake = Handshake::new(request, response, negotiated.subprotocol);
        handshake.remote_addr = remote_addr;
        Self { stream, connection, link, handshake, leftover: Vec::new(), place: None }
    }
}
