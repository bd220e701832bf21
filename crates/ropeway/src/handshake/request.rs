//! The client's half of the opening handshake, for the application to judge.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::AsHeaderName;
use http::{Extensions, Request};
use ropeway_proto::handshake::offered_subprotocols;

use super::getters::request_getters;
use super::params::Params;

/// A request for a WebSocket that obeys all rules of the opening handshake.
/// [`Route::authorize`](crate::Route::authorize) accepts or refuses it.
///
/// ```
/// use ropeway::{Accept, Refusal, UpgradeRequest};
///
/// async fn authorize(request: UpgradeRequest) -> Result<Accept<String>, Refusal> {
///     match (request.header("authorization"), request.param("room")) {
///         (Some("Bearer opensesame"), Some(room)) => Ok(Accept::with(room.to_owned())),
///         _ => Err(Refusal::new(401, "Log in first.")),
///     }
/// }
/// ```
pub struct UpgradeRequest {
    /// Shared with the server, which turns it into the handler's handshake when this is dropped.
    pub(crate) request: Arc<Request<()>>,
    pub(crate) remote_addr: Option<SocketAddr>,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) params: Arc<Params>,
}

impl UpgradeRequest {
    request_getters!();

    /// The whole request, as the client sent it.
    pub fn request(&self) -> &Request<()> {
        &self.request
    }

    /// The first value of a header. `None` if the header is missing, or its value has characters other than visible
    /// ASCII.
    pub fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// Values that other parts of the program have attached to the request, such as middleware in front of
    /// `Server::upgrade`.
    pub fn extensions(&self) -> &Extensions {
        self.request.extensions()
    }

    /// The subprotocols that the client offers, in its order of preference.
    /// [`Accept::subprotocol`](crate::Accept::subprotocol) chooses one.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        offered_subprotocols(self.headers())
    }

    /// The address of the peer's end of the transport. If there are proxies, it is that of the last one.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.remote_addr
    }

    /// The client's address: see [`Handshake::client_ip`](crate::Handshake::client_ip).
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }
}

impl fmt::Debug for UpgradeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradeRequest")
            .field("request", &self.request)
            .field("remote_addr", &self.remote_addr)
            .field("client_ip", &self.client_ip)
            .field("params", &self.params)
            .finish()
    }
}
