//! Sharing the port of another HTTP server: hyper, and whatever is built on top of it, such as axum. `layer` and `extractor` are the
//! ways to it that tower and axum have.

use std::net::SocketAddr;
use std::sync::Arc;

#[cfg(feature = "axum")]
use axum::extract::{ConnectInfo, OriginalUri};
use http::{Extensions, Request, Response, Uri};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
#[cfg(feature = "axum")]
use hyper_util::server::conn::auto;
use ropeway_proto::handshake::{self, Fault, Refusal, is_upgrade};
use tokio::net::TcpStream;

use super::Server;
use super::body::Body;
use super::gate::{Gate, Upgrade, log_refusal};
use crate::io::Transport;
use crate::log::{Rate, of_client};

impl Server {
    /// Answers a request for a WebSocket that came to a hyper server. Returns the 101 to send, or the refusal, whose
    /// [`to_response`](Refusal::to_response) is to be sent. The connection starts once hyper has sent the 101. The
    /// settings of this server's own port, such as the handshake timeout, do not apply; hyper has its own.
    ///
    /// hyper must serve the connection `with_upgrades`; axum does. The 101 must reach the client: a middleware outside that puts another
    /// answer in its place comes too late, as hyper may hand over the connection all the same.
    ///
    /// The client's address is taken from its TCP connection. Where that cannot be had, as behind TLS, it is taken from the request's
    /// extensions: a `SocketAddr`, or axum's `ConnectInfo<SocketAddr>`, which
    /// `into_make_service_with_connect_info::<SocketAddr>()` puts there. The origin check and
    /// [`Route::authorize`](crate::Route::authorize) come before hyper gives its connection away, so the address, and what a
    /// [trusted proxy](crate::ServerBuilder::trusted_proxies) says, count in them only with one of these extensions, or with
    /// [`trust_peers_without_address`](crate::ServerBuilder::trust_peers_without_address).
    ///
    /// Extensions that other parts of the program have attached to the request, such as the user that a middleware found, reach
    /// [`Route::authorize`](crate::Route::authorize) ([`UpgradeRequest::extensions`](crate::UpgradeRequest::extensions)) and the
    /// handler (`handshake.request.extensions()`). Dropping the future gives the handshake up.
    ///
    /// Within axum's `nest`, a path of this server's may be the whole path or the rest of it that the nested router sees; the handshake
    /// has the whole.
    pub fn upgrade<B>(
        &self,
        request: &mut Request<B>,
    ) -> impl Future<Output = Result<Response<()>, Refusal>> + Send + use<B> {
        upgrade(&self.gate, Taken::from(request))
    }

    /// The same as [`Server::upgrade`], but returns a refusal as a response.
    ///
    /// ```
    /// # #[cfg(feature = "axum")] fn example(server: ropeway::Server) {
    /// use axum::{Router, extract::Request, routing::any};
    ///
    /// let answer = move |mut request: Request| async move { server.answer(&mut request).await };
    /// let app: Router = Router::new().route("/ws", any(answer));
    /// # }
    /// ```
    pub fn answer<B>(&self, request: &mut Request<B>) -> impl Future<Output = Response<Body>> + Send + use<B> {
        let upgrade = upgrade(&self.gate, Taken::from(request));
        async move { upgrade.await.map_or_else(|refusal| refuse(&refusal), |response| response.map(|()| Body::default())) }
    }
}

/// The answer to a request that is refused.
pub(super) fn refuse(refusal: &Refusal) -> Response<Body> {
    log_refusal(refusal, None);
    refusal.to_response().map(Body::from)
}

/// A request of another HTTP server, for the gate to judge, and the way to its connection.
pub(super) struct Taken {
    pub(super) request: Request<()>,
    /// The path that a nested router sees, where it is not the whole path.
    pub(super) nested: Option<Uri>,
    pub(super) remote_addr: Option<SocketAddr>,
    upgrade: Option<OnUpgrade>,
}

