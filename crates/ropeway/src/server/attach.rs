//! Sharing the port of another HTTP server: hyper, and whatever speaks tower on top of it, such as axum.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
#[cfg(feature = "axum")]
use hyper_util::server::conn::auto;
use pin_project_lite::pin_project;
use ropeway_proto::handshake::{Refusal, is_upgrade};
use tokio::net::TcpStream;

use super::Server;
use super::gate::{Gate, Upgrade, head_of, log_refusal, read};
use crate::io::Transport;
use crate::log::{Rate, of_client};

impl Server {
    /// Answers a request for a WebSocket that came to a hyper server: gives the 101 to send, or the refusal, whose
    /// [`to_response`](Refusal::to_response) is to be sent. The connection starts once hyper has sent the 101; the settings of
    /// this server's own port, such as the handshake timeout, are then hyper's matter.
    ///
    /// hyper must serve the connection `with_upgrades`; axum does. The client's address is taken from its TCP connection; where
    /// that cannot be had, as behind TLS, from a `SocketAddr` among the request's extensions. The origin check comes before
    /// hyper gives its connection away, so what a [trusted proxy](crate::ServerBuilder::trusted_proxies) says of the host
    /// counts in it only with that extension, or with
    /// [`trust_peers_without_address`](crate::ServerBuilder::trust_peers_without_address).
    ///
    /// What other parts of the program have attached to the request as extensions, such as the user that a middleware found, reaches
    /// [`Route::authorize`](crate::Route::authorize) ([`UpgradeRequest::extensions`](crate::UpgradeRequest::extensions)) and the
    /// handler (`handshake.request.extensions()`). Dropping the future gives the handshake up.
    pub fn upgrade<B>(
        &self,
        request: &mut Request<B>,
    ) -> impl Future<Output = Result<Response<()>, Refusal>> + Send + use<B> {
        upgrade(&self.gate, taken_from(request))
    }

    /// The same as [`Server::upgrade`], with the refusal as an answer. The body is whatever the HTTP server uses, such as
    /// axum's.
    ///
    /// ```
    /// # #[cfg(feature = "axum")] fn example(server: ropeway::Server) {
    /// use axum::{Router, extract::Request, routing::any};
    ///
    /// let upgrade = move |mut request: Request| async move { server.answer::<_, axum::body::Body>(&mut request).await };
    /// let app: Router = Router::new().route("/ws", any(upgrade));
    /// # }
    /// ```
    pub fn answer<B, R: From<Bytes>>(
        &self,
        request: &mut Request<B>,
    ) -> impl Future<Output = Response<R>> + Send + use<B, R> {
        let answer = answer(&self.gate, taken_from(request));
        async move { answer.await.map(R::from) }
    }

    /// A tower layer that takes the requests for WebSockets and leaves all others to the service below. With a
    /// [`path`](crate::ServerBuilder::path), those for other paths are left alone too.
    ///
    /// ```
    /// # #[cfg(feature = "axum")] fn example() {
    /// use axum::{Router, routing::get};
    ///
    /// let server = ropeway::Server::builder().path("/ws").build();
    /// server.on_connection(|ws, _| {
    ///     ws.on_message(|ws, message| {
    ///         ws.send(message).ok();
    ///     });
    /// });
    /// let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(server.layer());
    /// # }
    /// ```
    pub fn layer(&self) -> Layer {
        Layer { server: self.clone() }
    }

    /// Whether a request is for this server rather than for its neighbours.
    fn is_asked<B>(&self, request: &Request<B>) -> bool {
        is_upgrade(request) && read(&self.gate.routes).find(request.uri().path()).is_some()
    }
}

/// A tower layer made by [`Server::layer`].
#[derive(Clone, Debug)]
pub struct Layer {
    server: Server,
}

impl<S> tower_layer::Layer<S> for Layer {
    type Service = Attached<S>;

    fn layer(&self, inner: S) -> Attached<S> {
        Attached { server: self.server.clone(), inner }
    }
}

/// A service that shares its port with a [`Server`]: see [`Server::layer`].
#[derive(Clone, Debug)]
pub struct Attached<S> {
    server: Server,
    inner: S,
}

impl<S, B, R> tower_service::Service<Request<B>> for Attached<S>
where
    S: tower_service::Service<Request<B>, Response = Response<R>>,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = AttachedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if !self.server.is_asked(&request) {
            return AttachedFuture { answer: Answer::Inner { answer: self.inner.call(request) } };
        }
        let answer = answer(&self.server.gate, taken_from(&mut request));
        AttachedFuture { answer: Answer::Ours { answer: Box::pin(answer) } }
    }
}

pin_project! {
    /// The answer of an [`Attached`] service.
    pub struct AttachedFuture<F> {
        #[pin]
        answer: Answer<F>,
    }
}

pin_project! {
    /// Whose answer it is.
    #[project = AnswerProjection]
    enum Answer<F> {
        Inner { #[pin] answer: F },
        Ours { answer: Pin<Box<dyn Future<Output = Response<Bytes>> + Send>> },
    }
}

impl<F, R, E> Future for AttachedFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: From<Bytes>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().answer.project() {
            AnswerProjection::Inner { answer } => answer.poll(cx),
            AnswerProjection::Ours { answer } => answer.as_mut().poll(cx).map(|answer| Ok(answer.map(R::from))),
        }
    }
}

impl<F> fmt::Debug for AttachedFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachedFuture").finish_non_exhaustive()
    }
}

/// A request of another HTTP server, as the gate judges it, and the way to its connection.
struct Taken {
    request: Request<()>,
    remote_addr: Option<SocketAddr>,
    upgrade: OnUpgrade,
}

fn taken_from<B>(request: &mut Request<B>) -> Taken {
    let remote_addr = request.extensions().get().copied();
    let upgrade = hyper::upgrade::on(&mut *request);
    Taken { request: head_of(request), remote_addr, upgrade }
}

fn upgrade(gate: &Arc<Gate>, taken: Taken) -> impl Future<Output = Result<Response<()>, Refusal>> + Send + use<> {
    let gate = Arc::clone(gate);
    async move {
        let Taken { request, remote_addr, upgrade } = taken;
        let upgraded = gate.judged(request, remote_addr).await?;
        let response = upgraded.accepted.response.clone();
        tokio::spawn(open_upgraded(upgraded, remote_addr, upgrade));
        Ok(response)
    }
}

fn answer(gate: &Arc<Gate>, taken: Taken) -> impl Future<Output = Response<Bytes>> + Send + use<> {
    let upgrade = upgrade(gate, taken);
    async move {
        match upgrade.await {
            Ok(response) => response.map(|()| Bytes::new()),
            Err(refusal) => {
                log_refusal(&refusal, None);
                refusal.to_response()
            }
        }
    }
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
            // As on a port of our own; a socket that refuses is broken, and reading from it says so.
            let _ = tcp.set_nodelay(true);
            tcp.peer_addr().ok()
        }
        // The program that serves another transport may know the address.
        Transport::Other(_) => known_addr,
    };
    opening.leftover = leftover;
    opening.start(stream, remote_addr);
}

/// The TCP connection itself where there is one: an attached connection then costs no more than one of our own port.
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
