//! The opening handshake as the application sees it: first the request that it judges, then the result.

mod getters;
mod params;
mod request;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::{Request, Response};
use ropeway_proto::deflate;
use ropeway_proto::handshake::Negotiated;

use getters::request_getters;
pub(crate) use params::Params;
pub use request::UpgradeRequest;

/// The result of the opening handshake. It is passed to the application once, when the connection opens.
///
/// `T` is the type of the value that [`Route::authorize`](crate::Route::authorize) passes on, such as the user. Without
/// `authorize` it is `()`.
#[non_exhaustive]
pub struct Handshake<T = ()> {
    /// The request, as the client sent it, with the extensions that other parts of the program attached to it.
    pub request: Request<()>,
    /// The answer, as the server sent it.
    pub response: Response<()>,
    /// The subprotocol that was agreed on.
    pub subprotocol: Option<String>,
    /// The address of the peer's end of the transport. If there are proxies, it is that of the last one.
    pub remote_addr: Option<SocketAddr>,
    /// The value that was given to [`Accept::with`](crate::Accept::with).
    pub value: T,
    deflate: Option<deflate::Params>,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) params: Arc<Params>,
}

impl Handshake {
    pub(crate) fn new(request: Request<()>, response: Response<()>, negotiated: Negotiated) -> Self {
        let Negotiated { subprotocol, deflate, .. } = negotiated;
        let (client_ip, params) = (None, Arc::default());
        Self { request, response, subprotocol, remote_addr: None, value: (), deflate, client_ip, params }
    }
}

impl<T> Handshake<T> {
    request_getters!();

    /// Puts another value in the place of this one, which is returned too.
    pub(crate) fn replace<U>(self, value: U) -> (T, Handshake<U>) {
        let Self { request, response, subprotocol, remote_addr, value: old, deflate, client_ip, params } = self;
        (old, Handshake { request, response, subprotocol, remote_addr, value, deflate, client_ip, params })
    }

    /// The client's address: the one that a [trusted proxy](crate::ServerBuilder::trusted_proxies) names, otherwise the
    /// remote address. `None` if it is not known: on a Unix socket, for a client's own connection, or if a trusted
    /// proxy hides it (`unknown`).
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// The parameters of permessage-deflate that were agreed on; `None` if messages are not compressed.
    ///
    /// ```
    /// # async fn run() -> Result<(), ropeway::Error> {
    /// let (ws, handshake) = ropeway::Client::new().connect("ws://127.0.0.1:8005/").with_handshake().await?;
    /// if let Some(deflate) = handshake.deflate() {
    ///     println!("compressed, with a window of {} bits", deflate.server_max_window_bits);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn deflate(&self) -> Option<&deflate::Params> {
        self.deflate.as_ref()
    }
}

/// Shows everything but the value, which may be secret and need not have a `Debug` form.
impl<T> fmt::Debug for Handshake<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("request", &self.request)
            .field("response", &self.response)
            .field("subprotocol", &self.subprotocol)
            .field("remote_addr", &self.remote_addr)
            .field("deflate", &self.deflate)
            .field("client_ip", &self.client_ip)
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}
