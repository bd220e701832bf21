//! A port of the server's own: accepting clients, and driving the [`exchange`](super::exchange) with each.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

#[cfg(feature = "tls")]
use http::StatusCode;
#[cfg(feature = "tls")]
use ropeway_proto::handshake::Refusal;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, sleep_until};

use super::cut_short::unless;
use super::exchange::{Exchange, tell_lost};
use super::gate::Gate;
use super::handshakes::Handshaking;
use super::listener::{Listener, Spare, Tcp, with_tokio};
#[cfg(unix)]
use super::newcomer::Newcomer;
#[cfg(unix)]
use crate::event_loop;
#[cfg(unix)]
use crate::io::Socket;
use crate::io::{Transport, Turn, go_on_later};
#[cfg(feature = "tls")]
use crate::log::of_client;
use crate::log::{Rate, guarded, log_unwatched};

/// How long accepting rests after it has failed for lack of file descriptors or memory: long enough not to spin, short
/// enough not to be noticed.
const BACK_OFF: Duration = Duration::from_millis(50);

/// The answer to a request in the clear on a TLS port.
#[cfg(feature = "tls")]
const PLAIN_HTTP: &str =
    "This port speaks TLS, and the request came in the clear: use https://, or wss:// for a WebSocket.\n";

/// Serves a port, and waits for the end of a shutdown, since the caller's runtime drives the connections.
pub(super) async fn serve(gate: &Arc<Gate>, listener: TcpListener) {
    if accept_all(gate, listener).await.is_some() {
        gate.clients.done().await;
    }
}

/// Accepts clients until the server is stopped. Returns `None` if that cannot be done.
async fn accept_all(gate: &Arc<Gate>, listener: TcpListener) -> Option<()> {
    let listener = match Listener::new(listener) {
        Ok(listener) => listener,
        Err(error) => {
            guarded(|| tracing::error!(%error, "the port cannot be watched, and is not served"));
            return None;
        }
    };
    let part = gate.runtimes.join();
    let handshakes = &gate.handshakes;
    let mut stopped = pin!(gate.clients.stopped());
    let mut reserve = Reserve::new(&listener);
    loop {
        let Some(accepted) = unless(stopped.as_mut(), listener.accept()).await else { return Some(()) };
        match accepted {
            Ok((tcp, remote_addr)) if reserve.is_there(&listener) => {
                // Meanwhile further clients wait in the system's queue.
                let Some(place) = unless(stopped.as_mut(), handshakes.enter()).await else { return Some(()) };
                meet(gate, &part.next(), tcp, remote_addr, place);
            }
            Ok(client) => {
                drop(client);
                reserve = Reserve::new(&listener);
            }
            Err(error) if is_peers_fault(&error) => {}
            Err(error) => {
                static FAILED: Rate = Rate::new("failures to accept");
                FAILED.log(|| tracing::warn!(%error, "cannot accept; is the limit of open files (ulimit -n) too low?"));
                reserve.shed(&listener).await;
                sleep(BACK_OFF).await;
            }
        }
    }
}

pub(super) async fn serve_stream(gate: &Arc<Gate>, stream: Transport, remote_addr: Option<SocketAddr>) {
    serve_stream_until(gate, stream, remote_addr, handshake_deadline(gate)).await;
}

async fn serve_stream_until(gate: &Arc<Gate>, stream: Transport, remote_addr: Option<SocketAddr>, deadline: Instant) {
    exchange(Exchange::new(Arc::clone(gate), stream, remote_addr, deadline.into_std())).await;
}

/// Drives an exchange to its end. If it becomes a connection, starts that.
async fn exchange(mut exchange: Exchange<Transport>) {
    let mut timer = pin!(sleep_until(exchange.deadline().into()));
    let upgrade = poll_fn(|cx| {
        loop {
            match exchange.turn(cx, Instant::now().into_std(), || None) {
                Turn::Become(upgrade) => return Poll::Ready(Some(upgrade)),
                Turn::Over => return Poll::Ready(None),
                Turn::Again => {
                    go_on_later(cx);
                    return Poll::Pending;
                }
                Turn::Parked => {
                    timer.as_mut().reset(exchange.deadline().into());
                    ready!(timer.as_mut().poll(cx));
                }
            }
        }
    });
    if let Some(upgrade) = upgrade.await {
        let (stream, remote_addr) = exchange.into_parts();
        upgrade.start(stream, remote_addr);
    }
}

