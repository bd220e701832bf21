//! The gate that every request for a WebSocket passes, on any port. Requests are judged here, and connections are made
//! of them.

use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{Request, Response};
use ropeway_proto::handshake::{self, Fault, Refusal, ServerOptions, accept_from};
use ropeway_proto::{Bytes, Role};

use super::accept::Accept;
use super::cut_short::{Panicked, caught, unless};
use super::handshakes::Handshakes;
#[cfg(feature = "axum")]
use super::one_off::OneOff;
use super::routes::{Entrance, Routes, Service, Spot, Start};
use super::runtimes::Runtimes;
use super::settings::Settings;
use crate::connection::{Clients, Opened, Place};
use crate::handle::Handle;
use crate::handshake::{Params, UpgradeRequest};
use crate::io::Transport;
use crate::log::{Rate, guarded, of_client, one_line};
use crate::settings::ConnectionSettings;

/// Answers requests that do not ask for a WebSocket.
pub(super) type Http = dyn Fn(&Request<()>) -> Response<Bytes> + Send + Sync;

/// The server's settings, its routes, and its connections.
pub(super) struct Gate {
    pub(super) settings: Settings,
    pub(super) routes: RwLock<Routes>,
    /// The place of the default route.
    pub(super) default_spot: Spot,
    pub(super) http: RwLock<Option<Arc<Http>>>,
    pub(super) clients: Arc<Clients>,
    pub(super) runtimes: Arc<Runtimes>,
    pub(super) handshakes: Arc<Handshakes>,
    #[cfg(feature = "axum")]
    pub(super) one_off: OneOff,
    /// Whether it was logged that a client offered subprotocols and none was agreed on.
    pub(super) told_of_subprotocols: AtomicBool,
}

/// The result for a request.
pub(super) enum Judgement {
    Done(Result<Box<Upgrade>, Refusal>),
    /// The application is deciding.
    Waits(Judging),
}

/// The application's decision, and the upgrade or refusal that follows. Dropping this frees the request's place.
pub(super) type Judging = Pin<Box<dyn Future<Output = Result<Box<Upgrade>, Refusal>> + Send>>;

/// A request that obeys all rules of the handshake.
pub(super) struct Checked {
    request: Arc<Request<()>>,
    pub(super) remote_addr: Option<SocketAddr>,
    params: Arc<Params>,
    options: Arc<ServerOptions>,
    accepted: handshake::Accepted,
    place: Place,
}

/// A handshake that was accepted. It becomes a connection once its 101 is sent.
pub(super) struct Upgrade {
    pub(super) accepted: handshake::Accepted,
    /// Bytes that came right behind the request.
    pub(super) leftover: Vec<u8>,
    request: Request<()>,
    params: Arc<Params>,
    options: Arc<ServerOptions>,
    connection: ConnectionSettings,
    place: Place,
    start: Box<dyn Start>,
}

impl Gate {
    /// Judges a request for a WebSocket: by the rules, then by the application.
    pub(super) fn judge(self: &Arc<Self>, request: Request<()>, remote_addr: Option<SocketAddr>) -> Judgement {
        match self.check_path(request, None, remote_addr) {
            Ok((checked, service)) => self.ask(checked, service),
            Err(refusal) => Judgement::Done(Err(refusal)),
        }
    }

    /// Asks the application about a request that obeys the rules.
    fn ask(self: &Arc<Self>, checked: Checked, service: Service) -> Judgement {
        let Service { entrance, connection, .. } = service;
        let authorize = match entrance {
            Entrance::Open(start) => return Judgement::Done(self.accept(checked, Accept::with(start()), connection)),
            Entrance::Ask(authorize) => authorize,
        };
        let gate = Arc::clone(self);
        Judgement::Waits(Box::pin(async move {
            let request = checked.to_be_judged();
            // The application may also panic before it returns a future.
            let decision = caught(async move { authorize(request).await });
            match unless(pin!(gate.clients.stopped()), decision).await {
                Some(Ok(decision)) => gate.accept(checked, decision?, connection),
                Some(Err(Panicked)) => Err(Fault::Panicked.into()),
                None => Err(Refusal::unavailable()),
            }
        }))
    }

    /// The same for another HTTP server, which has read the request: the time for the decision alone is limited.
    #[cfg(feature = "hyper")]
    pub(super) async fn asked(self: &Arc<Self>, checked: Checked, service: Service) -> Result<Box<Upgrade>, Refusal> {
        match self.ask(checked, service) {
            Judgement::Done(result) => result,
            Judgement::Waits(judging) => tokio::time::timeout(self.settings.handshake_timeout, judging)
                .await
                .unwrap_or_else(|_| Err(Fault::DecisionTimeout.into())),
        }
    }

