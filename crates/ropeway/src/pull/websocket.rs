//! A connection for the pull API.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytestring::ByteString;
use futures_core::Stream;
use futures_sink::Sink;
use ropeway_proto::{CloseCode, Closed, Message, SendError};

use super::inbox::{INBOX_FULL, Inbox, KEPT, Shared};
use crate::error::Error;
use crate::handle::{Handle, shared_methods};

/// A connection whose user asks it for messages. It is made by a client's [`connect`](crate::connect) or a server's
/// [`spawn_each`](crate::Route::spawn_each). It is also a [`Stream`] and a [`Sink`].
///
/// Pings are answered, and messages of its [`Handle`]s are written, even while it is not asked for messages. Dropping
/// the `WebSocket` closes the connection with 1000. If a panic drops it, the code is 1011.
///
/// # The inbox
///
/// Messages wait in an inbox until they are asked for. No message is dropped. If 1 MiB waits there (with 64 bytes added
/// for each message), reading stops, and the peer has to wait. If [`recv`](WebSocket::recv) has no message at hand, it
/// moves all messages out of the inbox, and reading goes on. So at most 2 MiB and two messages are held.
///
/// While reading has stopped, a ping or a close frame of the peer is neither seen nor answered. The peer is still
/// pinged, and a transport that breaks is noticed. A peer that is gone is noticed within `ping_interval` and
/// `ping_timeout` over plain TCP on Linux, and elsewhere when the operating system ends the connection. But while the
/// peer's system answers, a connection with a full inbox stays, so ask for messages, or drop the `WebSocket`.
///
/// # Receiving and sending at the same time
///
/// [`recv`](WebSocket::recv) borrows the `WebSocket` mutably, so the `WebSocket` cannot send while `recv` is awaited.
/// Use a [`handle`](WebSocket::handle) instead, which sends from any task.
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
/// A server and a client can be connected in memory, by a pipe such as tokio's `duplex`. If tokio's clock is paused,
/// keepalive and timeouts need no real time: see [the guide](crate::guide::testing).
#[derive(Debug)]
pub struct WebSocket {
    handle: Handle,
    inbox: Arc<Shared>,
    /// Messages taken out of the inbox, so that the inbox is locked once for many.
    batch: VecDeque<Message>,
    subprotocol: Option<String>,
}

impl WebSocket {
    pub(super) fn new(handle: Handle, inbox: Arc<Shared>, subprotocol: Option<String>) -> Self {
        Self { handle, inbox, batch: VecDeque::new(), subprotocol }
    }

