//! The end of a server: which close frame its connections get, over which time, and how long they and their handlers are waited for.

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

/// How long a shutdown waits by default, the time over which it is spread aside: as long as a connection does for the peer's close
/// frame, by the default of `close_timeout`.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a shutdown waits for what it terminated. That takes a turn of each event loop, and one that is busy, or blocked by a
/// handler, may not come to it.
const TERMINATING: Duration = Duration::from_secs(1);

/// The longest that a shutdown is spread over, so that its end can be told as a time.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How often connections are closed where a shutdown is spread: often enough that nobody notices the steps.
const STEP: Duration = Duration::from_millis(10);

/// The shutdown of a server, made by [`Server::shutdown`](crate::Server::shutdown). It begins when it is awaited.
///
/// From then on new handshakes are answered with 503 and `Retry-After`, and the server's own ports are freed. Each connection is sent
/// what is queued for it and a close frame. The shutdown is done when all connections are closed, and all handlers given to
/// [`Server::spawn_each`](crate::Server::spawn_each) have returned. Tasks that your own code spawns are yours to wait for.
///
/// After [`timeout`](Shutdown::timeout) connections that are left are terminated; for their ends, and for the handlers that hear of it, it
/// waits one second more at most. Handlers that still run then are counted in [`Remaining`], and a line of the log tells. They are not
/// aborted: one that is in the middle of a write to a database may finish as long as the runtime lives. A second shutdown waits for
/// them again.
///
/// A pull handler may await the shutdown of its own server, which then does not wait for that handler.
///
/// Cancel safe: dropped half-way, connections that were sent a close frame stay so, and the server still lets nobody in. Where it is
/// [spread](Shutdown::spread), the connections whose turn had not come stay open. A new shutdown goes on with what is left.
#[derive(Clone)]
#[must_use = "a shutdown begins when it is awaited"]
pub struct Shutdown {
    clients: Arc<Clients>,
    frame: CloseFrame,
    spread: Duration,
    timeout: Duration,
}

/// The connections and handlers of a server that were left when the time of a shutdown was over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remaining {
    /// Connections that were terminated, but whose event loop or task has not come to it: something blocks it.
    pub connections: usize,
    /// Pull handlers that have not returned.
    pub handlers: usize,
}

impl Shutdown {
    pub(super) fn new(clients: Arc<Clients>) -> Self {
        let frame = CloseFrame::new(CloseCode::GOING_AWAY, "the server shuts down");
        Self { clients, frame, spread: Duration::ZERO, timeout: TIMEOUT }
    }

    /// The code and reason of the close frames, in place of 1001 and "the server shuts down". Clients that come back by themselves go by
    /// it: 1012 is a restart, 1013 asks to try again later.
    ///
    /// A server is not kept from shutting down by a frame that cannot be sent, such as one with code 1006 or a reason of more than
    /// 123 bytes: the one before is sent, and a line of the log tells.
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

    /// Spreads the close frames evenly over a time, so that clients that connect again at once do not all come at once. By default all
    /// are sent at once; a day is the most. A connection that opens meanwhile, as its handshake was under way, is closed at once.
    pub fn spread(mut self, window: Duration) -> Self {
        self.spread = window.min(LONGEST);
        self
    }

    /// How long connections have to close and handlers to return, after the last close frame was sent: 10 s by default. A shutdown takes
    /// at most [`spread`](Shutdown::spread), this, and one second.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Waits for a signal, then shuts down. It is made for the graceful shutdown of another HTTP server, which ends when this is done:
    /// until then that server answers ordinary requests, and handshakes with 503.
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
                // How many are left is asked below.
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

/// Closes all connections, over a time. Returns early if all have gone.
async fn send_away(clients: &Clients, frame: &CloseFrame, window: Duration, callers: usize) {
    let handles = clients.handles();
    let count = handles.len();
    let start = Instant::now();
    let mut closed = 0;
    while closed < count {
        let elapsed = start.elapsed();
        let due = if elapsed < window {
            // One at once, and one at the beginning of each further part of the window.
            let parts = elapsed.as_nanos() * count as u128 / window.as_nanos();
            usize::try_from(parts).map_or(count, |parts| count.min(parts + 1))
        } else {
            count
        };
        for client in &handles[closed..due] {
            // The frame was checked.
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

/// What is left, as the end of a sentence.
impl fmt::Display for Remaining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, handlers } = self;
        write!(
            f,
            "{connections} connections and {handlers} pull handlers are still there: a handler blocks its thread, or has more to do \
             than the time allows"
        )
    }
}
