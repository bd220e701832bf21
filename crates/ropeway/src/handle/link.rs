//! What a connection and its [`Handle`](crate::Handle)s share: commands on their way in, and the figures on their way
//! out. One short lock; nothing of the user's runs under it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use ropeway_proto::{Broken, Cause, CloseFrame, Closed, Message, Prepared, ReadyState, SendError};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::command::{Asked, Command};
use super::identity::{ConnectionId, Identity};
use super::shared::Shared;
use super::sync::{AtomicBool, Mutex, MutexGuard, Ordering};
use super::traffic::Traffic;
use super::unread::{AHEAD, HELD, PAUSED, Unread};
#[cfg(unix)]
use crate::event_loop::{Mailbox, Publication};
use crate::log::{guarded, of_connection};
use crate::overflow::{Overflow, too_slow};
use crate::topic::{Member, Subscription, Topic};

/// The most commands that wait, so that empty messages are bounded too.
const MOST_COMMANDS: usize = 16 * 1024;

/// The meeting place. Every connection has one, so it is kept small: what only a busy one needs is apart.
#[derive(Debug)]
pub(crate) struct Link {
    shared: Mutex<Shared>,
    identity: Identity,
    /// [`UNLIMITED`], or less.
    max_buffered: u32,
    overflow: Overflow,
    /// Whether there are commands: asked without the lock, once an event.
    has_commands: AtomicBool,
    /// Why nothing is read for now: [`PAUSED`], [`HELD`] and [`AHEAD`], in one byte.
    unread: Unread,
}

/// Every connection at rest pays for each of these bytes: with the counts of its `Arc` it fills a block of the allocator's.
#[cfg(all(unix, target_pointer_width = "64", not(ropeway_loom)))]
const _: () = assert!(size_of::<Link>() <= 56);

/// Four gigabytes that wait for one peer are as good as no limit.
const UNLIMITED: u32 = u32::MAX;

impl Link {
    pub(crate) fn new(remote_addr: Option<SocketAddr>, max_buffered: usize, overflow: Overflow) -> Self {
        Self {
            shared: Mutex::new(Shared::new()),
            identity: Identity::new(remote_addr),
            max_buffered: u32::try_from(max_buffered).unwrap_or(UNLIMITED),
            overflow,
            has_commands: AtomicBool::new(false),
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
}

/// The handles' side.
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
        self.note_dropped_in(self.lock());
    }

