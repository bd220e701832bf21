//! What a connection and its [`Sender`](crate::Sender)s share: commands on their way in, and the figures on their way
//! out. One short lock; nothing of the user's runs under it.

use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
#[cfg(unix)]
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use ropeway_proto::{CloseCode, CloseFrame, Message, Prepared, ReadyState, SendError};

#[cfg(unix)]
use crate::event_loop::Mailbox;
use crate::topic::{Subscription, Topic};
use crate::traffic::Traffic;

/// What happens to a message for which there is no room, because the peer reads more slowly than it is sent to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// Sending it fails with [`SendError::Full`], and the sender decides. The default.
    #[default]
    Refuse,
    /// It is dropped and counted; sending it succeeds. Right for values that the next message makes stale.
    Drop,
    /// The connection is closed with 1013, try again later.
    Close,
}

/// What a sender asks of the connection.
#[derive(Debug)]
pub(crate) enum Command {
    Message(Message),
    /// A message that others are sent too.
    Prepared(Prepared),
    /// A part of a message, and whether it is the last.
    Fragment(Message, bool),
    Ping(Bytes),
    Pong(Bytes),
    Close(Option<CloseFrame>),
    /// Answer the peer's close frame, or the end of its half of the transport.
    AnswerClose,
    Terminate,
}

/// The meeting place. Every connection has one, so it is kept small: what only a busy one needs is apart.
#[derive(Debug)]
pub(crate) struct Link {
    shared: Mutex<Shared>,
    remote_addr: Addr,
    /// [`UNLIMITED`], or less.
    max_buffered: u32,
    overflow: Overflow,
    /// Whether there are commands: asked without the lock, once an event.
    has_commands: AtomicBool,
    /// Whether the user wants nothing delivered for now.
    paused: AtomicBool,
    /// Whether what was delivered waits to be taken, and nothing more has room.
    held: AtomicBool,
}

/// Four gigabytes that wait for one peer are as good as no limit.
const UNLIMITED: u32 = u32::MAX;

/// An address in two words.
#[derive(Debug)]
enum Addr {
    Unknown,
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
}

#[derive(Debug)]
struct Shared {
    state: ReadyState,
    /// Whether the connection waits; nobody need wake it while it has its turn.
    is_parked: bool,
    /// Whether it is over, the close event included.
    is_over: bool,
    /// What the event loop knows it by.
    key: u32,
    /// The event loop that drives it, if one does.
    #[cfg(unix)]
    mailbox: Option<Arc<Mailbox>>,
    /// Nothing where nothing waits, in either direction.
    traffic: Option<Box<Traffic>>,
}

impl Link {
    pub(crate) fn new(remote_addr: Option<SocketAddr>, max_buffered: usize, overflow: Overflow) -> Self {
        Self {
            shared: Mutex::new(Shared {
                state: ReadyState::Open,
                is_parked: false,
                is_over: false,
                key: 0,
                #[cfg(unix)]
                mailbox: None,
                traffic: None,
            }),
            remote_addr: match remote_addr {
                None => Addr::Unknown,
                Some(SocketAddr::V4(addr)) => Addr::V4(addr),
                Some(SocketAddr::V6(addr)) => Addr::V6(Box::new(addr)),
            },
            max_buffered: u32::try_from(max_buffered).unwrap_or(UNLIMITED),
            overflow,
            has_commands: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            held: AtomicBool::new(false),
        }
    }

