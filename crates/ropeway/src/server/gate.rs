//! The gate: what every request for a WebSocket passes, whatever port it came to. It is judged here, and a connection is made of it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{Request, Response};
use ropeway_proto::handshake::{self, Destination, Negotiated, Refusal, accept_from};
use ropeway_proto::{Bytes, Role};

use super::handshakes::Handshakes;
use super::routes::{Routes, Service};
use super::runtimes::Runtimes;
use super::settings::Settings;
use crate::connection::{Clients, Opened, Place};
use crate::handle::Handle;
use crate::io::Transport;
use crate::log::{Rate, guarded, one_line};

/// Answers requests that do not ask for a WebSocket.
pub(super) type Http = dyn Fn(&Request<()>) -> Response<Bytes> + Send + Sync;

/// Decides about a handshake before it is accepted.
pub(super) type Verify = dyn Fn(&Request<()>) -> Result<(), Refusal> + Send + Sync;

/// The server's settings, what it does with requests, and the connections it has.
pub(super) struct Gate {
    pub(super) settings: Settings,
    pub(super) routes: RwLock<Routes>,
    pub(super) http: RwLock<Option<Arc<Http>>>,
    pub(super) verify: RwLock<Option<Arc<Verify>>>,
    pub(super) clients: Arc<Clients>,
    pub(super) runtimes: Arc<Runtimes>,
    pub(super) handshakes: Arc<Handshakes>,
    /// Whether it was logged that a client offered subprotocols and none was agreed on.
    pub(super) told_of_subprotocols: AtomicBool,
}

/// A handshake that is done.
pub(super) struct Upgrade {
    pub(super) accepted: Accepted,
    pub(super) request: Request<()>,
    /// Bytes that came right behind the request.
    pub(super) leftover: Vec<u8>,
}

/// A handshake that was judged good.
pub(super) struct Accepted {
    pub(super) response: Response<()>,
    pub(super) negotiated: Negotiated,
    pub(super) destination: Destination,
    pub(super) service: Service,
    pub(super) place: Place,
}

impl Gate {
    /// Judges a request for a WebSocket.
    pub(super) fn accept<B>(&self, request: &Request<B>, remote_addr: Option<SocketAddr>) -> Result<Accepted, Refusal> {
        let place = self.clients.enter(self.settings.max_connections);
        let place = place.ok_or_else(Refusal::unavailable)?;
        let service = read(&self.routes).find(request.uri().path());
        let service = service.ok_or_else(|| Refusal::not_found(request.uri().path()))?;
        let accepted = accept_from(remote_addr.map(|addr| addr.ip()), request, &service.options)?;
        // Not within the condition, whose lock would be held while the application decides.
        let verify = read(&self.verify).clone();
        if let Some(verify) = verify {
            let mut head = head_of(request);
            head.extensions_mut().insert(accepted.destination.clone());
            verify(&head)?;
        }
        if accepted.negotiated.subprotocol.is_none()
            && request.headers().contains_key(SEC_WEBSOCKET_PROTOCOL)
            && !self.told_of_subprotocols.swap(true, Ordering::Relaxed)
        {
            tell_of_subprotocols();
        }
        let handshake::Accepted { response, negotiated, destination, .. } = accepted;
        Ok(Accepted { response, negotiated, destination, service, place })
    }
}

impl Upgrade {
    /// Starts the connection, once the 101 is on its way.
    pub(super) fn start(self, stream: Transport, remote_addr: Option<SocketAddr>) {
        let (service, opened) = self.open(stream, remote_addr);
        service.endpoint.start(opened);
    }

    /// Makes the connection, once the 101 is on its way, and returns it with the service of its path.
    pub(super) fn open<S>(self, stream: S, remote_addr: Option<SocketAddr>) -> (Service, Opened<S>) {
        let Self { accepted, mut request, leftover } = self;
        let Accepted { response, negotiated, destination, service, place } = accepted;
        request.extensions_mut().insert(destination);
        let heads = (request, response);
        let opened = Opened::new(stream, remote_addr, heads, negotiated, Role::Server, &service.connection);
        let Opened { stream, core, link, mut handshake, .. } = opened;
        let proxies = &service.options.proxies;
        handshake.client_ip = proxies.client_ip(remote_addr.map(|addr| addr.ip()), handshake.headers());
        let handle = Handle::new(Arc::clone(&link));
        if let Some(frame) = place.open(handle.clone()) {
            // A shutdown has checked that it can be sent.
            let _ = handle.close(frame.code, frame.reason);
        }
        guarded(|| tracing::debug!(remote_addr = remote_addr.map(display), path = handshake.path(), "open"));
        (service, Opened { stream, core, link, handshake, leftover, place: Some(place) })
    }
}

fn tell_of_subprotocols() {
    tracing::warn!(
        "a client offered subprotocols of which this server speaks none; browsers fail such a connection (RFC 6455 section \
         4.1). Name those it speaks with `ServerBuilder::subprotocols`, or take any with `any_subprotocol`. This is logged once"
    );
}

/// Tells of a refusal.
pub(super) fn log_refusal(refusal: &Refusal, remote_addr: Option<SocketAddr>) {
    static REFUSALS: Rate = Rate::new("refusals");
    REFUSALS.log(|| {
        tracing::info!(
            remote_addr = remote_addr.map(display),
            status = refusal.status().as_u16(),
            "refused: {}",
            one_line(&refusal.body())
        );
    });
}

/// A request without its body, which an opening handshake has none of.
pub(super) fn head_of<B>(request: &Request<B>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    // Another HTTP server has not marked them.
    handshake::hide_secrets(head.headers_mut());
    *head.extensions_mut() = request.extensions().clone();
    head
}

pub(super) fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Puts a callback in the place of another, which owns values of the application's: they are dropped when the lock is free.
pub(super) fn replace<T: ?Sized>(lock: &RwLock<Option<Arc<T>>>, callback: Option<Arc<T>>) {
    let old = std::mem::replace(&mut *write(lock), callback);
    drop(old);
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}