    /// Judges a request by the rules, with the service of its path. Where another HTTP server nests its routers, that
    /// path may be the whole or `nested`, the rest of it.
    pub(super) fn check_path(
        &self,
        request: Request<()>,
        nested: Option<&str>,
        remote_addr: Option<SocketAddr>,
    ) -> Result<(Checked, Service), Refusal> {
        let place = self.enter()?;
        let found = read(&self.routes).find(request.uri().path(), nested);
        let (service, params) = found.ok_or_else(|| Refusal::not_found(request.uri().path()))??;
        let checked = check(request, remote_addr, params, &service.options, place)?;
        Ok((checked, service))
    }

    /// Takes a place among the server's connections.
    pub(super) fn enter(&self) -> Result<Place, Refusal> {
        self.clients.enter(self.settings.max_connections).ok_or_else(Refusal::unavailable)
    }

    /// Accepts a request with the application's choices, and otherwise with these settings.
    pub(super) fn accept(
        &self,
        checked: Checked,
        accept: Accept<Box<dyn Start>>,
        mut connection: ConnectionSettings,
    ) -> Result<Box<Upgrade>, Refusal> {
        let Checked { request, params, options, mut accepted, place, .. } = checked;
        let start = accept.apply(&request, &mut accepted, &mut connection)?;
        if accepted.negotiated.subprotocol.is_none()
            && request.headers().contains_key(SEC_WEBSOCKET_PROTOCOL)
            && !self.told_of_subprotocols.swap(true, Ordering::Relaxed)
        {
            guarded(tell_of_subprotocols);
        }
        // The application may still hold it.
        let request = Arc::try_unwrap(request).unwrap_or_else(|request| Request::clone(&request));
        let leftover = Vec::new();
        Ok(Box::new(Upgrade { accepted, leftover, request, params, options, connection, place, start }))
    }
}

/// Judges a request by the rules of the handshake and by `options`.
pub(super) fn check(
    mut request: Request<()>,
    remote_addr: Option<SocketAddr>,
    params: Params,
    options: &Arc<ServerOptions>,
    place: Place,
) -> Result<Checked, Refusal> {
    let ip = remote_addr.map(|addr| addr.ip());
    // The check of the origin may be the application's, and panic.
    let judged = catch_unwind(AssertUnwindSafe(|| accept_from(ip, &request, options)));
    let accepted = judged.unwrap_or_else(|_| Err(Fault::Panicked.into()))?;
    request.extensions_mut().insert(accepted.destination.clone());
    let (request, params) = (Arc::new(request), Arc::new(params));
    Ok(Checked { request, remote_addr, params, options: Arc::clone(options), accepted, place })
}

impl Checked {
    /// The request in the form that the application judges.
    pub(super) fn to_be_judged(&self) -> UpgradeRequest {
        let ip = self.remote_addr.map(|addr| addr.ip());
        UpgradeRequest {
            request: Arc::clone(&self.request),
            remote_addr: self.remote_addr,
            client_ip: self.options.proxies.client_ip(ip, self.request.headers()),
            params: Arc::clone(&self.params),
        }
    }
}

impl Upgrade {
    /// Starts the connection, once the 101 is on its way.
    pub(super) fn start(self, stream: Transport, remote_addr: Option<SocketAddr>) {
        let (start, opened) = self.open(stream, remote_addr);
        start.start(opened);
    }

    /// Makes the connection, once the 101 is on its way. Returns it with the object that starts it.
    pub(super) fn open<S>(self, stream: S, remote_addr: Option<SocketAddr>) -> (Box<dyn Start>, Opened<S>) {
        let Self { accepted, leftover, request, params, options, connection, place, start } = self;
        let handshake::Accepted { response, negotiated, .. } = accepted;
        let mut opened = Opened::new(stream, remote_addr, (request, response), negotiated, Role::Server, &connection);
        let ip = remote_addr.map(|addr| addr.ip());
        opened.handshake.client_ip = options.proxies.client_ip(ip, opened.handshake.headers());
        opened.handshake.params = params;
        opened.leftover = leftover;
        let handle = Handle::new(Arc::clone(&opened.link));
        if let Some(frame) = place.open(handle.clone()) {
            // The shutdown has checked that this frame can be sent.
            let _ = handle.close(frame.code, frame.reason);
        }
        opened.place = Some(place);
        (start, opened)
    }
}

fn tell_of_subprotocols() {
    tracing::warn!(
        "a client offered subprotocols of which this server speaks none; browsers fail such a connection (RFC 6455 section \
         4.1). Name those it speaks with `ServerBuilder::subprotocols`, or take any with `any_subprotocol`. This is logged once"
    );
}

/// Logs a refusal.
pub(super) fn log_refusal(refusal: &Refusal, remote_addr: Option<SocketAddr>) {
    static REFUSALS: Rate = Rate::new("refusals");
    static FAILURES: Rate = Rate::new("requests over which the application failed");
    let text = one_line(&refusal.fault.to_string());
    let status = refusal.status().as_u16();
    if refusal.fault.is_applications() {
        return FAILURES.log(|| of_client!(error, remote_addr, status, "refused: {text}"));
    }
    REFUSALS.log(|| of_client!(info, remote_addr, status, "refused: {text}"));
}

pub(super) fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}
