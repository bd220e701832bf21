//! Connecting to the first server of a list that can be used, and the errors of it.

use std::error::Error;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::rustls;
use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, ServerAddr};
use ropeway::engine::{EngineError, EngineFault};
use tokio::time::timeout;

use crate::access::Credentials;
use crate::signals::Signals;

/// The client waits so long before it connects again by itself. It is told to do so only once, and by then the session that
/// it would be for is gone.
const NO_RECONNECT: Duration = Duration::from_secs(10);

/// The settings of a connection.
#[derive(Clone)]
pub(crate) struct Connecting {
    pub(crate) servers: Vec<Server>,
    /// The index of the server that is tried first.
    pub(crate) first: Arc<AtomicUsize>,
    pub(crate) credentials: Credentials,
    pub(crate) tls: Option<rustls::ClientConfig>,
    pub(crate) timeout: Duration,
    pub(crate) ping_interval: Duration,
    pub(crate) inbox: String,
}

/// A server's address, with the credentials of its URL.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: ServerAddr,
    pub(crate) credentials: Option<Credentials>,
}

impl Server {
    /// The address without credentials.
    pub(crate) fn shown(&self) -> String {
        format!("{}://{}:{}", self.address.scheme(), host(&self.address), self.address.port())
    }
}

fn host(address: &ServerAddr) -> String {
    if address.host().contains(':') { format!("[{}]", address.host()) } else { address.host().into() }
}

impl Connecting {
    /// Connects to the server of the last session, or else to the next that can be used. If there is none, the error names the fault of each.
    pub(crate) async fn connect(&self, signals: &Arc<Signals>) -> Result<Client, EngineError> {
        let mut errors = Vec::new();
        let count = self.servers.len();
        let first = self.first.load(Ordering::Relaxed);
        for index in (first..first + count).map(|index| index % count) {
            // If the caller gives up while this server is silent, the next attempt begins with the one after it.
            self.first.store((index + 1) % count, Ordering::Relaxed);
            let server = &self.servers[index];
            let shown = server.shown();
            let result = timeout(self.timeout, self.connect_to(server, signals)).await;
            match result.unwrap_or_else(|_| Err(silent(&shown, self.timeout))) {
                Ok(client) => {
                    self.first.store(index, Ordering::Relaxed);
                    return Ok(client);
                }
                Err(error) => errors.push(error),
            }
        }
        Err(all(errors))
    }

    async fn connect_to(&self, server: &Server, signals: &Arc<Signals>) -> Result<Client, EngineError> {
        let shown = server.shown();
        let was_connected = Arc::new(AtomicBool::new(false));
        let delay = Arc::clone(&was_connected);
        let events = Arc::clone(signals);
        let mut options = ConnectOptions::new()
            .name("ropeway")
            .ignore_discovered_servers()
            .max_reconnects(1)
            .reconnect_delay_callback(
                move |_| {
                    if delay.load(Ordering::Relaxed) { NO_RECONNECT } else { Duration::ZERO }
                },
            )
            .connection_timeout(self.timeout)
            .request_timeout(Some(self.timeout))
            .ping_interval(self.ping_interval)
            .custom_inbox_prefix(&self.inbox)
            .event_callback(move |event| {
                events.take(event);
                std::future::ready(())
            });
        if let Some(tls) = &self.tls {
            options = options.tls_client_config(tls.clone());
        }
        let credentials = server.credentials.as_ref().unwrap_or(&self.credentials);
        let client = credentials.set(options)?.connect(server.address.clone()).await;
        let client = client.map_err(|error| explain(&shown, self.timeout, error))?;
        was_connected.store(true, Ordering::Relaxed);
        Ok(client)
    }
}

/// The error for a call of a client that has ended.
pub(crate) fn gone(error: impl Display) -> EngineError {
    EngineError::new(EngineFault::Lost, format!("the connection to NATS is gone ({error}); ropeway connects again"))
}

fn silent(server: &str, limit: Duration) -> EngineError {
    let text = format!(
        "{server} did not greet as a NATS server within {:.1} s; check that the port is that of NATS clients (4222 by default), and \
         that the server is not overloaded",
        limit.as_secs_f64()
    );
    EngineError::new(EngineFault::Unreachable, text)
}

fn explain(server: &str, limit: Duration, error: ConnectError) -> EngineError {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    let (fault, text) = match error.kind() {
        ConnectErrorKind::ServerParse => {
            (EngineFault::Settings, format!("{server} is not a server's address ({cause}); write nats://HOST:PORT"))
        }
        ConnectErrorKind::Dns => (
            EngineFault::Unreachable,
            format!("the host of {server} cannot be resolved ({cause}); check the name, and this machine's DNS"),
        ),
        ConnectErrorKind::Authentication => (
            EngineFault::Settings,
            format!("the nkey for {server} cannot sign ({cause}); give the seed of a user, which begins with SU"),
        ),
        ConnectErrorKind::AuthorizationViolation => (
            EngineFault::Access,
            format!(
                "{server} refused the credentials; check the user and password, the token, the nkey or the credentials file"
            ),
        ),
        ConnectErrorKind::TimedOut => return silent(server, limit).with_source(error),
        ConnectErrorKind::Tls => (EngineFault::Access, tls_text(server, &cause)),
        ConnectErrorKind::Io if is_tls(&error) => (EngineFault::Access, tls_text(server, &cause)),
        ConnectErrorKind::Io if is_foreign(&error, &cause) => (
            EngineFault::WrongBroker,
            format!(
                "{server} is not a NATS server ({cause}); check that the port is that of NATS clients (4222 by default), not that of \
                 monitoring or of a cluster's routes"
            ),
        ),
        _ => (
            EngineFault::Unreachable,
            format!(
                "{server} cannot be reached ({cause}); check that nats-server runs there, and that no firewall is in between"
            ),
        ),
    };
    EngineError::new(fault, text).with_source(error)
}

fn tls_text(server: &str, cause: &str) -> String {
    format!(
        "TLS with {server} failed ({cause}); if its certificate is from an authority of your own, give that authority's certificate \
         to `Nats::trust`; if the server has no TLS, write nats:// instead of tls://"
    )
}

/// Whether rustls is the source of an error.
fn is_tls(error: &ConnectError) -> bool {
    causes(error).any(|cause| {
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause.is::<rustls::Error>() || inner.is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>)
    })
}

/// Whether the peer has said something, and not as a NATS server does.
fn is_foreign(error: &ConnectError, cause: &str) -> bool {
    let is_invalid = |error: &std::io::Error| {
        matches!(error.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData)
    };
    cause.starts_with("expected INFO")
        || causes(error).any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(is_invalid))
}

fn causes(error: &ConnectError) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: Option<&(dyn Error + 'static)> = error.source();
    std::iter::successors(first, |&cause| cause.source())
}

/// One error for all servers of a list. Its fault is the first one that is worth more than "unreachable".
fn all(mut errors: Vec<EngineError>) -> EngineError {
    if errors.len() == 1 {
        return errors.remove(0);
    }
    let faults = errors.iter().map(EngineError::fault);
    let fault = faults.into_iter().find(|fault| *fault != EngineFault::Unreachable).unwrap_or(EngineFault::Unreachable);
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    EngineError::new(fault, format!("none of {} servers can be used: {}", texts.len(), texts.join("; ")))
}