impl Taken {
    pub(super) fn from<B>(request: &mut Request<B>) -> Self {
        let upgrade = request.extensions_mut().remove();
        let remote_addr = remote_addr_of(request.extensions());
        let mut head = head_of(request);
        let whole = whole_uri(request.extensions()).cloned();
        let nested = whole.map(|whole| std::mem::replace(head.uri_mut(), whole));
        Self { request: head, nested, remote_addr, upgrade }
    }

    /// The way to the connection; a refusal where the HTTP server leaves none.
    pub(super) fn take_upgrade(&mut self) -> Result<OnUpgrade, Refusal> {
        self.upgrade.take().ok_or_else(|| Fault::NotHandedOver.into())
    }
}

/// A request without its body. An opening handshake has none.
fn head_of<B>(request: &Request<B>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    // Another HTTP server may not have marked them.
    handshake::hide_secrets(head.headers_mut());
    *head.extensions_mut() = request.extensions().clone();
    head
}

/// The address of the peer, as the program that serves it knows it.
fn remote_addr_of(extensions: &Extensions) -> Option<SocketAddr> {
    let known = extensions.get().copied();
    #[cfg(feature = "axum")]
    let known = known.or_else(|| extensions.get().map(|&ConnectInfo(addr)| addr));
    known
}

/// The URI that the client asked for, where the HTTP server shows a part of it.
#[cfg(feature = "axum")]
pub(super) fn whole_uri(extensions: &Extensions) -> Option<&Uri> {
    extensions.get().map(|OriginalUri(uri)| uri)
}

#[cfg(not(feature = "axum"))]
pub(super) fn whole_uri(_extensions: &Extensions) -> Option<&Uri> {
    None
}

pub(super) fn upgrade(
    gate: &Arc<Gate>,
    mut taken: Taken,
) -> impl Future<Output = Result<Response<()>, Refusal>> + Send + use<> {
    let gate = Arc::clone(gate);
    async move {
        if !is_upgrade(&taken.request) {
            return Err(Refusal::upgrade_required());
        }
        let upgrade = taken.take_upgrade();
        let Taken { request, nested, remote_addr, .. } = taken;
        let upgraded = gate.judged(request, nested.as_ref().map(Uri::path), remote_addr).await?;
        Ok(hand_over(*upgraded, remote_addr, upgrade?))
    }
}

/// Sees to it that the connection opens, and returns the 101.
pub(super) fn hand_over(opening: Upgrade, remote_addr: Option<SocketAddr>, upgrade: OnUpgrade) -> Response<()> {
    let response = opening.accepted.response.clone();
    tokio::spawn(open_upgraded(opening, remote_addr, upgrade));
    response
}

/// Opens the connection once hyper has sent the 101.
async fn open_upgraded(mut opening: Upgrade, known_addr: Option<SocketAddr>, upgrade: OnUpgrade) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            static FAILED: Rate = Rate::new("connections that the HTTP server did not hand over");
            return FAILED
                .log(|| of_client!(info, known_addr, %error, "the HTTP server did not hand its connection over"));
        }
    };
    let (stream, leftover) = into_stream(upgraded);
    let remote_addr = match &stream {
        Transport::Tcp(tcp) => {
            // As on a port of our own. If this fails the socket is broken, and reading from it reports that.
            let _ = tcp.set_nodelay(true);
            tcp.peer_addr().ok()
        }
        // The program that serves another transport may have told its address.
        Transport::Other(_) => known_addr,
    };
    opening.leftover = leftover;
    opening.start(stream, remote_addr);
}

/// Returns the TCP connection itself, if there is one: then an attached connection costs no more than one of our own
/// port.
fn into_stream(upgraded: Upgraded) -> (Transport, Vec<u8>) {
    // hyper-util's automatic server, which axum uses, wraps the stream; hyper's own HTTP/1 server does not.
    #[cfg(feature = "axum")]
    let upgraded = match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => return (parts.io.into_inner().into(), parts.read_buf.into()),
        Err(upgraded) => upgraded,
    };
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => (parts.io.into_inner().into(), parts.read_buf.into()),
        Err(upgraded) => (Transport::other(TokioIo::new(upgraded)), Vec::new()),
    }
}
