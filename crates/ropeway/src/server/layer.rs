//! The tower layer by which a server shares a port with a service below. The server takes the requests for WebSockets,
//! and the service all others.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use ropeway_proto::handshake::{Refusal, announce_close, is_upgrade};

use super::Server;
use super::attach::{Taken, refuse, upgrade, whole_uri};
use super::body::{AttachedBody, Body};
use super::gate::{log_refusal, read};
use crate::log::Rate;

impl Server {
    /// Returns a tower layer. It takes the requests for WebSockets at the paths that this server serves, and leaves all
    /// others to the service below. It also tells `ropeway::axum::Upgrade` which server its connections belong to.
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
    ///
    /// **The layer must see the request.** `Router::layer` on the outermost router sees every request. Two other places
    /// do not:
    ///
    /// - `Router::route_layer` sees only requests for paths that have a route. Others get the router's 404.
    /// - A layer of a nested router sees only requests for paths that have a route in that router. Others go to the
    ///   fallback of the outermost router.
    ///
    /// In these places, give the path a route, with [`Server::answer`] as its handler, or with a handler that takes
    /// `ropeway::axum::Upgrade`. If a request for a WebSocket reaches the layer, and the server has no route for its
    /// path, that is logged at `debug`.
    ///
    /// The type of the answers' bodies is [`AttachedBody`], so the layer can stand between layers with any type of
    /// body.
    pub fn layer(&self) -> Layer {
        Layer { server: self.clone(), map: None }
    }

    /// Whether a request is for this server rather than for its neighbours.
    fn is_asked<B>(&self, request: &Request<B>) -> bool {
        let nested = request.uri().path();
        let whole = path_of(request);
        read(&self.gate.routes).has(whole, (nested != whole).then_some(nested))
    }
}

/// Makes the answer to a request that is refused.
type Map = Arc<dyn Fn(Refusal) -> Response<Bytes> + Send + Sync>;

/// A tower layer made by [`Server::layer`].
#[derive(Clone)]
pub struct Layer {
    server: Server,
    map: Option<Map>,
}

impl Layer {
    /// Lets `map` make the answers to refused requests, such as in JSON. It may begin with [`Refusal::to_response`],
    /// which has headers that some statuses need. The connection is closed after the answer, whatever its headers say.
    /// `map` gets only refusals of the server's own routes, and not those of an `Upgrade` below the layer.
    ///
    /// ```
    /// use ropeway::http::{HeaderValue, header::CONTENT_TYPE};
    ///
    /// let server = ropeway::Server::builder().build();
    /// let layer = server.layer().map_refusal(|refusal| {
    ///     let mut answer = refusal.to_response();
    ///     answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    ///     answer.map(|_| format!(r#"{{"status":{}}}"#, refusal.status().as_u16()).into())
    /// });
    /// ```
    pub fn map_refusal(mut self, map: impl Fn(Refusal) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        self.map = Some(Arc::new(map));
        self
    }
}

impl<S> tower_layer::Layer<S> for Layer {
    type Service = Attached<S>;

    fn layer(&self, inner: S) -> Attached<S> {
        Attached { layer: self.clone(), inner }
    }
}

/// A service that shares its port with a [`Server`]: see [`Server::layer`].
#[derive(Clone, Debug)]
pub struct Attached<S> {
    layer: Layer,
    inner: S,
}

impl<S, B, R> tower_service::Service<Request<B>> for Attached<S>
where
    S: tower_service::Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<AttachedBody<R>>;
    type Error = S::Error;
    type Future = AttachedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let server = &self.layer.server;
        if !is_upgrade(&request) {
            return AttachedFuture { answer: Answer::Inner { answer: self.inner.call(request) } };
        }
        if !server.is_asked(&request) {
            tell_passed(path_of(&request));
            // An extractor further down belongs to this server.
            request.extensions_mut().insert(server.clone());
            return AttachedFuture { answer: Answer::Inner { answer: self.inner.call(request) } };
        }
        let (upgrade, map) = (upgrade(&server.gate, Taken::from(&mut request)), self.layer.map.clone());
        let answer = async move {
            match upgrade.await {
                Ok(response) => response,
                Err(refusal) => match map {
                    Some(map) => refuse_with(refusal, &*map),
                    None => refuse(&refusal),
                },
            }
        };
        AttachedFuture { answer: Answer::Ours { answer: Box::pin(answer) } }
    }
}

/// The path that the client asked for.
fn path_of<B>(request: &Request<B>) -> &str {
    whole_uri(request.extensions()).unwrap_or(request.uri()).path()
}

fn tell_passed(path: &str) {
    static PASSED: Rate = Rate::new("requests for WebSockets that are left to the service below");
    PASSED.log(|| tracing::debug!(path, "no route of the server's is here: left to the service below the layer"));
}

fn refuse_with(refusal: Refusal, map: &dyn Fn(Refusal) -> Response<Bytes>) -> Response<Body> {
    log_refusal(&refusal, None);
    let mut response = map(refusal);
    // A proxy in front may believe that the connection was upgraded, and would pass frames on as requests.
    announce_close(response.headers_mut());
    response.map(Body::from)
}

pin_project! {
    /// The answer of an [`Attached`] service.
    pub struct AttachedFuture<F> {
        #[pin]
        answer: Answer<F>,
    }
}

pin_project! {
    /// The answer of the service below, or of the server.
    #[project = AnswerProjection]
    enum Answer<F> {
        Inner { #[pin] answer: F },
        Ours { answer: Pin<Box<dyn Future<Output = Response<Body>> + Send>> },
    }
}

impl<F, R, E> Future for AttachedFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<AttachedBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().answer.project() {
            AnswerProjection::Inner { answer } => answer.poll(cx).map_ok(|answer| answer.map(AttachedBody::inner)),
            AnswerProjection::Ours { answer } => {
                answer.as_mut().poll(cx).map(|answer| Ok(answer.map(AttachedBody::server)))
            }
        }
    }
}

impl<F> fmt::Debug for AttachedFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachedFuture").finish_non_exhaustive()
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer").field("server", &self.server).finish_non_exhaustive()
    }
}
