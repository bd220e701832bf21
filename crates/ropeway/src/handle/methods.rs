//! A handle to a connection that can be cloned and used from anywhere.

use std::fmt;
use std::future::poll_fn;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use ropeway_proto::{CloseCode, CloseFrame, Closed, MAX_CONTROL_PAYLOAD, Message, Prepared, ReadyState, SendError};

use super::command::Command;
use super::link::Link;
use super::ping::Ping;
use crate::connection_id::ConnectionId;
use crate::engine::Position;
use crate::topic::{Recovery, Subscribing, Topic};

/// A handle to a connection: cheap to clone, usable from any thread or task.
///
/// Messages that are sent through handles during one turn of the connection leave in one write.
///
/// ```
/// # use ropeway::{ReadyState, SendError, Handle};
/// fn tell_all(clients: &[Handle], news: &str) {
///     for client in clients {
///         match client.send(news) {
///             Ok(()) => {}
///             Err(SendError::Full { buffered }) => println!("{buffered} bytes wait already: this one misses the news"),
///             Err(error) => println!("{error}"),
///         }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Handle {
    link: Arc<Link>,
}

impl Handle {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self { link }
    }

    /// Queues a message, or fails at once.
    ///
    /// Fails with [`SendError::NotOpen`] unless the ready state is OPEN. While `max_buffered` bytes wait to be written,
    /// the [`Overflow`](crate::Overflow) policy decides; by default it fails with [`SendError::Full`].
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.link.send(message.into())
    }

    /// Queues a message as soon as there is room.
    ///
    /// Cancel safe: if this is dropped before it is done, the message is not sent at all.
    pub async fn send_wait(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let mut message = Some(message.into());
        poll_fn(|cx| self.link.poll_send(cx, &mut message)).await
    }

    /// Waits until the operating system has all that was sent through any handle:
    /// [`buffered_amount`](Handle::buffered_amount) is then 0. This says nothing about what the peer has read. Fails if
    /// the connection is over, unless it ended cleanly: all was written then. Cancel safe.
    pub async fn flush(&self) -> Result<(), SendError> {
        poll_fn(|cx| self.link.poll_flushed(cx)).await
    }

    /// Queues a part of a message whose whole length need not be known. The first part decides whether the message is
    /// text or binary. Other messages wait for the `last` part. A part is never refused for lack of room, since a
    /// message that has begun has to be finished. So watch the [buffered amount](Handle::buffered_amount). Do not send
    /// parts from several handles at a time, because they would be mixed.
    pub fn send_fragment(&self, part: impl Into<Message>, last: bool) -> Result<(), SendError> {
        self.link.command(Command::Fragment(part.into(), last))
    }

    /// Sends a ping of at most 125 bytes, at once: it goes ahead of messages that wait. Await the result for the
    /// round-trip time, or for the reason why the ping was not sent; see [`Ping`]. The pong also comes as a pong event.
    ///
    /// ```
    /// # async fn measure(client: &ropeway::Handle) -> Result<(), ropeway::SendError> {
    /// client.ping([1, 2, 3]); // not awaited: it is sent all the same
    /// println!("{:?}", client.ping("are you there").await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn ping(&self, payload: impl AsRef<[u8]>) -> Ping {
        Ping::new(control_payload(payload.as_ref()).and_then(|payload| self.link.ping(payload)))
    }

    /// Sends a pong of at most 125 bytes. Pings are answered automatically, unless `auto_pong` is off.
    pub fn pong(&self, payload: impl AsRef<[u8]>) -> Result<(), SendError> {
        self.link.command(Command::Pong(control_payload(payload.as_ref())?))
    }

    /// Starts the closing handshake. The close frame goes behind all that is queued. Does nothing if the closing
    /// handshake has started.
    ///
    /// Fails, and changes nothing, if the code cannot be sent or the reason has more than 123 bytes. 1005 cannot be
    /// sent: it means a close frame without a code, see [`close_without_code`](Handle::close_without_code).
    pub fn close(&self, code: impl Into<CloseCode>, reason: impl Into<ByteString>) -> Result<(), SendError> {
        let frame = CloseFrame::new(code, reason);
        frame.check()?;
        self.link.close(Some(frame));
        Ok(())
    }

    /// The same as [`close`](Handle::close), with a close frame that has neither code nor reason. The peer sees 1005
    /// (RFC 6455 section 7.1.5).
    ///
    /// A bridge can use it to pass on the close frame that it got:
    ///
    /// ```
    /// # use ropeway::{CloseCode, Closed, Handle, SendError};
    /// fn pass_on(closed: &Closed, other: &Handle) -> Result<(), SendError> {
    ///     match closed.code {
    ///         CloseCode::NONE => other.close_without_code(),
    ///         CloseCode::ABNORMAL => other.close(CloseCode::BAD_GATEWAY, "the other side was lost")?,
    ///         code => other.close(code, closed.reason.clone())?,
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn close_without_code(&self) {
        self.link.close(None);
    }

    /// Ends the connection at once, without a closing handshake. The queue is dropped.
    pub fn terminate(&self) {
        self.link.terminate();
    }

    /// The ready state of the connection. It is OPEN until this side asks for a close, or answers the peer's.
    pub fn ready_state(&self) -> ReadyState {
        self.link.ready_state()
    }

    /// The bytes that were sent but not yet accepted by the operating system. A message that waits behind a fragmented
    /// or a large compressed one counts for a few bytes more. Messages of topics that wait for room are not counted, see
    /// [`Topic`](crate::Topic).
    pub fn buffered_amount(&self) -> usize {
        self.link.buffered_amount()
    }

    /// The number of messages that were not sent on this connection for lack of room, without an error to any caller.
    /// These are messages that an [`Overflow`](crate::Overflow) policy drops, and messages of a [`Topic`](crate::Topic)
    /// under any policy.
    pub fn dropped(&self) -> u64 {
        self.link.dropped()
    }

    /// Subscribes the connection to a topic: it is sent all messages that are published there from now on, see
    /// [`Topic`]. Subscribing twice is the same as once. A closed connection is sent nothing. If the topic spans several
    /// nodes, await the result to know how far it reaches.
    pub fn subscribe(&self, topic: &Topic) -> Subscribing {
        self.link.subscribe(topic);
        Subscribing::new(topic.counted())
    }

    /// Sends the connection all messages of a topic that came after a position, and subscribes it. It misses none and gets
    /// none twice. If some of the messages are not kept any more, or if the topic has no history, none of them is sent, and
    /// [`Recovery::recovered`] is `false`. The connection is subscribed in both cases.
    ///
    /// The messages are sent even if there is no room for them, since their number is bounded by the topic's history. If the
    /// topic has an engine, it waits for that for at most ten seconds. Cancel safe: if it is dropped before it is done,
    /// nothing was sent and the connection is not subscribed.
    pub async fn subscribe_from(&self, topic: &Topic, position: Position) -> Recovery {
        let Some(named) = topic.table().named() else {
            self.link.subscribe(topic);
            return Recovery { recovered: false, replayed: 0, position: None };
        };
        // Somebody has to hear the topic, or the engine would not deliver it.
        let listening = topic.listen();
        named.fetch(position).await;
        let send = &mut |message: &Prepared| drop(self.link.send_prepared_promised(message.clone()));
        let recovery = named.recover(position, send, &mut || self.link.subscribe(topic));
        drop(listening);
        recovery
    }

    /// Ends the connection's subscription. It is still sent messages that were published before, and none after.
    pub fn unsubscribe(&self, topic: &Topic) {
        self.link.unsubscribe(topic);
    }

    /// Delivers no messages until [`Handle::resume`]. The peer has to wait once the buffers are full.
    pub fn pause(&self) {
        self.link.pause(true);
    }

    /// Delivers messages again.
    pub fn resume(&self) {
        self.link.pause(false);
    }

    /// The address of the peer's end of the transport. If there are proxies, it is that of the last one. `None` if the
    /// transport has no such address.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.link.remote_addr()
    }

    /// The number of the connection. No other connection has it, even after this one is closed.
    pub fn id(&self) -> ConnectionId {
        self.link.id()
    }

    /// Waits until the connection is closed, and its close event has been handled. Returns how it ended. Cancel safe.
    pub async fn closed(&self) -> Closed {
        poll_fn(|cx| self.link.poll_closed(cx)).await
    }

    /// Returns how the connection ended, from its close event on.
    pub fn outcome(&self) -> Option<Closed> {
        self.link.outcome()
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("id", &self.id().as_u64())
            .field("remote_addr", &self.remote_addr())
            .field("ready_state", &self.ready_state())
            .finish()
    }
}

/// Two handles are equal if they belong to the same connection.
impl PartialEq for Handle {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.link, &other.link)
    }
}

impl Eq for Handle {}

/// Hashes the [`id`](Handle::id), so that handles to one connection are one entry of a set or a map.
impl Hash for Handle {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl AsRef<Self> for Handle {
    fn as_ref(&self) -> &Self {
        self
    }
}

fn control_payload(payload: &[u8]) -> Result<Bytes, SendError> {
    if payload.len() > MAX_CONTROL_PAYLOAD {
        return Err(SendError::ControlTooLong(payload.len()));
    }
    Ok(Bytes::copy_from_slice(payload))
}
