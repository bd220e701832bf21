//! The state that a connection shares with its [`Handle`](crate::Handle)s: commands for the connection, and figures
//! about it. It has one short lock, and none of the user's code runs under it.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use ropeway_proto::{CloseFrame, Closed, Message, Prepared, ReadyState, SendError};
use tokio::sync::oneshot;

use super::command::{Asked, Command};
use super::identity::Identity;
use super::shared::Shared;
use super::sync::{AtomicBool, Mutex, MutexGuard, Ordering};
use super::traffic::Traffic;
use super::unread::{AHEAD, HELD, PAUSED, Unread};
use crate::connection_id::ConnectionId;
use crate::log::{guarded, of_connection};
use crate::overflow::{Overflow, too_slow};
use crate::topic::{Member, Post, Subscription, Topic};

/// The most commands that may wait, so that empty messages are bounded too.
const MOST_COMMANDS: usize = 16 * 1024;

/// The meeting place of a connection and its handles. Every connection has one, so it is small: state that only a busy
/// connection needs is in a box.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) shared: Mutex<Shared>,
    identity: Identity,
    /// At most [`UNLIMITED`].
    pub(super) max_buffered: u32,
    overflow: Overflow,
    /// Whether there are commands. It is read without the lock, once an event.
    pub(super) has_commands: AtomicBool,
    /// Whether messages of topics wait for room. It changes under the lock, and is read without it by the connection.
    pub(super) has_waiting: AtomicBool,
    /// The reasons why nothing is read at present: [`PAUSED`], [`HELD`] and [`AHEAD`], in one byte.
    pub(super) unread: Unread,
}

/// Every connection at rest costs these bytes. With the counts of its `Arc` they fill a block of the allocator.
#[cfg(all(unix, target_pointer_width = "64", not(ropeway_loom)))]
const _: () = assert!(size_of::<Link>() <= 56);

/// Four gigabytes that wait for one peer are the same as no limit.
const UNLIMITED: u32 = u32::MAX;

impl Link {
    pub(crate) fn new(remote_addr: Option<SocketAddr>, max_buffered: usize, overflow: Overflow) -> Self {
        Self {
            shared: Mutex::new(Shared::new()),
            identity: Identity::new(remote_addr),
            max_buffered: u32::try_from(max_buffered).unwrap_or(UNLIMITED),
            overflow,
            has_commands: AtomicBool::new(false),
            has_waiting: AtomicBool::new(false),
            unread: Unread::new(),
        }
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.identity.id()
    }

    pub(crate) fn remote_addr(&self) -> Option<SocketAddr> {
        self.identity.remote_addr()
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.unread.has(PAUSED)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.unread.has(HELD)
    }

    pub(crate) fn is_ahead(&self) -> bool {
        self.unread.has(AHEAD)
    }

