//! A connection while one of its events is being handled: the view that handlers and listeners get.

use std::net::SocketAddr;
use std::sync::Arc;

use bytestring::ByteString;
use ropeway_proto::{CloseCode, CloseFrame, Connection as Core, MessageRef, ReadyState, SendError};
use tokio::time::Instant;

use crate::connection_id::ConnectionId;
#[cfg(unix)]
use crate::event_loop::{self, Publication, Subscriber};
use crate::handle::{Asked, Command, Handle, Link, with_commands};
use crate::overflow::{Overflow, too_slow};
#[cfg(unix)]
use crate::topic::Post;
use crate::topic::{Subscribing, Topic};

/// A connection while one of its events is being handled. All messages that are sent during one read leave in one
/// write.
///
/// To send later or from elsewhere, keep a [`Connection::handle`].
#[derive(Debug)]
pub struct Connection<'a> {
    core: &'a mut Core,
    link: &'a Arc<Link>,
}

impl<'a> Connection<'a> {
    pub(crate) fn new(core: &'a mut Core, link: &'a Arc<Link>) -> Self {
        Self { core, link }
    }

    /// Queues a message. It never waits.
    ///
    /// Fails unless the ready state is OPEN, or if `max_buffered` bytes wait. A reply to a message always finds room:
    /// while there is no room, no messages are delivered.
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<MessageRef<'m>>) -> Result<(), SendError> {
        self.catch_up();
        match self.core.send(message) {
            Ok(()) => Ok(()),
            Err(error) => self.overflow(error),
        }
    }

    /// Applies the overflow policy to a message for which there was no room.
    #[cold]
    fn overflow(&mut self, error: SendError) -> Result<(), SendError> {
        match (&error, self.link.overflow()) {
            (SendError::Full { .. }, overflow) if overflow.drops() => {
                self.link.note_dropped();
                Ok(())
            }
            (SendError::Full { .. }, Overflow::Close) => {
                self.close_as_too_slow();
                Err(error)
            }
            _ => Err(error),
        }
    }

    /// Queues a part of a message whose whole length need not be known. Other messages wait for the `last` part.
    pub fn send_fragment<'m>(&mut self, part: impl Into<MessageRef<'m>>, last: bool) -> Result<(), SendError> {
        self.catch_up();
        self.core.send_fragment(part, last)
    }

    /// Sends a ping of at most 125 bytes. The answer comes as [`Handler::on_pong`](crate::Handler::on_pong). To await
    /// the round-trip time, use [`Handle::ping`].
    pub fn ping(&mut self, payload: impl AsRef<[u8]>) -> Result<(), SendError> {
        self.core.ping(payload.as_ref())
    }

    /// Sends a pong of at most 125 bytes. Pings are answered automatically, unless `auto_pong` is off.
    pub fn pong(&mut self, payload: impl AsRef<[u8]>) -> Result<(), SendError> {
        self.core.pong(payload.as_ref())
    }

    /// Starts the closing handshake. The close frame goes behind all that is queued.
    ///
    /// Fails, and changes nothing, if the code cannot be sent or the reason has more than 123 bytes. 1005 cannot be
    /// sent: it means a close frame without a code, see [`close_without_code`](Connection::close_without_code).
    pub fn close(&mut self, code: impl Into<CloseCode>, reason: impl Into<ByteString>) -> Result<(), SendError> {
        self.catch_up();
        self.close_with(Some(&CloseFrame::new(code, reason)))
    }

    /// Starts the closing handshake with a close frame that has neither code nor reason. It goes behind all that is
    /// queued. The peer sees 1005 (RFC 6455 section 7.1.5).
    pub fn close_without_code(&mut self) {
        self.catch_up();
        // An empty close frame can always be sent.
        let _ = self.close_with(None);
    }

    fn close_with(&mut self, frame: Option<&CloseFrame>) -> Result<(), SendError> {
        self.core.close(frame, Instant::now().into_std())?;
        self.link.report(self.core.buffered_amount(), self.core.ready_state());
        Ok(())
    }

    fn close_as_too_slow(&mut self) {
        // This close frame can always be sent.
        let _ = self.close_with(Some(&too_slow()));
    }

    /// Answers the peer's close frame with the same code. If the peer has ended its half of the transport without a
    /// close frame, ends this half. The answer goes behind all that is queued. Does nothing if no answer is due. See
    /// [`Handler::on_peer_close`](crate::Handler::on_peer_close).
    pub fn answer_close(&mut self) {
        if self.core.is_unanswered() {
            self.catch_up();
            self.core.answer_close(Instant::now().into_std());
        }
    }

    /// Ends the connection at once, without a closing handshake. The queue is dropped.
    pub fn terminate(&mut self) {
        self.core.terminate();
    }

    /// Delivers no more messages until [`Handle::resume`]. The peer has to wait once the buffers are full.
    pub fn pause(&mut self) {
        self.link.pause(true);
    }

    /// Delivers no more messages until those that were delivered are taken.
    pub(crate) fn hold(&mut self) {
        self.link.hold(true);
    }

    /// Subscribes the connection to a topic: it is sent all messages that are published there from now on, see
    /// [`Topic`]. Subscribing twice is the same as once. If the topic spans several nodes, await the result in a task of
    /// your own to know how far it reaches.
    pub fn subscribe(&mut self, topic: &Topic) -> Subscribing {
        self.link.subscribe(topic);
        Subscribing::new(topic.counted())
    }

    /// Ends the connection's subscription. It is still sent messages that were published before, and none after.
    pub fn unsubscribe(&mut self, topic: &Topic) {
        self.link.unsubscribe(topic);
    }

    /// The ready state of the connection.
    pub fn ready_state(&self) -> ReadyState {
        self.core.ready_state()
    }

    /// The bytes that were sent but not yet accepted by the operating system. A message that waits behind a fragmented
    /// or a large compressed one counts for a few bytes more.
    pub fn buffered_amount(&self) -> usize {
        self.core.buffered_amount()
    }

    /// The number of messages that the connection was not sent for lack of room, see [`Handle::dropped`].
    pub fn dropped(&self) -> u64 {
        self.link.dropped()
    }

    /// The address of the peer's end of the transport. If there are proxies, it is that of the last one. `None` if the
    /// transport has no such address.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.link.remote_addr()
    }

    /// The number of the connection. No other connection has it.
    pub fn id(&self) -> ConnectionId {
        self.link.id()
    }

    /// Returns a handle to keep, to clone and to send with from anywhere.
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(self.link))
    }

    /// Runs the commands of handles, and sends the publications of this thread, so that both come before the next
    /// message of this event.
    #[inline]
    fn catch_up(&mut self) {
        self.run_commands();
        #[cfg(unix)]
        if event_loop::waits_here() {
            self.send_missed(u64::MAX);
        }
    }

    /// Queues messages of topics that wait for room, if there is room for them. Returns whether there is more to write.
    #[cold]
    pub(crate) fn send_waiting(&mut self) -> bool {
        let mut has_more = false;
        loop {
            // Earlier messages of the same topics may be among the commands.
            has_more |= self.link.has_commands();
            self.run_commands();
            if self.core.ready_state() != ReadyState::Open {
                self.link.drop_waiting();
                return has_more;
            }
            if self.core.buffered_amount() >= self.link.room_for_waiting() {
                return has_more;
            }
            let Some(message) = self.link.take_waiting() else { return has_more };
            // It is open.
            let _ = self.core.send_prepared_promised(&message);
            has_more = true;
        }
    }

    /// Runs the commands of handles.
    #[inline]
    pub(crate) fn run_commands(&mut self) {
        if self.link.has_commands() {
            self.run_commands_before(u64::MAX);
        }
    }

    fn run_commands_before(&mut self, publication: u64) {
        with_commands(|commands| {
            let delivered = self.link.take_commands(publication, commands);
            self.run_taken(commands, delivered);
        });
    }

    fn run_taken(&mut self, commands: &mut Vec<Asked>, mut delivered: u64) {
        for Asked { after, command } in commands.drain(..) {
            #[cfg(unix)]
            if after > delivered {
                self.send_missed(after);
            }
            delivered = delivered.max(after);
            // If this is refused, the connection has closed in the meantime, and its close event says so.
            let _ = match command {
                Command::Message(message) => self.core.send_promised(message),
                Command::Prepared(message) => self.core.send_prepared_promised(&message),
                Command::Fragment(part, last) => self.core.send_fragment(part, last),
                Command::Ping(payload) => self.core.ping(&payload),
                Command::Pong(payload) => self.core.pong(&payload),
                Command::Close(frame) => self.core.close(frame.as_ref(), Instant::now().into_std()),
                Command::AnswerClose => {
                    self.core.answer_close(Instant::now().into_std());
                    Ok(())
                }
                Command::Terminate => {
                    self.core.terminate();
                    Ok(())
                }
                #[cfg(unix)]
                Command::Unsubscribe(topic) => {
                    self.link.left(topic);
                    Ok(())
                }
            };
        }
    }
}

