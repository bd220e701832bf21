//! A port of the server's own: accepting, the opening handshake, and HTTP answers to everything else.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Method, Request, Response};
use ropeway_proto::handshake::{HeadReader, Refusal, encode_response, encode_response_to_head, is_upgrade};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Server, read};
use crate::scratch;
use crate::transport::Transport;

/// How long to leave a port alone on which accepting fails for want of file descriptors or memory: long enough not to spin,
/// short enough that nobody notices.
const BACK_OFF: Duration = Duration::from_millis(50);

/// How long a client that was refused may take to read why, before its connection is dropped.
const LINGER: Duration = Duration::from_secs(2);

pub(super) async fn serve(server: &Server, listener: TcpListener) {
    let handshakes = Arc::new(Semaphore::new(server.shared.settings.max_handshakes));
    let mut stopped = pin!(server.shared.clients.stopped());
    let mut reserve = Reserve::new();
    loop {
        let accepted = async {
            let permit = Arc::clone(&handshakes).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let Some((accepted, permit)) = unless(stopped.as_mut(), accepted).await else { return };
        match accepted {
            Ok((tcp, remote_addr)) => {
                let server = server.clone();
                tokio::spawn(async move {
                    answer_tcp(&server, tcp, remote_addr).await;
                    drop(permit);
                });
            }
            Err(error) if is_peers_fault(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept; is the limit of open files (ulimit -n) too low?");
                reserve.shed(&listener).await;
                sleep(BACK_OFF).await;
            }
        }
    }
}

pub(super) async fn serve_stream(server: &Server, stream: Transport, remote_addr: Option<SocketAddr>) {
    let deadline = Instant::now() + server.shared.settings.handshake_timeout;
    serve_stream_until(server, stream, remote_addr, deadline).await;
}

async fn serve_stream_until(server: &Server, stream: Transport, remote_addr: Option<SocketAddr>, deadline: Instant) {
    let mut exchange = Exchange { stream, remote_addr, awaits_answer: false };
    if timeout_at(deadline, exchange.answer(server)).await.is_err() {
        exchange.refuse_late().await;
    }
}

async fn answer_tcp(server: &Server, tcp: TcpStream, remote_addr: SocketAddr) {
    // Without it a small message waits for the acknowledgement of the one before it. A socket that refuses is broken, and
    // reading from it says so.
    let _ = tcp.set_nodelay(true);
    let deadline = Instant::now() + server.shared.settings.handshake_timeout;
    #[cfg(feature = "tls")]
    if let Some(config) = server.shared.settings.tls.clone() {
        match timeout_at(deadline, tokio_rustls::TlsAcceptor::from(config).accept(tcp)).await {
            Ok(Ok(tls)) => serve_stream_until(server, Transport::other(tls), Some(remote_addr), deadline).await,
            Ok(Err(error)) => tracing::info!(%remote_addr, %error, "the TLS handshake failed"),
            Err(_) => tracing::info!(%remote_addr, "the TLS handshake took too long"),
        }
        return;
    }
    serve_stream_until(server, tcp.into(), Some(remote_addr), deadline).await;
}

/// One request and its answer.
struct Exchange {
    stream: Transport,
    remote_addr: Option<SocketAddr>,
    /// Whether anything of a request has come, and nothing of an answer is written yet.
    awaits_answer: bool,
}

impl Exchange {
    /// Reads a request and answers it. The stream of a WebSocket is taken away to a task of its own.
    async fn answer(&mut self, server: &Server) {
        let (request, leftover) = match self.read_head(server).await {
            Ok(Some(read)) => read,
            Ok(None) => return,
            Err(refusal) => return self.refuse(&refusal, false).await,
        };
        let to_head = request.method() == Method::HEAD;
        if !is_upgrade(&request) {
            let answer = read(&server.shared.http).clone();
            let Some(answer) = answer else { return self.refuse(&Refusal::upgrade_required(), to_head).await };
            let mut response = answer(&request);
            // RFC 9112 section 9.6: a server that ends the connection behind an answer says so in it.
            // Section 7.8 of RFC 9110: one that has an Upgrade header names it there too.
            let connection = if response.headers().contains_key(UPGRADE) { "close, Upgrade" } else { "close" };
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static(connection));
            return self.respond(&response, to_head).await;
        }
        let accepted = match server.accept(&request) {
            Ok(accepted) => accepted,
            Err(refusal) => return self.refuse(&refusal, to_head).await,
        };
        if self.write(&encode_response(&accepted.response.clone().map(|()| ""))).await.is_ok() {
            let stream = std::mem::replace(&mut self.stream, Transport::other(tokio::io::empty()));
            server.open(accepted, request, stream, leftover, self.remote_addr);
        }
    }

    /// The head of a request, and what came behind it; `None` if the client leaves before.
    async fn read_head(&mut self, server: &Server) -> Result<Option<(Request<()>, Vec<u8>)>, Refusal> {
        let mut reader = HeadReader::new(server.shared.settings.limits);
        poll_fn(|cx| {
            loop {
                let step = scratch::with(|buffer| {
                    let mut read = ReadBuf::new(buffer);
                    let result = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read));
                    let bytes = read.filled();
                    if result.is_err() || bytes.is_empty() {
                        return Poll::Ready(Ok(Some(None)));
                    }
                    self.awaits_answer = true;
                    let head = reader.handle_request(bytes)?;
                    Poll::Ready(Ok(head.map(|(request, used)| Some((request, bytes[used..].to_vec())))))
                });
                match ready!(step) {
                    Ok(None) => {}
                    Ok(Some(head)) => return Poll::Ready(Ok(head)),
                    Err(refusal) => return Poll::Ready(Err(refusal)),
                }
            }
        })
        .await
    }

    async fn refuse(&mut self, refusal: &Refusal, to_head: bool) {
        tracing::info!(
            remote_addr = self.remote_addr.map(display),
            status = refusal.status().as_u16(),
            "refused: {}",
            refusal.body().trim_end()
        );
        self.respond(&refusal.to_response(), to_head).await;
    }

    /// The handshake took too long. A client that has sent nothing, such as a browser that connects ahead of need, is not
    /// answered; nor is one that does not read its answer, of which it would take this for a part.
    async fn refuse_late(&mut self) {
        if self.awaits_answer {
            // The refusal itself may take no longer than lingering does.
            let _ = timeout(LINGER, self.refuse(&Refusal::timeout(), false)).await;
        }
    }

    /// Answers, and ends the connection: what comes next on it may be a proxy's idea of a WebSocket.
    async fn respond<B: AsRef<[u8]>>(&mut self, response: &Response<B>, to_head: bool) {
        let bytes = if to_head { encode_response_to_head(response) } else { encode_response(response) };
        if self.write(&bytes).await.is_ok() && self.stream.shutdown().await.is_ok() {
            // What the client still sends is read and thrown away: unread bytes would reset the connection, and the client
            // might lose the answer.
            let _ = timeout(LINGER, self.read_to_end()).await;
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.awaits_answer = false;
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    async fn read_to_end(&mut self) {
        poll_fn(|cx| {
            scratch::with(|buffer| {
                loop {
                    let mut read = ReadBuf::new(buffer);
                    let result = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read));
                    if result.is_err() || read.filled().is_empty() {
                        return Poll::Ready(());
                    }
                }
            })
        })
        .await;
    }
}

/// What comes of `work`, unless it is `stopped` before.
async fn unless<T>(mut stopped: Pin<&mut impl Future>, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match stopped.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => work.as_mut().poll(cx).map(Some),
    })
    .await
}

/// A client that has gone before it was accepted is no reason to stop for a while.
fn is_peers_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A file descriptor held back for the day when there are none: given up, it lets one waiting client be accepted and dropped,
/// who would otherwise wait in the system's queue and keep it full.
struct Reserve {
    file: Option<std::fs::File>,
}

impl Reserve {
    fn new() -> Self {
        Self { file: std::fs::File::open("/dev/null").ok() }
    }

    async fn shed(&mut self, listener: &TcpListener) {
        if self.file.take().is_some() {
            // Whether it could be accepted or not, there is nothing more to do for it.
            let _ = poll_fn(|cx| Poll::Ready(listener.poll_accept(cx).map(drop))).await;
        }
        *self = Self::new();
    }
}