    fn note_dropped_in(&self, mut shared: MutexGuard<'_, Shared>) {
        let buffered = shared.buffered_amount();
        let dropped = &mut shared.traffic().dropped;
        *dropped += 1;
        let is_first = *dropped == 1;
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

    /// Hands over a message, or does with it what the policy says.
    pub(crate) fn send(&self, message: Message) -> Result<(), SendError> {
        self.send_as(message.len(), Command::Message(message))
    }

    fn send_as(&self, length: usize, message: Command) -> Result<(), SendError> {
        let shared = self.lock();
        match (self.check_room(&shared), self.overflow) {
            (Err(SendError::Full { .. }), Overflow::Drop) => {
                self.note_dropped_in(shared);
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

    /// Hands over a message that was promised room before.
    pub(crate) fn send_promised(&self, message: Message) -> Result<(), SendError> {
        let shared = self.lock();
        shared.check_open()?;
        self.push_message(shared, message.len(), Command::Message(message));
        Ok(())
    }

    /// Hands over a message once there is room; until then `message` keeps it.
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

    /// Waits until all that was sent is the operating system's. An error says that the connection is over.
    pub(crate) fn poll_flushed(&self, cx: &Context<'_>) -> Poll<Result<(), SendError>> {
        let mut shared = self.lock();
        if shared.is_over {
            return Poll::Ready(Err(SendError::NotOpen(shared.state)));
        }
        // While it has its turn, it may hold what it has not told of.
        if shared.is_parked && !shared.has_commands() && shared.buffered_amount() == 0 {
            return Poll::Ready(Ok(()));
        }
        shared.wait(cx);
        Poll::Pending
    }

    /// Waits for the end, the close event included.
    pub(crate) fn poll_closed(&self, cx: &Context<'_>) -> Poll<Closed> {
        let mut shared = self.lock();
        if let Some(closed) = shared.outcome().filter(|_| shared.is_over) {
            return Poll::Ready(closed.clone());
        }
        shared.wait(cx);
        Poll::Pending
    }

    /// Waits until it is known how the connection ended. Its close event may yet have to be told.
    pub(crate) fn poll_outcome(&self, cx: &Context<'_>) -> Poll<Closed> {
        let mut shared = self.lock();
        if let Some(closed) = shared.outcome() {
            return Poll::Ready(closed.clone());
        }
        shared.wait(cx);
        Poll::Pending
    }

    /// How the connection ended, from its close event on.
    pub(crate) fn outcome(&self) -> Option<Closed> {
        self.lock().outcome().cloned()
    }

    /// Sends a ping. Returns where its round-trip time will be told.
    pub(crate) fn ping(&self, payload: Bytes) -> Result<oneshot::Receiver<Duration>, SendError> {
        let mut shared = self.lock();
        self.check_room(&shared)?;
        let answer = shared.traffic().seldom().pings.add(payload.clone());
        self.push(shared, Command::Ping(payload));
        Ok(answer)
    }

    /// Hands over anything else that needs room.
    pub(crate) fn command(&self, command: Command) -> Result<(), SendError> {
        let mut shared = self.lock();
        match (&command, self.check_room(&shared)) {
            // A message once begun has to be finished.
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
            Some(mailbox) => Subscription::on_loop(topic.table(), mailbox, shared.key),
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
            // Something that was published before may be on its way.
            if traffic.subscriptions.leave(topic.table()) {
                self.push(shared, Command::Unsubscribe(topic.table().id()));
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

    /// Answers the close frame of the peer, or the end of its half, behind all that was sent.
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

    /// Whether what was delivered waits to be taken.
    pub(crate) fn hold(&self, hold: bool) {
        if self.unread.set(HELD, hold) && !hold {
            self.lock().wake();
        }
    }

    /// Not read from until [`Link::caught_up`].
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

    fn has_room(&self, buffered: usize) -> bool {
        buffered < self.max_buffered as usize || self.max_buffered == UNLIMITED
    }

    fn push_close(&self, mut shared: MutexGuard<'_, Shared>, frame: Option<CloseFrame>) {
        // The connection knows whether its closing handshake has started. A broken transport alone looks the same from here.
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

/// The connection's side.
impl Link {
    /// Whether there are commands to take.
    #[inline]
    pub(crate) fn has_commands(&self) -> bool {
        self.has_commands.load(Ordering::Acquire)
    }

    /// The commands since last time, in order, in exchange for an empty list: those that come before the publication of this
    /// number. Returns up to which number the loop has sent publications to all connections.
    pub(crate) fn take_commands(&self, before: u64, commands: &mut Vec<Asked>) -> u64 {
        let mut shared = self.lock();
        #[cfg(unix)]
        let delivered = shared.mailbox.as_ref().map_or(0, |mailbox| mailbox.delivered());
        #[cfg(not(unix))]
        let delivered = 0;
        let Some(traffic) = &mut shared.traffic else {
            self.has_commands.store(false, Ordering::Relaxed);
            return delivered;
        };
        if traffic.commands.last().is_none_or(|last| last.after < before) {
            std::mem::swap(&mut traffic.commands, commands);
        } else {
            let count = traffic.commands.partition_point(|asked| asked.after < before);
            commands.extend(traffic.commands.drain(..count));
        }
        self.has_commands.store(!traffic.commands.is_empty(), Ordering::Relaxed);
        let taken = if traffic.commands.is_empty() {
            traffic.commands_bytes
        } else {
            commands.iter().map(|asked| asked.command.len()).sum()
        };
        // Until the connection reports its queue the bytes still count, as what it held.
        traffic.commands_bytes -= taken;
        traffic.buffered += taken;
        let publishers = std::mem::take(&mut traffic.publishers);
        drop(shared);
        publishers.into_iter().for_each(Waker::wake);
        delivered
    }

    /// What a connection on a loop has yet to be sent of what was published up to a number.
    #[cfg(unix)]
    pub(crate) fn missed(&self, up_to: u64) -> Vec<Publication> {
        let shared = self.lock();
        let (Some(mailbox), Some(traffic)) = (&shared.mailbox, &shared.traffic) else { return Vec::new() };
        if traffic.subscriptions.is_empty() {
            return Vec::new();
        }
        mailbox.missed(shared.key, up_to, |publication| traffic.subscriptions.hear(publication))
    }

    /// It was sent what was published before it unsubscribed from the topic of this number.
    #[cfg(unix)]
    pub(crate) fn left(&self, topic: u64) {
        let mut shared = self.lock();
        let subscription = shared.traffic.as_mut().and_then(|traffic| traffic.subscriptions.left(topic));
        drop(shared);
        subscription.into_iter().for_each(Subscription::end);
    }

    /// The connection is driven by the task of this waker.
    pub(crate) fn set_task(&self, waker: &Waker) {
        let mut shared = self.lock();
        let task = &mut shared.traffic().task;
        if !task.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }

    /// The connection is driven by the event loop of this mailbox, as this key.
    #[cfg(unix)]
    pub(crate) fn set_event_loop(&self, mailbox: &Arc<Mailbox>, key: usize) {
        let mut shared = self.lock();
        // A key is an open file, and there are fewer of those.
        shared.key = key as u32;
        shared.mailbox = Some(Arc::clone(mailbox));
        let moved = shared.traffic.as_mut().map(|traffic| traffic.subscriptions.move_to_loop(mailbox, key as u32));
        drop(shared);
        drop(moved);
    }

    /// A pong came. Tells the round-trip time of the pings that it answers.
    pub(crate) fn pong(&self, payload: &[u8]) {
        let mut shared = self.lock();
        let Some(traffic) = &mut shared.traffic else { return };
        let Some(seldom) = &mut traffic.seldom else { return };
        let answered = seldom.pings.answered_by(payload);
        traffic.forget_seldom();
        drop(shared);
        let now = Instant::now();
        for ping in answered {
            ping.tell(now);
        }
    }

    /// The transport broke: nothing can be sent any more. The first error is kept for the end.
    pub(crate) fn report_broken(&self, error: io::Error) {
        let mut shared = self.lock();
        shared.traffic().seldom().broken.get_or_insert_with(|| error.into());
        self.report_in(shared, 0, ReadyState::Closing);
    }

    /// Takes the error with which the transport broke, if it did.
    pub(crate) fn take_broken(&self) -> Option<Broken> {
        let mut shared = self.lock();
        let traffic = shared.traffic.as_mut()?;
        let broken = traffic.seldom.as_mut()?.broken.take();
        traffic.forget_seldom();
        broken
    }

    /// The connection has ended like this, and its close event comes next. Nothing is sent any more; those that await the end wait
    /// until the event was told.
    pub(crate) fn report_outcome(&self, closed: Closed) {
        let mut shared = self.lock();
        shared.traffic().seldom().outcome.get_or_insert(closed);
        self.report_in(shared, 0, ReadyState::Closed);
    }

    /// Reports what the connection holds, and its state.
    pub(crate) fn report(&self, buffered: usize, state: ReadyState) {
        self.report_in(self.lock(), buffered, state);
    }

    /// Reports and parks. Returns `false` without parking if a command has come, or if the reasons not to read that the caller acted on
    /// (`was_unread`) are gone: the connection then goes on.
    pub(crate) fn park(&self, buffered: usize, state: ReadyState, was_unread: bool, is_broken: bool) -> bool {
        let mut shared = self.lock();
        // Of a stream that is broken the rest is read, though what was delivered is not taken.
        let reasons = if is_broken { PAUSED | AHEAD } else { PAUSED | AHEAD | HELD };
        let is_wanted = was_unread && !self.unread.has(reasons);
        if shared.has_commands() || is_wanted {
            return false;
        }
        shared.is_parked = true;
        self.report_in(shared, buffered, state);
        true
    }

    /// Tells that the connection is over, and forgets what it never saw.
    pub(crate) fn end(&self) {
        let mut shared = self.lock();
        shared.is_over = true;
        let traffic = shared.traffic();
        traffic.commands_bytes = 0;
        let commands = std::mem::take(&mut traffic.commands);
        let subscriptions = std::mem::take(&mut traffic.subscriptions);
        let publishers = std::mem::take(&mut traffic.publishers);
        let seldom = traffic.seldom();
        // It is known already, unless the connection went by a panic that was not a handler's.
        seldom.outcome.get_or_insert_with(|| Closed::abnormal(Cause::Abandoned));
        let pings = std::mem::take(&mut seldom.pings);
        self.report_in(shared, 0, ReadyState::Closed);
        publishers.into_iter().for_each(Waker::wake);
        // What they hold or wake may be the user's, so they go when the lock has.
        drop((commands, pings));
        subscriptions.end();
    }

    fn report_in(&self, mut shared: MutexGuard<'_, Shared>, buffered: usize, state: ReadyState) {
        shared.state = shared.state.max(state);
        if buffered > 0 {
            shared.traffic();
        }
        let Some(traffic) = &mut shared.traffic else { return };
        traffic.buffered = buffered;
        let is_over = state > ReadyState::Open;
        let waiting = if is_over || self.has_room(traffic.buffered_amount()) {
            std::mem::take(&mut traffic.waiting)
        } else {
            Vec::new()
        };
        let idle = if traffic.is_idle() { shared.traffic.take() } else { None };
        drop(shared);
        if let Some(traffic) = idle {
            traffic.keep();
        }
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Whether it holds nothing but itself.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.lock().traffic.is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A link wakes its connection where that waits as a publisher.
impl std::task::Wake for Link {
    fn wake(self: Arc<Self>) {
        self.caught_up();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.caught_up();
    }
}

/// A subscriber, where no event loop drives the connection.
impl Member for Link {
    fn publish(&self, message: Prepared, policy: Option<Overflow>) -> bool {
        let shared = self.lock();
        match self.check_room(&shared) {
            Ok(()) => {
                let is_late = shared.traffic.as_ref().is_some_and(|traffic| traffic.is_late());
                self.push_message(shared, message.message().len(), Command::Prepared(message));
                return is_late;
            }
            Err(SendError::Full { .. }) => {
                self.note_dropped_in(shared);
                if policy.unwrap_or(self.overflow) != Overflow::Drop {
                    self.push_close(self.lock(), Some(too_slow()));
                }
            }
            // One that is closing does without.
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