    pub(crate) fn overflow(&self) -> Overflow {
        self.overflow
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For the handles.
impl Link {
    pub(crate) fn ready_state(&self) -> ReadyState {
        self.lock().state
    }

    pub(crate) fn buffered_amount(&self) -> usize {
        self.lock().buffered_amount()
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.lock().traffic.as_ref().map_or(0, |traffic| traffic.dropped)
    }

    /// Counts a message that was dropped for lack of room, and logs the first.
    pub(crate) fn note_dropped(&self) {
        self.note_dropped_in(self.lock(), 1);
    }

    pub(super) fn note_dropped_in(&self, mut shared: MutexGuard<'_, Shared>, count: usize) {
        if count == 0 {
            return;
        }
        let buffered = shared.buffered_amount();
        let dropped = &mut shared.traffic().dropped;
        let is_first = *dropped == 0;
        *dropped += count as u64;
        drop(shared);
        if is_first {
            guarded(|| {
                of_connection!(
                    warn,
                    self,
                    buffered,
                    "a message was dropped, since the peer reads more slowly than it is sent to; further ones are only counted"
                );
            });
        }
    }

    /// Queues a message, or does with it what the policy says.
    pub(crate) fn send(&self, message: Message) -> Result<(), SendError> {
        self.send_as(message.len(), Command::Message(message))
    }

    fn send_as(&self, length: usize, message: Command) -> Result<(), SendError> {
        let shared = self.lock();
        match (self.check_room(&shared), self.overflow) {
            (Err(SendError::Full { .. }), overflow) if overflow.drops() => {
                self.note_dropped_in(shared, 1);
                Ok(())
            }
            (Err(full @ SendError::Full { .. }), Overflow::Close) => {
                self.push_close(shared, Some(too_slow()));
                Err(full)
            }
            (Err(error), _) => Err(error),
            (Ok(()), _) => {
                self.push_message(shared, length, message);
                Ok(())
            }
        }
    }

    /// Queues a message that was promised room before.
    pub(crate) fn send_promised(&self, message: Message) -> Result<(), SendError> {
        let shared = self.lock();
        shared.check_open()?;
        self.push_message(shared, message.len(), Command::Message(message));
        Ok(())
    }

    /// Queues a message of a topic that was promised room before.
    pub(crate) fn send_prepared_promised(&self, message: Prepared) -> Result<(), SendError> {
        let shared = self.lock();
        shared.check_open()?;
        self.push_message(shared, message.message().len(), Command::Prepared(message));
        Ok(())
    }

    /// Queues a message once there is room. Until then it stays in `message`.
    pub(crate) fn poll_send(&self, cx: &Context<'_>, message: &mut Option<Message>) -> Poll<Result<(), SendError>> {
        let mut shared = self.lock();
        match self.check_room(&shared) {
            Err(SendError::Full { .. }) => {
                shared.wait(cx);
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
            Ok(()) => {
                if let Some(message) = message.take() {
                    self.push_message(shared, message.len(), Command::Message(message));
                }
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Waits for room.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_send(cx, &mut None)
    }

    /// Waits until the operating system has all that was sent. An error means that the connection is over.
    pub(crate) fn poll_flushed(&self, cx: &Context<'_>) -> Poll<Result<(), SendError>> {
        let mut shared = self.lock();
        if shared.is_over {
            // After a clean end everything was written: each side's close frame goes behind its queue.
            let is_clean = shared.outcome().is_some_and(|closed| closed.clean);
            return Poll::Ready(if is_clean { Ok(()) } else { Err(SendError::NotOpen(shared.state)) });
        }
        // During its turn, the connection may hold bytes that it has not reported yet.
        if shared.is_parked && !shared.has_commands() && shared.buffered_amount() == 0 {
            return Poll::Ready(Ok(()));
        }
        shared.wait(cx);
        Poll::Pending
    }

    /// Waits until the connection is over, and its close event was handled.
    pub(crate) fn poll_closed(&self, cx: &Context<'_>) -> Poll<Closed> {
        let mut shared = self.lock();
        if let Some(closed) = shared.outcome().filter(|_| shared.is_over) {
            return Poll::Ready(closed.clone());
        }
        shared.wait(cx);
        Poll::Pending
    }

    /// Waits until it is known how the connection ended. Its close event may still have to be handled.
    pub(crate) fn poll_outcome(&self, cx: &Context<'_>) -> Poll<Closed> {
        let mut shared = self.lock();
        if let Some(closed) = shared.outcome() {
            return Poll::Ready(closed.clone());
        }
        shared.wait(cx);
        Poll::Pending
    }

    /// Returns how the connection ended, from its close event on.
    pub(crate) fn outcome(&self) -> Option<Closed> {
        self.lock().outcome().cloned()
    }

    /// Sends a ping. Returns the receiver of its round-trip time.
    pub(crate) fn ping(&self, payload: Bytes) -> Result<oneshot::Receiver<Duration>, SendError> {
        let mut shared = self.lock();
        self.check_room(&shared)?;
        let (answer, cancelled) = shared.traffic().seldom().pings.add(payload.clone());
        self.push(shared, Command::Ping(payload));
        drop(cancelled);
        Ok(answer)
    }

    /// Queues any other command that needs room.
    pub(crate) fn command(&self, command: Command) -> Result<(), SendError> {
        let mut shared = self.lock();
        match (&command, self.check_room(&shared)) {
            // A message that has begun has to be finished.
            (Command::Fragment(part, _), Ok(()) | Err(SendError::Full { .. })) => {
                shared.traffic().commands_bytes += part.len();
            }
            (_, room) => room?,
        }
        self.push(shared, command);
        Ok(())
    }

    pub(crate) fn subscribe(self: &Arc<Self>, topic: &Topic) {
        let mut shared = self.lock();
        let is_known = |traffic: &Traffic| traffic.subscriptions.contains(topic.table());
        if shared.is_over || shared.traffic.as_deref().is_some_and(is_known) {
            return;
        }
        #[cfg(unix)]
        let subscription = match &shared.mailbox {
            Some(mailbox) => Subscription::on_loop(topic.table(), self.id(), mailbox, shared.key),
            None => Subscription::of_member(topic.table(), Arc::clone(self) as Arc<dyn Member>),
        };
        #[cfg(not(unix))]
        let subscription = Subscription::of_member(topic.table(), Arc::clone(self) as Arc<dyn Member>);
        shared.traffic().subscriptions.insert(subscription);
    }

    pub(crate) fn unsubscribe(&self, topic: &Topic) {
        let mut shared = self.lock();
        #[cfg(unix)]
        let may_be_behind = shared.mailbox.as_ref().is_some_and(|mailbox| mailbox.published() != mailbox.delivered());
        let Some(traffic) = &mut shared.traffic else { return };
        #[cfg(unix)]
        if may_be_behind {
            // Messages that were published before may be on their way.
            if traffic.subscriptions.leave(topic.table()) {
                self.push(shared, Command::Unsubscribe(topic.table().address()));
            }
            return;
        }
        let subscription = traffic.subscriptions.remove(topic.table());
        drop(shared);
        subscription.into_iter().for_each(Subscription::end);
    }

    pub(crate) fn close(&self, frame: Option<CloseFrame>) {
        self.push_close(self.lock(), frame);
    }

    /// Answers the peer's close frame, or the end of its half, behind all that was sent.
    pub(crate) fn answer_close(&self) {
        let mut shared = self.lock();
        if shared.state == ReadyState::Open {
            shared.state = ReadyState::Closing;
            self.push(shared, Command::AnswerClose);
        }
    }

    pub(crate) fn terminate(&self) {
        let mut shared = self.lock();
        if shared.state != ReadyState::Closed {
            shared.state = ReadyState::Closing;
            self.push(shared, Command::Terminate);
        }
    }

    pub(crate) fn pause(&self, pause: bool) {
        if self.unread.set(PAUSED, pause) && !pause {
            self.lock().wake();
        }
    }

    /// Sets whether messages that were delivered wait to be taken.
    pub(crate) fn hold(&self, hold: bool) {
        if self.unread.set(HELD, hold) && !hold {
            self.lock().wake();
        }
    }

    /// Stops reading until [`Link::caught_up`].
    pub(crate) fn set_ahead(&self) {
        self.unread.set(AHEAD, true);
    }

    pub(crate) fn caught_up(&self) {
        if self.unread.set(AHEAD, false) {
            self.lock().wake();
        }
    }

    fn check_room(&self, shared: &Shared) -> Result<(), SendError> {
        shared.check_open()?;
        let buffered = shared.buffered_amount();
        if self.has_room(buffered) && shared.commands() < MOST_COMMANDS {
            Ok(())
        } else {
            Err(SendError::Full { buffered })
        }
    }

    pub(super) fn has_room(&self, buffered: usize) -> bool {
        buffered < self.max_buffered as usize || self.max_buffered == UNLIMITED
    }

    fn push_close(&self, mut shared: MutexGuard<'_, Shared>, frame: Option<CloseFrame>) {
        // CLOSING may mean that the closing handshake has started, or only that the transport broke. The connection can
        // tell them apart, so it gets the command in both cases.
        if shared.state != ReadyState::Closed {
            shared.state = ReadyState::Closing;
            self.push(shared, Command::Close(frame));
        }
    }

    fn push_message(&self, mut shared: MutexGuard<'_, Shared>, length: usize, message: Command) {
        shared.traffic().commands_bytes += length;
        self.push(shared, message);
    }

    fn push(&self, mut shared: MutexGuard<'_, Shared>, command: Command) {
        #[cfg(unix)]
        let after = shared.mailbox.as_ref().map_or(0, |mailbox| mailbox.published());
        #[cfg(not(unix))]
        let after = 0;
        shared.traffic().commands.push(Asked { after, command });
        self.has_commands.store(true, Ordering::Release);
        shared.wake();
    }
}

/// A link wakes its connection if that waits as a publisher.
impl std::task::Wake for Link {
    fn wake(self: Arc<Self>) {
        self.caught_up();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.caught_up();
    }
}

/// A subscriber that no event loop drives.
impl Member for Link {
    fn id(&self) -> ConnectionId {
        self.id()
    }

    fn publish(&self, post: &Post<'_>) -> bool {
        let shared = self.lock();
        match self.check_room(&shared) {
            // Messages of a topic stay in order.
            Ok(()) if shared.waits_for_room(post.topic) => self.keep_waiting_in(shared, post),
            Ok(()) => {
                let is_late = shared.traffic.as_ref().is_some_and(|traffic| traffic.is_late());
                self.push_message(shared, post.len(), Command::Prepared(post.message.clone()));
                return is_late;
            }
            Err(SendError::Full { .. }) if post.overflow(self.overflow).waits() => self.keep_waiting_in(shared, post),
            Err(SendError::Full { .. }) => {
                self.note_dropped_in(shared, 1);
                if !post.overflow(self.overflow).drops() {
                    self.push_close(self.lock(), Some(too_slow()));
                }
            }
            // A connection that is closing does not get it.
            Err(_) => {}
        }
        false
    }

    fn wait_for_turn(&self, publisher: &Waker) -> bool {
        let mut shared = self.lock();
        let Some(traffic) = shared.traffic.as_mut().filter(|traffic| traffic.is_late()) else { return true };
        if !traffic.publishers.iter().any(|known| known.will_wake(publisher)) {
            traffic.publishers.push(publisher.clone());
        }
        false
    }
}
