//! A connection whose opening handshake is done, put together for servers and clients alike.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use ropeway_proto::handshake::Negotiated;
use ropeway_proto::{Connection as Core, Role};
use tokio::time::Instant;

use super::clients::{Clients, Place};
use crate::handle::Link;
use crate::handshake::Handshake;
use crate::io::Transport;
use crate::settings::ConnectionSettings;

/// A connection whose opening handshake is done, before it is started.
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

impl<S> Opened<S> {
    /// Puts a connection together from the result of the handshake.
    pub(crate) fn new(
        stream: S,
        remote_addr: Option<SocketAddr>,
        (request, response): (Request<()>, Response<()>),
        negotiated: Negotiated,
        role: Role,
        settings: &ConnectionSettings,
    ) -> Self {
        let config = settings.config();
        let link = Arc::new(Link::new(remote_addr, config.max_buffered, settings.overflow));
        let mut core = Core::new(role, config, Instant::now().into_std());
        if let (Some(params), Some(options)) = (&negotiated.deflate, &settings.deflate) {
            core = core.with_deflate(params, options);
        }
        let mut handshake = Handshake::new(request, response, negotiated);
        handshake.remote_addr = remote_addr;
        Self { stream, core, link, handshake, leftover: Vec::new(), place: None }
    }
}