/// Passes a client to a runtime.
fn meet(gate: &Arc<Gate>, runtime: &Handle, tcp: Tcp, remote_addr: SocketAddr, mut place: Handshaking) {
    // Without it a small message waits for the acknowledgement of the one before it. If this fails the socket is
    // broken, and reading from it reports that.
    let _ = tcp.set_nodelay(true);
    let deadline = handshake_deadline(gate);
    #[cfg(all(unix, feature = "tls"))]
    let is_plain = gate.settings.tls.is_none();
    #[cfg(all(unix, not(feature = "tls")))]
    let is_plain = true;
    #[cfg(unix)]
    if is_plain && let Ok(mailbox) = event_loop::next_mailbox(runtime) {
        let exchange = Exchange::new(Arc::clone(gate), Socket::new(tcp), Some(remote_addr), deadline.into_std());
        return mailbox.adopt(Box::new(Newcomer::new(exchange, place)));
    }
    let gate = Arc::clone(gate);
    runtime.spawn(async move {
        match with_tokio(tcp) {
            Ok(tcp) if is_heard(&tcp, remote_addr, &mut place, deadline).await => {
                answer_tcp(&gate, tcp, remote_addr, deadline).await;
            }
            Ok(_) => {}
            Err(error) => log_unwatched(&error),
        }
        drop(place);
    });
}

/// Waits for the client's first byte. Returns `false` if it does not come in time, or if another client needs the
/// place.
async fn is_heard(tcp: &TcpStream, remote_addr: SocketAddr, place: &mut Handshaking, deadline: Instant) -> bool {
    let first = {
        let lost = pin!(place.lost());
        tokio::time::timeout_at(deadline, unless(lost, tcp.readable())).await
    };
    match first {
        // An end or an error makes the socket readable too. The next read tells which it is.
        Ok(Some(_)) => {
            place.heard();
            true
        }
        Ok(None) => {
            tell_lost(Some(remote_addr));
            false
        }
        Err(_late) => false,
    }
}

async fn answer_tcp(gate: &Arc<Gate>, tcp: TcpStream, remote_addr: SocketAddr, deadline: Instant) {
    #[cfg(feature = "tls")]
    if let Some(config) = gate.settings.tls.clone() {
        static FAILED: Rate = Rate::new("TLS handshakes that failed");
        match tokio::time::timeout_at(deadline, shake_tls(config, tcp)).await {
            Ok(Ok(Shaken::Plain(tcp))) => {
                let plain = Exchange::new(Arc::clone(gate), tcp.into(), Some(remote_addr), deadline.into_std());
                exchange(plain.refusing(&Refusal::new(StatusCode::BAD_REQUEST, PLAIN_HTTP))).await;
            }
            Ok(Ok(Shaken::Tls(tls))) => {
                serve_stream_until(gate, Transport::other(*tls), Some(remote_addr), deadline).await;
            }
            Ok(Err(error)) => FAILED.log(|| of_client!(info, remote_addr, %error, "the TLS handshake failed")),
            Err(_) => FAILED.log(|| of_client!(info, remote_addr, "the TLS handshake took too long")),
        }
        return;
    }
    serve_stream_until(gate, tcp.into(), Some(remote_addr), deadline).await;
}

/// The first bytes of a client on a TLS port.
#[cfg(feature = "tls")]
enum Shaken {
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    /// A request in the clear.
    Plain(TcpStream),
}

#[cfg(feature = "tls")]
async fn shake_tls(config: Arc<tokio_rustls::rustls::ServerConfig>, tcp: TcpStream) -> io::Result<Shaken> {
    let mut first = [0];
    // A TLS record begins with its type, 22 for a handshake (RFC 8446 section 5.1). A request begins with its method,
    // which is letters.
    if tcp.peek(&mut first).await? == 1 && first[0].is_ascii_alphabetic() {
        return Ok(Shaken::Plain(tcp));
    }
    Ok(Shaken::Tls(Box::new(tokio_rustls::TlsAcceptor::from(config).accept(tcp).await?)))
}

fn handshake_deadline(gate: &Arc<Gate>) -> Instant {
    Instant::now() + gate.settings.handshake_timeout
}

/// Whether the client is at fault. If it has left before it was accepted, accepting need not rest.
fn is_peers_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A file descriptor in reserve for the time when none is left. It is closed, so that one waiting client can be
/// accepted and dropped. Otherwise that client would stay in the system's queue and keep it full.
struct Reserve {
    spare: Option<Spare>,
}

impl Reserve {
    fn new(listener: &Listener) -> Self {
        Self { spare: listener.spare() }
    }

    /// Whether there is a reserve. Without it no client is kept: another thread may have taken the descriptor that was
    /// closed, and if each thread kept its client, there would soon be no reserve on any thread.
    fn is_there(&mut self, listener: &Listener) -> bool {
        if self.spare.is_none() {
            self.spare = listener.spare();
        }
        self.spare.is_some()
    }

    async fn shed(&mut self, listener: &Listener) {
        if self.spare.take().is_some() {
            // Whether a client was accepted or not, nothing more can be done.
            let _ = poll_fn(|cx| Poll::Ready(listener.poll_accept(cx).map(drop))).await;
        }
        *self = Self::new(listener);
    }
}
