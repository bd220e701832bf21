//! Sharing the port of another HTTP server: hyper, or a server on top of hyper, such as axum. `layer` is tower's way to
//! this, and `extractor` is axum's.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

#[cfg(feature = "axum")]
use axum::extract::{ConnectInfo, OriginalUri};
use http::{Extensions, Request, Response, Uri};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
#[cfg(feature = "axum")]
use hyper_util::server::conn::auto;
use ropeway_proto::handshake::{self, Fault, Refusal, is_upgrade};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Server;
use super::body::{Body, Seen};
use super::gate::{Gate, Upgrade, log_refusal};
use crate::io::{Stream, Transport};
use crate::log::{Rate, of_client};

impl Server {
    /// Answers a request for a WebSocket that came to a hyper server. Returns the 101, or a refusal. You have to send
    /// either; a refusal becomes an answer by [`to_response`](Refusal::to_response). The connection starts once hyper
    /// has sent the 101. Dropping the future drops the handshake.
    ///
    /// **hyper must serve the connection `with_upgrades`**, as axum does, and **the 101 must reach the client.** If a
    /// middleware outside of this call replaces the 101 by another answer, hyper still hands the connection over when
    /// the connection ends. If that is within `handshake_timeout`, the connection may open for a client that got no
    /// 101. So put such a middleware inside.
    ///
    /// # Limits
    ///
    /// Settings for this server's own port do not apply, such as the limits of a request's head. hyper has its own. The
    /// [`handshake_timeout`](crate::ServerBuilder::handshake_timeout) limits two times. One is the time of the
    /// application's decision. The other is the time until hyper has sent the 101 and hands the connection over. If
    /// that takes longer, the connection is left to hyper.
    ///
    /// # The client's address
    ///
    /// While the request is judged, the client's address is a `SocketAddr` among the request's extensions. With the
    /// feature `axum` it may also be a `ConnectInfo<SocketAddr>`, which
    /// `into_make_service_with_connect_info::<SocketAddr>()` puts there. If there is neither, the origin check and
    /// [`Route::authorize`](crate::Route::authorize) believe no
    /// [trusted proxy](crate::ServerBuilder::trusted_proxies), unless
    /// [`trust_peers_without_address`](crate::ServerBuilder::trust_peers_without_address) is on. Over plain TCP the
    /// handler gets the address of the TCP connection, and otherwise that of the extension.
    ///
    /// # Extensions and nested routers
    ///
    /// Other parts of the program may attach extensions to the request, such as the user that a middleware has found.
    /// [`Route::authorize`](crate::Route::authorize) gets them
    /// ([`UpgradeRequest::extensions`](crate::UpgradeRequest::extensions)), and so does the handler
    /// (`handshake.request.extensions()`).
    ///
    /// Within axum's `nest`, a route of this server can have the whole path, or the rest of the path that the nested
    /// router sees. A route for the whole path comes first, then one for the rest, and the default route last. The
    /// handshake has the whole path.
    pub fn upgrade<B>(
        &self,
        request: &mut Request<B>,
    ) -> impl Future<Output = Result<Response<()>, Refusal>> + Send + use<B> {
        let upgrade = upgrade(&self.gate, Taken::from(request));
        // The program makes a body of its own, so ours counts as seen.
        async move { Ok(upgrade.await?.map(|body| drop(body.into_bytes()))) }
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
        async move { upgrade.await.unwrap_or_else(|refusal| refuse(&refusal)) }
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
    /// The path that a nested router sees, if it is not the whole path.
    pub(super) nested: Option<Uri>,
    pub(super) remote_addr: Option<SocketAddr>,
    /// The way to the connection; `None` if the HTTP server left none, or something else took it.
    pub(super) upgrade: Option<OnUpgrade>,
}

impl Taken {
    /// Copies the head of a request, and takes its way to the connection.
    pub(super) fn from<B>(request: &mut Request<B>) -> Self {
        let head = head_of(request);
        // Nothing else is to wait for the connection.
        request.extensions_mut().remove::<OnUpgrade>();
        Self::of(head)
    }

