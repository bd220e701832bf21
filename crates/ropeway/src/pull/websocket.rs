//! A connection as its user asks it for messages.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use bytestring::ByteString;
use futures_core::Stream;
use futures_sink::Sink;
use ropeway_proto::{CloseCode, Closed, Message, ReadyState};

use super::inbox::{INBOX_FULL, Inbox, KEPT, lock, lost};
use crate::error::Error;
use crate::handle::Handle;

/// A connection that is asked for its messages, from a client's [`connect`](crate::connect) or a server's
/// [`spawn_each`](crate::Route::spawn_each).
///
/// Pings are answered, and messages of its [`Handle`]s written, whether it is asked for messages or not. A user who does not ask
/// makes the peer wait once 1 MiB of messages are there (64 bytes added for each); nothing is dropped. A ping or a close frame
/// behind more than that is seen when messages are taken. Until then the peer is still pinged, and a transport that breaks is
/// noticed; over plain TCP on Linux also a peer that vanishes, within `ping_interval` and `ping_timeout`, elsewhere when the
/// operating system gives it up. Dropping it closes the connection with 1000, or with 1011 in a panic.
///
/// It is also a [`Stream`] and a [`Sink`].
///
/// # Receiving and sending at the same time
///
/// [`recv`](WebSocket::recv) borrows the `WebSocket` mutably, so nothing can be sent with it while that is awaited. There is no need
/// to split it: a [`handle`](WebSocket::handle) sends from anywhere, from another task too.
///
/// ```no_run
/// # async fn run(mut ws: ropeway::WebSocket) -> Result<(), ropeway::Error> {
/// let handle = ws.handle();
/// tokio::spawn(async move {
///     for number in 0.. {
///         if handle.send_wait(format!("tick {number}")).await.is_err() {
///             break;
///         }
///     }
/// });
/// while let Some(message) = ws.recv().await? {
///     println!("{message:?}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Testing
///
/// A server and a client can be joined in memory, by [`tokio::io::duplex`]. With time that tokio pauses, keepalive, timeouts and
/// hours of waiting take none.
///
/// ```
/// use ropeway::{Client, Server, Transport};
///
/// #[tokio::main(flavor = "current_thread")] // in a test: #[tokio::test(start_paused = true)]
/// async fn main() -> Result<(), ropeway::Error> {
///     tokio::time::pause();
///     let server = Server::builder().build();
///     server.spawn_each(|mut ws, _| async move {
///         while let Ok(Some(message)) = ws.recv().await {
///             tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
///             ws.send(message).await.ok();
///         }
///     });
///
///     let (ours, theirs) = tokio::io::duplex(64 * 1024);
///     tokio::spawn(async move { server.serve_stream(Transport::other(theirs), None).await });
///     let mut ws = Client::new().connect("ws://localhost/").over(Transport::other(ours)).await?;
///     ws.send("hello").await?;
///     assert_eq!(ws.recv().await?, Some("hello".into()));
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct WebSocket {
    handle: Handle,
    inbox: Arc<Mutex<Inbox>>,
    /// Messages taken out of the inbox, so that its lock is taken once for many.
    batch: VecDeque<Message>,
    subprotocol: Option<String>,
}

impl WebSocket {
    pub(super) fn new(handle: Handle, inbox: Arc<Mutex<Inbox>>, subprotocol: Option<String>) -> Self {
        Self { handle, inbox, batch: VecDeque::new(), subprotocol }
    }