    /// Returns the next message, or `None` once the peer has closed, or this side has terminated the connection.
    ///
    /// Every other end is an error. It is returned once, and then `None`. All messages that came before the end are
    /// returned first. Cancel safe: no message is lost if the future is dropped.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Queues a message as soon as there is room.
    ///
    /// The message is written in the background, even if the `WebSocket` is dropped next. If the runtime ends right
    /// then, the peer still gets what it reads within a second. Over TLS only those bytes are written that the socket
    /// accepts at once. To know that all of the message was written, await [`flush`](WebSocket::flush) or
    /// [`close`](WebSocket::close). Nothing helps against `std::process::exit`.
    ///
    /// Cancel safe: if this is dropped before it is done, the message is not sent at all.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.handle.send_wait(message).await
    }

    /// Waits until the operating system has all that was sent. Fails if the connection is over, unless it ended
    /// cleanly, since then all was written. Cancel safe.
    pub async fn flush(&self) -> Result<(), SendError> {
        self.handle.flush().await
    }

    /// Does the closing handshake behind all that is queued, and waits for its end. Messages that come in the meantime
    /// are dropped.
    ///
    /// Fails, and changes nothing, if the code cannot be sent or the reason has more than 123 bytes. 1005 cannot be
    /// sent: it means a close frame without a code, see [`close_without_code`](WebSocket::close_without_code).
    ///
    /// Cancel safe: if this is dropped, the closing handshake goes on in the background.
    pub async fn close(
        &mut self,
        code: impl Into<CloseCode>,
        reason: impl Into<ByteString>,
    ) -> Result<Closed, SendError> {
        self.handle.close(code, reason)?;
        self.stop_listening();
        Ok(self.handle.closed().await)
    }

    /// The same as [`close`](WebSocket::close), with a close frame that has neither code nor reason. The peer sees 1005
    /// (RFC 6455 section 7.1.5). Cancel safe: if this is dropped, the closing handshake goes on in the background.
    pub async fn close_without_code(&mut self) -> Closed {
        self.handle.close_without_code();
        self.stop_listening();
        self.handle.closed().await
    }

    /// Waits until the connection is closed. Returns how it ended. Cancel safe.
    ///
    /// If the peer closes in the meantime, it is answered, even while messages from before wait to be received. They
    /// can still be received. If the inbox is full, reading has stopped, so a close frame is seen only after
    /// [`recv`](WebSocket::recv) has emptied the inbox.
    pub async fn closed(&self) -> Closed {
        poll_fn(|cx| self.poll_closed(cx)).await
    }

    /// Returns how the connection ended, if it has.
    pub fn outcome(&self) -> Option<Closed> {
        self.handle.outcome()
    }

    /// The subprotocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    shared_methods!();

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<Closed> {
        let mut inbox = self.inbox.lock();
        let old = self.wait(&mut inbox, cx);
        drop(inbox);
        drop(old);
        self.handle.link().poll_closed(cx)
    }

    /// Has the user's task woken when something comes, and answers a peer that has closed. Returns a waker to drop once
    /// the lock is released, since it may own the value that it would have woken.
    fn wait(&self, inbox: &mut Inbox, cx: &Context<'_>) -> Option<Waker> {
        if std::mem::take(&mut inbox.is_unanswered) {
            self.handle.link().answer_close();
        }
        let is_known = inbox.waiting.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if is_known { None } else { inbox.waiting.replace(cx.waker().clone()) }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        self.inbox.note_asked();
        if let Some(message) = self.batch.pop_front() {
            return Poll::Ready(Ok(Some(message)));
        }
        let mut inbox = self.inbox.lock();
        if let Some(message) = inbox.messages.pop_front() {
            std::mem::swap(&mut self.batch, &mut inbox.messages);
            let was_full = std::mem::take(&mut inbox.cost) >= INBOX_FULL;
            drop(inbox);
            if was_full {
                self.handle.link().hold(false);
            }
            return Poll::Ready(Ok(Some(message)));
        }
        if inbox.is_over {
            let closed = ready!(self.handle.link().poll_outcome(cx));
            let is_told = std::mem::replace(&mut inbox.is_told, true);
            let error = if is_told { None } else { Error::of_end(&closed) };
            return Poll::Ready(error.map_or(Ok(None), Err));
        }
        let old = self.wait(&mut inbox, cx);
        // Memory for a burst is freed: a connection at rest has no buffer.
        for messages in [&mut self.batch, &mut inbox.messages] {
            if messages.capacity() > KEPT {
                *messages = VecDeque::new();
            }
        }
        drop(inbox);
        drop(old);
        Poll::Pending
    }

    fn stop_listening(&mut self) {
        let mut inbox = self.inbox.lock();
        inbox.deaf = true;
        inbox.messages = VecDeque::new();
        drop(inbox);
        self.batch = VecDeque::new();
        self.handle.link().hold(false);
    }
}

impl AsRef<Handle> for WebSocket {
    fn as_ref(&self) -> &Handle {
        &self.handle
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

/// A message is accepted as a whole, and is written without a flush. Flushing waits until the operating system has all
/// of it, as [`WebSocket::flush`] does. So `SinkExt::send` waits for that with each message, and `feed` does not.
impl Sink<Message> for WebSocket {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.handle.link().poll_room(cx).map_err(Error::from)
    }

    /// Accepts the message that [`poll_ready`](Sink::poll_ready) promised room for, whatever handles have sent since.
    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        Ok(self.handle.link().send_promised(message)?)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.handle.link().poll_flushed(cx).map_err(Error::from)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Once, since each command is a turn of the connection, which wakes every task that waits for its end.
        if !std::mem::replace(&mut self.inbox.lock().is_closed, true) {
            self.handle.close(CloseCode::NORMAL, "")?;
        }
        self.handle.link().poll_closed(cx).map(|_closed| Ok(()))
    }
}
