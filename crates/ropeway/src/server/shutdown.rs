//! The end of a server: the close frame of its connections, the time that the frames are spread over, and how long
//! connections and handlers are waited for.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ropeway_proto::{ByteString, CloseCode, CloseFrame};
use tokio::time::{Instant, timeout, timeout_at};

use crate::connection::Clients;
use crate::handle::Handle;
use crate::log::guarded;

/// How long a shutdown waits by default, besides the time that it is spread over. It is the default of `close_timeout`,
/// for which a connection waits for the peer's close frame.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a shutdown waits for connections that it has terminated. Terminating takes a turn of each event loop, and a
/// loop that is busy, or blocked by a handler, may not get to it.
const TERMINATING: Duration = Duration::from_secs(1);

/// The longest time that a shutdown is spread over, so that its end is a time that can be expressed.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The steps in which connections are closed if a shutdown is spread: so short that nobody notices them.
const STEP: Duration = Duration::from_millis(10);

/// The shutdown of a server, made by [`Server::shutdown`](crate::Server::shutdown). It begins when it is awaited.
///
/// From then on new handshakes are answered with 503 and `Retry-After`, and the server's own ports are freed. Each
/// connection is sent its queue and a close frame. The shutdown is done when all connections are closed, and all pull
/// handlers have returned: those given to [`Server::spawn_each`](crate::Server::spawn_each), and to `on_upgrade` of
/// `ropeway::axum::Upgrade`. It does not wait for tasks that your own code spawns.
///
/// After [`timeout`](Shutdown::timeout) the connections that are left are terminated. The shutdown waits at most one
/// second more for their ends, and for their handlers to notice. Handlers that are still running then are counted in
/// [`Remaining`], and this is logged. They are not aborted: a handler in the middle of a write to a database may finish
/// as long as the runtime lives. A second shutdown waits for them again.
///
/// A pull handler may await the shutdown of its own server. The shutdown then does not wait for that handler.
///
/// Cancel safe: if it is dropped half-way, the close frames that were sent stay sent, and the server still accepts no
/// clients. If it is [spread](Shutdown::spread), the connections that were not reached stay open. A new shutdown
/// continues with those that are left.
#[derive(Clone)]
#[must_use = "a shutdown begins when it is awaited"]
pub struct Shutdown {
    clients: Arc<Clients>,
    frame: CloseFrame,
    spread: Duration,
    timeout: Duration,
}

/// The connections and handlers of a server that are left when the time of a shutdown is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remaining {
    /// Connections that were terminated, but whose event loop or task has not noticed, because something blocks it.
    pub connections: usize,
    /// Pull handlers that have not returned.
    pub handlers: usize,
}

impl Shutdown {
    pub(super) fn new(clients: Arc<Clients>) -> Self {
        let frame = CloseFrame::new(CloseCode::GOING_AWAY, "the server shuts down");
        Self { clients, frame, spread: Duration::ZERO, timeout: TIMEOUT }
    }

    /// Sets the code and reason of the close frames, instead of 1001 and "the server shuts down". Clients that
    /// reconnect by themselves use the code: 1012 means a restart, 1013 asks to try again later.
    ///
    /// If the frame cannot be sent, because it has a code such as 1006 or a reason of more than 123 bytes, the shutdown
    /// goes on: the previous frame is sent, and the error is logged.
    pub fn code(mut self, code: impl Into<CloseCode>, reason: impl Into<ByteString>) -> Self {
        let frame = CloseFrame::new(code, reason);
        match frame.check() {
            Ok(()) => self.frame = frame,
            Err(error) => {
                let code = self.frame.code;
                guarded(|| tracing::error!(%error, "the close frame of a shutdown cannot be sent; {code} is sent"));
            }
        }
        self
    }

