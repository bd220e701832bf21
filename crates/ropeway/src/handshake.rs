//! The opening handshake, as the handler of the connection gets it.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Request, Response, Uri};
use ropeway_proto::handshake::Destination;

/// What the opening handshake said. It is handed over once, when the connection opens; keep of it what you need.
#[derive(Debug)]
#[non_exhaustive]
pub struct Handshake {
    /// The request, as the client sent it.
    pub request: Request<()>,
    /// The answer, as the server sent it.
    pub response: Response<()>,
    /// The subprotocol that was agreed on.
    pub subprotocol: Option<String>,
    /// The address of the peer's end of the transport; of the last proxy, if there is one.
    pub remote_addr: Option<SocketAddr>,
    pub(crate) client_ip: Option<IpAddr>,
}

impl Handshake {
    pub(crate) fn new(request: Request<()>, response: Response<()>, subprotocol: Option<String>) -> Self {
        Self { request, response, subprotocol, remote_addr: None, client_ip: None }
    }

    /// The client's address: what a [trusted proxy](crate::ServerBuilder::trusted_proxies) says it is, else the remote
    /// address. `None` where nobody knows: on a Unix socket, for a client's own connection, or if a trusted proxy says
    /// that it does not tell (`unknown`).
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// The URI that was asked for.
    pub fn uri(&self) -> &Uri {
        self.request.uri()
    }

    /// The path that was asked for.
    pub fn path(&self) -> &str {
        self.request.uri().path()
    }

    /// The host that was asked for: see [`Destination`].
    pub fn destination(&self) -> Option<Destination> {
        Destination::of(&self.request)
    }

    /// The request's headers.
    pub fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }
}