/// Topics, for connections that an event loop drives.
#[cfg(unix)]
impl Connection<'_> {
    /// Sends messages of a topic, each behind the commands that were given before it was published.
    pub(crate) fn send_published(&mut self, publications: &[Publication], to: Subscriber) {
        for publication in publications.iter().filter(|publication| to.hears(publication.number)) {
            if self.link.has_commands() {
                self.run_commands_before(publication.sequence);
            }
            self.send_publication(publication);
        }
    }

    /// Sends the publications up to a number, ahead of the loop's other connections.
    #[cold]
    fn send_missed(&mut self, up_to: u64) {
        for publication in self.link.missed(up_to) {
            self.send_publication(&publication);
        }
    }

    /// Sends a message of a topic. If there is no room for it, no caller can be told, so it is counted.
    fn send_publication(&mut self, publication: &Publication) {
        if publication.except.is_some_and(|id| id == self.link.id()) {
            return;
        }
        if self.link.has_waiting() && self.link.waits_for_room(publication.audience.number()) {
            return self.link.keep_waiting(&post(publication));
        }
        if let Err(SendError::Full { .. }) = self.core.send_prepared(&publication.message) {
            self.apply_policy(publication);
        }
    }

    /// Applies the overflow policy to a message of a topic for which there was no room.
    #[cold]
    fn apply_policy(&mut self, publication: &Publication) {
        let post = post(publication);
        let overflow = post.overflow(self.link.overflow());
        if overflow.waits() {
            return self.link.keep_waiting(&post);
        }
        self.link.note_dropped();
        if !overflow.drops() {
            self.close_as_too_slow();
        }
    }
}

#[cfg(unix)]
fn post(publication: &Publication) -> Post<'_> {
    let Publication { audience, message, key, .. } = publication;
    Post { message, key: key.as_ref(), topic: audience.number(), settings: audience.settings() }
}