    /// Spreads the close frames evenly over a time, so that clients that reconnect at once do not all come at the same
    /// time. By default all are sent at once; the longest time is a day. A connection whose handshake ends during that
    /// time is closed at once.
    pub fn spread(mut self, window: Duration) -> Self {
        self.spread = window.min(LONGEST);
        self
    }

    /// How long connections have to close and handlers to return, after the last close frame was sent: 10 s by default.
    /// A shutdown takes at most [`spread`](Shutdown::spread), plus this time, plus one second.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Waits for a signal, then shuts down. It is meant for the graceful shutdown of another HTTP server, which ends
    /// when this is done. Until then that server answers ordinary requests, and handshakes with 503.
    ///
    /// ```no_run
    /// # #[cfg(feature = "axum")]
    /// # async fn run(app: axum::Router, server: ropeway::Server, listener: tokio::net::TcpListener) -> std::io::Result<()> {
    /// let shutdown = server.shutdown().code(1012, "restart").on(tokio::signal::ctrl_c());
    /// axum::serve(listener, app).with_graceful_shutdown(shutdown).await
    /// # }
    /// ```
    pub async fn on<F: Future>(self, signal: F) {
        signal.await;
        self.await;
    }

    async fn run(self) -> Remaining {
        let Self { clients, frame, spread, timeout: longest } = self;
        let callers = clients.callers();
        clients.stop(frame.clone());
        send_away(&clients, &frame, spread, callers).await;
        if timeout(longest, clients.gone(callers)).await.is_err() {
            let left = clients.handles();
            left.iter().for_each(Handle::terminate);
            if !left.is_empty() {
                let gone = async {
                    for client in &left {
                        client.closed().await;
                    }
                    clients.handled(callers).await;
                };
                // The number of those that are left is taken below.
                let _ = timeout(TERMINATING, gone).await;
            }
        }
        let connections = clients.handles().len();
        let remaining = Remaining { connections, handlers: clients.handlers().saturating_sub(callers) };
        clients.set_done();
        if !remaining.is_none() {
            guarded(|| tracing::warn!("the server shut down, and {remaining}"));
        }
        remaining
    }
}

/// Closes all connections, spread over a time. Returns early if all have gone.
async fn send_away(clients: &Clients, frame: &CloseFrame, window: Duration, callers: usize) {
    let handles = clients.handles();
    let count = handles.len();
    let start = Instant::now();
    let mut closed = 0;
    while closed < count {
        let elapsed = start.elapsed();
        let due = if elapsed < window {
            // One at once, and one at the beginning of each further part of the time.
            let parts = elapsed.as_nanos() * count as u128 / window.as_nanos();
            usize::try_from(parts).map_or(count, |parts| count.min(parts + 1))
        } else {
            count
        };
        for client in &handles[closed..due] {
            // The frame was checked before.
            let _ = client.close(frame.code, frame.reason.clone());
        }
        closed = due;
        if closed < count {
            let next = window.as_nanos() * closed as u128 / count as u128;
            let next = start + Duration::from_nanos(u64::try_from(next).unwrap_or(u64::MAX));
            let next = next.max(Instant::now() + STEP);
            if timeout_at(next, clients.gone(callers)).await.is_ok() {
                return;
            }
        }
    }
}

impl IntoFuture for Shutdown {
    type Output = Remaining;
    type IntoFuture = Pin<Box<dyn Future<Output = Remaining> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clients: _, frame, spread, timeout } = self;
        f.debug_struct("Shutdown")
            .field("frame", frame)
            .field("spread", spread)
            .field("timeout", timeout)
            .finish_non_exhaustive()
    }
}

impl Remaining {
    /// Whether nothing was left.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The rest of a sentence that says what is left.
impl fmt::Display for Remaining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, handlers } = self;
        if self.is_none() {
            return f.write_str("all connections and all pull handlers have ended");
        }
        write!(
            f,
            "{connections} connections and {handlers} pull handlers are still there: a handler blocks its thread, or has more to do \
             than the time allows"
        )
    }
}