    /// The next message; `None` once the peer has closed, or this side has terminated the connection.
    ///
    /// Every other end is an error, once; after it comes `None` as well. All messages received before the end come first.
    /// Cancel safe: no message is lost when the future is dropped.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Queues a message as soon as there is room.
    ///
    /// It is written without being waited for, also where the `WebSocket` is dropped next. If the runtime ends right then, it still
    /// is, as far as the peer takes it within a second; over TLS, as far as the socket takes it at once. To be certain, await
    /// [`flush`](WebSocket::flush) or [`close`](WebSocket::close). Nothing helps against `std::process::exit`.
    ///
    /// Cancel safe: dropped before it is done, the message is not sent at all.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), Error> {
        Ok(self.handle.send_wait(message).await?)
    }

    /// Waits until all that was sent is the operating system's. Fails if the connection is over. Cancel safe.
    pub async fn flush(&self) -> Result<(), Error> {
        Ok(self.handle.flush().await?)
    }

    /// Does the closing handshake behind all that is queued, and waits for its end. Messages that come meanwhile are not kept.
    ///
    /// Cancel safe: the closing handshake goes on without being waited for.
    pub async fn close(&mut self, code: impl Into<CloseCode>, reason: impl Into<ByteString>) -> Result<Closed, Error> {
        self.handle.close(code, reason)?;
        self.stop_listening();
        self.handle.closed().await;
        Ok(self.closed().unwrap_or_else(lost))
    }

    /// How the connection ended, once it has.
    pub fn closed(&self) -> Option<Closed> {
        lock(&self.inbox).end.as_ref().map(|end| end.closed.clone())
    }

    /// The subprotocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Where the connection is in its life.
    pub fn ready_state(&self) -> ReadyState {
        self.handle.ready_state()
    }

    /// Bytes that were sent but not yet taken by the operating system. A message that waits its turn behind a fragmented or a large
    /// compressed one counts with some bytes for its place.
    pub fn buffered_amount(&self) -> usize {
        self.handle.buffered_amount()
    }

    /// Sends a ping of at most 125 bytes.
    pub fn ping(&self, payload: impl Into<Bytes>) -> Result<(), Error> {
        Ok(self.handle.ping(payload)?)
    }

    /// The address of the peer's end of the transport; of the last proxy, if there is one.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.handle.remote_addr()
    }

    /// A handle to send with from anywhere, and at once.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        if let Some(message) = self.batch.pop_front() {
            return Poll::Ready(Ok(Some(message)));
        }
        let mut inbox = lock(&self.inbox);
        if let Some(message) = inbox.messages.pop_front() {
            std::mem::swap(&mut self.batch, &mut inbox.messages);
            let was_full = std::mem::take(&mut inbox.cost) >= INBOX_FULL;
            drop(inbox);
            if was_full {
                self.handle.link().hold(false);
            }
            return Poll::Ready(Ok(Some(message)));
        }
        match &mut inbox.end {
            None => {
                if std::mem::take(&mut inbox.is_unanswered) {
                    self.handle.link().answer_close();
                }
                let is_known = inbox.waiting.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
                let old = if is_known { None } else { inbox.waiting.replace(cx.waker().clone()) };
                // What a burst took is given back: a connection at rest owns no buffer.
                for messages in [&mut self.batch, &mut inbox.messages] {
                    if messages.capacity() > KEPT {
                        *messages = VecDeque::new();
                    }
                }
                // It may own what it would have woken, so it goes when the lock has.
                drop(inbox);
                drop(old);
                Poll::Pending
            }
            Some(end) => {
                let told = std::mem::replace(&mut end.told, true);
                let error = if told { None } else { Error::of_end(&end.closed) };
                Poll::Ready(error.map_or(Ok(None), Err))
            }
        }
    }

    fn stop_listening(&mut self) {
        let mut inbox = lock(&self.inbox);
        inbox.deaf = true;
        inbox.messages = VecDeque::new();
        drop(inbox);
        self.batch = VecDeque::new();
        self.handle.link().hold(false);
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        let code = if std::thread::panicking() { CloseCode::INTERNAL_ERROR } else { CloseCode::NORMAL };
        // Both codes can be sent.
        let _ = self.handle.close(code, "");
        self.stop_listening();
    }
}

impl Stream for WebSocket {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_recv(cx).map(Result::transpose)
    }
}

/// A message is accepted whole, and written without being flushed. Flushing waits until all is the operating system's, as
/// [`WebSocket::flush`] does; so `SinkExt::send` waits for that with each message, and `feed` does not.
impl Sink<Message> for WebSocket {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.handle.link().poll_room(cx).map_err(Error::from)
    }

    /// Takes what [`poll_ready`](Sink::poll_ready) promised room for, whatever handles have sent since.
    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        Ok(self.handle.link().send_promised(message)?)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.handle.link().poll_flushed(cx).map_err(Error::from)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.handle.close(CloseCode::NORMAL, "")?;
        self.handle.link().poll_closed(cx).map(Ok)
    }
}