    pub(crate) fn remote_addr(&self) -> Option<SocketAddr> {
        match &self.remote_addr {
            Addr::Unknown => None,
            Addr::V4(addr) => Some(SocketAddr::V4(*addr)),
            Addr::V6(addr) => Some(SocketAddr::V6(**addr)),
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    pub(crate) fn overflow(&self) -> Overflow {
        self.overflow
    }
}

/// The senders' side.
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

    pub(crate) fn note_dropped(&self) {
        self.lock().traffic().dropped += 1;
    }

    /// Hands over a message, or does with it what the policy says.
    pub(crate) fn send(&self, message: Message) -> Result<(), SendError> {
        self.send_as(message.len(), Command::Message(message))
    }

    /// The same for a message that others are sent too.
    pub(crate) fn send_prepared(&self, message: Prepared) -> Result<(), SendError> {
        self.send_as(message.message().len(), Command::Prepared(message))
    }

    fn send_as(&self, length: usize, message: Command) -> Result<(), SendError> {
        let mut shared = self.lock();
        match (self.check_room(&shared), self.overflow) {
            (Err(SendError::Full { .. }), Overflow::Drop) => {
                shared.traffic().dropped += 1;
                Ok(())
            }
            (Err(full @ SendError::Full { .. }), Overflow::Close) => {
                let frame = CloseFrame::new(CloseCode::TRY_AGAIN_LATER, "the write queue is full");
                self.push_close(shared, Some(frame));
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
        check_open(&shared)?;
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

    /// Waits for the end.
    pub(crate) fn poll_closed(&self, cx: &Context<'_>) -> Poll<()> {
        let mut shared = self.lock();
        if shared.is_over {
            return Poll::Ready(());
        }
        shared.wait(cx);
        Poll::Pending
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
        let is_known = |traffic: &Traffic| traffic.subscriptions.iter().any(|subscription| subscription.is_of(topic));
        if shared.is_over || shared.traffic.as_deref().is_some_and(is_known) {
            return;
        }
        #[cfg(unix)]
        let subscription = match &shared.mailbox {
            Some(mailbox) => topic.admit_on_loop(mailbox, shared.key),
            None => topic.admit(Arc::clone(self)),
        };
        #[cfg(not(unix))]
        let subscription = topic.admit(Arc::clone(self));
        shared.traffic().subscriptions.push(subscription);
    }

    pub(crate) fn unsubscribe(&self, topic: &Topic) {
        let mut shared = self.lock();
        let Some(traffic) = &mut shared.traffic else { return };
        if let Some(index) = traffic.subscriptions.iter().position(|subscription| subscription.is_of(topic)) {
            let subscription = traffic.subscriptions.swap_remove(index);
            drop(shared);
            subscription.end();
        }
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
        if self.paused.swap(pause, Ordering::Relaxed) && !pause {
            self.lock().wake();
        }
    }

    /// Whether what was delivered waits to be taken.
    pub(crate) fn hold(&self, hold: bool) {
        if self.held.swap(hold, Ordering::Relaxed) && !hold {
            self.lock().wake();
        }
    }

    fn check_room(&self, shared: &Shared) -> Result<(), SendError> {
        check_open(shared)?;
        let buffered = shared.buffered_amount();
        if self.has_room(buffered) { Ok(()) } else { Err(SendError::Full { buffered }) }
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
        shared.traffic().commands.push(command);
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

    /// The commands since last time, in order, in exchange for an empty list.
    pub(crate) fn take_commands(&self, commands: &mut Vec<Command>) {
        let mut shared = self.lock();
        self.has_commands.store(false, Ordering::Relaxed);
        let Some(traffic) = &mut shared.traffic else { return };
        // Until the connection reports its queue the bytes still count, as what it held.
        traffic.buffered += std::mem::take(&mut traffic.commands_bytes);
        std::mem::swap(&mut traffic.commands, commands);
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
        for subscription in shared.traffic.iter_mut().flat_map(|traffic| &mut traffic.subscriptions) {
            subscription.move_to_loop(mailbox, key as u32);
        }
    }

    /// Reports what the connection holds, and its state.
    pub(crate) fn report(&self, buffered: usize, state: ReadyState) {
        self.report_in(self.lock(), buffered, state);
    }

    /// The same, and waits to be woken, unless there is something to do: then the connection has to go on. `was_paused` is
    /// what it acted on.
    pub(crate) fn park(&self, buffered: usize, state: ReadyState, was_paused: bool) -> bool {
        let mut shared = self.lock();
        if shared.has_commands() || (was_paused && !self.is_paused() && !self.is_held()) {
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
        let (commands, subscriptions) = shared.traffic.as_mut().map_or_else(Default::default, |traffic| {
            traffic.commands_bytes = 0;
            (std::mem::take(&mut traffic.commands), std::mem::take(&mut traffic.subscriptions))
        });
        self.report_in(shared, 0, ReadyState::Closed);
        // What they hold may be the user's, so they go when the lock has.
        drop(commands);
        subscriptions.into_iter().for_each(Subscription::end);
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

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn traffic(&mut self) -> &mut Traffic {
        self.traffic.get_or_insert_with(Traffic::spare)
    }

    fn has_commands(&self) -> bool {
        self.traffic.as_ref().is_some_and(|traffic| !traffic.commands.is_empty())
    }

    fn buffered_amount(&self) -> usize {
        self.traffic.as_ref().map_or(0, |traffic| traffic.buffered_amount())
    }

    /// Wakes the connection if it waits. None of the user's code runs here, so this may be done under the lock.
    fn wake(&mut self) {
        if !std::mem::take(&mut self.is_parked) {
            return;
        }
        #[cfg(unix)]
        if let Some(mailbox) = &self.mailbox {
            return mailbox.call(self.key as usize);
        }
        if let Some(task) = self.traffic.as_ref().and_then(|traffic| traffic.task.as_ref()) {
            task.wake_by_ref();
        }
    }

    fn wait(&mut self, cx: &Context<'_>) {
        let waiting = &mut self.traffic().waiting;
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
    }
}

fn check_open(shared: &Shared) -> Result<(), SendError> {
    if shared.state == ReadyState::Open { Ok(()) } else { Err(SendError::NotOpen(shared.state)) }
}