    /// Takes apart a head that was copied.
    pub(super) fn of(mut head: Request<()>) -> Self {
        // Another HTTP server may not have marked them.
        handshake::hide_secrets(head.headers_mut());
        let upgrade = head.extensions_mut().remove();
        let remote_addr = remote_addr_of(head.extensions());
        let whole = whole_uri(head.extensions()).cloned();
        let nested = whole.map(|whole| std::mem::replace(head.uri_mut(), whole));
        Self { request: head, nested, remote_addr, upgrade }
    }
}

/// A request without its body. An opening handshake has none.
fn head_of<B>(request: &Request<B>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
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

/// The URI that the client asked for, even if the HTTP server shows only a part of it.
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
    taken: Taken,
) -> impl Future<Output = Result<Response<Body>, Refusal>> + Send + use<> {
    let gate = Arc::clone(gate);
    async move {
        if !is_upgrade(&taken.request) {
            return Err(Refusal::upgrade_required());
        }
        let Taken { request, nested, remote_addr, upgrade } = taken;
        let (checked, service) = gate.check_path(request, nested.as_ref().map(Uri::path), remote_addr)?;
        // The application is not asked about a client that cannot be accepted.
        let upgrade = upgrade.ok_or(Fault::NotHandedOver)?;
        let accepted = gate.asked(checked, service).await?;
        Ok(hand_over(&gate, *accepted, remote_addr, upgrade))
    }
}

/// Sees to it that the connection opens, and returns the 101.
pub(super) fn hand_over(
    gate: &Gate,
    opening: Upgrade,
    remote_addr: Option<SocketAddr>,
    upgrade: OnUpgrade,
) -> Response<Body> {
    let (response, seen) = (opening.accepted.response.clone(), Seen::default());
    let body = Body::of_101(seen.clone());
    tokio::spawn(open_upgraded(opening, remote_addr, upgrade, seen, gate.settings.handshake_timeout));
    response.map(|()| body)
}

/// Opens the connection once hyper has sent the 101.
///
/// hyper hands a connection over at its end, whatever the answer was. Behind a 101 that is at once; behind an answer
/// that a middleware sends in its place it is when hyper ends the connection, which may be hours later. So the time is
/// limited, and a client that has left without a sign of the 101 is not opened.
async fn open_upgraded(
    mut opening: Upgrade,
    known_addr: Option<SocketAddr>,
    upgrade: OnUpgrade,
    seen: Seen,
    limit: Duration,
) {
    static FAILED: Rate = Rate::new("connections that the HTTP server did not hand over");
    let upgraded = match timeout(limit, upgrade).await {
        Ok(Ok(upgraded)) => upgraded,
        Ok(Err(error)) => {
            return FAILED
                .log(|| of_client!(info, known_addr, %error, "the HTTP server did not hand its connection over"));
        }
        Err(_) => return FAILED.log(|| tell_late(known_addr)),
    };
    let (mut stream, mut leftover) = into_stream(upgraded);
    if !seen.get() && has_left(&mut stream, &mut leftover).await {
        return FAILED.log(|| tell_replaced(known_addr));
    }
    let remote_addr = match &stream {
        Transport::Tcp(tcp) => {
            // As on a port of our own. If this fails the socket is broken, and reading from it reports that.
            let _ = tcp.set_nodelay(true);
            stream.peer_addr()
        }
        // The program that serves another transport may have told its address.
        Transport::Other(_) => known_addr,
    };
    opening.leftover = leftover;
    opening.start(stream, remote_addr);
}

/// Whether the client has left without sending anything. A byte that it has sent goes into `leftover`.
async fn has_left(stream: &mut Transport, leftover: &mut Vec<u8>) -> bool {
    if !leftover.is_empty() {
        return false;
    }
    let mut byte = [0];
    match poll_fn(|cx| Poll::Ready(Stream::poll_read(stream, cx, &mut byte))).await {
        Poll::Ready(Ok(1..)) => {
            leftover.push(byte[0]);
            false
        }
        Poll::Ready(Ok(0) | Err(_)) => true,
        Poll::Pending => false,
    }
}

fn tell_replaced(remote_addr: Option<SocketAddr>) {
    of_client!(
        info,
        remote_addr,
        "not opened: the client has left, and nothing shows that it got the 101. If a layer outside the server's answers in its place, \
         put that layer inside"
    );
}

fn tell_late(remote_addr: Option<SocketAddr>) {
    of_client!(
        info,
        remote_addr,
        "not opened: the HTTP server did not hand its connection over within `handshake_timeout`. Either the client does not read \
         the 101, or it never got one, because a layer outside the server's answers in its place; put such a layer inside"
    );
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_client_has_left_if_it_ended_without_a_byte_and_a_byte_is_not_lost() {
        let (mut near, far) = duplex(16);
        let (mut stream, mut leftover) = (Transport::other(far), Vec::new());
        assert!(!has_left(&mut stream, &mut leftover).await, "it is there, and silent");
        near.write_all(b"ab").await.unwrap();
        drop(near);
        assert!(!has_left(&mut stream, &mut leftover).await, "it has sent something");
        assert_eq!(leftover, b"a");
        assert!(!has_left(&mut stream, &mut leftover).await, "nothing more is read");
        let (near, far) = duplex(16);
        drop(near);
        assert!(has_left(&mut Transport::other(far), &mut Vec::new()).await);
    }
}
