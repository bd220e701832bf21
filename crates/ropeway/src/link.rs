//! What a connection's task and its [`Sender`](crate::Sender)s share: commands on their way in, and the figures on their way
//! out. One short lock; nothing of the user's runs under it.

use std::net::SocketAddr;
#[cfg(unix)]
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use ropeway_proto::{CloseCode, CloseFrame, Message, ReadyState, SendError};

#[cfg(unix)]
use crate::event_loop::Mailbox;

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

/// What a sender asks of the connection's task.
#[derive(Debug)]
pub(crate) enum Command {
    Message(Message),
    /// A part of a message, and whether it is the last.
    Fragment(Message, bool),
    Ping(Bytes),
    Pong(Bytes),
    Close(Option<CloseFrame>),
    Terminate,
}

/// The meeting place.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) remote_addr: Option<SocketAddr>,
    /// Whether there are commands: asked without the lock, once an event.
    has_commands: AtomicBool,
    /// Whether the user wants nothing delivered for now.
    paused: AtomicBool,
    max_buffered: usize,
    overflow: Overflow,
    shared: Mutex<Shared>,
}

#[derive(Debug)]
struct Shared {
    commands: Vec<Command>,
    /// Payload bytes among the commands.
    commands_bytes: usize,
    /// What the connection's own queue held when its task last looked.
    buffered: usize,
    state: ReadyState,
    /// Who drives the connection.
    driven_by: DrivenBy,
    /// Whether the connection waits; nobody need wake it while it has its turn.
    is_parked: bool,
    /// Whether the task has ended, the close event included.
    is_over: bool,
    /// Senders that wait for room, or for the end.
    waiting: Vec<Waker>,
    dropped: u64,
}

/// Who drives a connection, to be told of commands.
#[derive(Debug)]
enum DrivenBy {
    /// Nobody yet: whoever comes looks for commands first.
    Nobody,
    Task(Waker),
    #[cfg(unix)]
    EventLoop {
        mailbox: Arc<Mailbox>,
        key: usize,
    },
}

impl Link {
    pub(crate) fn new(remote_addr: Option<SocketAddr>, max_buffered: usize, overflow: Overflow) -> Self {
        Self {
            remote_addr,
            has_commands: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            max_buffered,
            overflow,
            shared: Mutex::new(Shared {
                commands: Vec::new(),
                commands_bytes: 0,
                buffered: 0,
                state: ReadyState::Open,
                driven_by: DrivenBy::Nobody,
                is_parked: false,
                is_over: false,
                waiting: Vec::new(),
                dropped: 0,
            }),
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
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
        self.lock().dropped
    }

    pub(crate) fn note_dropped(&self) {
        self.lock().dropped += 1;
    }

    /// Hands over a message, or does with it what the policy says.
    pub(crate) fn send(&self, message: Message) -> Result<(), SendError> {
        let mut shared = self.lock();
        match (self.check_room(&shared), self.overflow) {
            (Err(SendError::Full { .. }), Overflow::Drop) => {
                shared.dropped += 1;
                Ok(())
            }
            (Err(full @ SendError::Full { .. }), Overflow::Close) => {
                let frame = CloseFrame::new(CloseCode::TRY_AGAIN_LATER, "the write queue is full");
                self.push_close(shared, Some(frame));
                Err(full)
            }
            (Err(error), _) => Err(error),
            (Ok(()), _) => {
                self.push_message(shared, message);
                Ok(())
            }
        }
    }

    /// Hands over a message that was promised room before.
    pub(crate) fn send_promised(&self, message: Message) -> Result<(), SendError> {
        let shared = self.lock();
        check_open(&shared)?;
        self.push_message(shared, message);
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
                    self.push_message(shared, message);
                }
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Waits for room.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_send(cx, &mut None)
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
            (Command::Fragment(part, _), Ok(()) | Err(SendError::Full { .. })) => shared.commands_bytes += part.len(),
            (_, room) => room?,
        }
        self.push(shared, command);
        Ok(())
    }

    pub(crate) fn close(&self, frame: Option<CloseFrame>) {
        self.push_close(self.lock(), frame);
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

    fn check_room(&self, shared: &Shared) -> Result<(), SendError> {
        check_open(shared)?;
        let buffered = shared.buffered_amount();
        if buffered >= self.max_buffered { Err(SendError::Full { buffered }) } else { Ok(()) }
    }

    fn push_close(&self, mut shared: MutexGuard<'_, Shared>, frame: Option<CloseFrame>) {
        // The connection knows whether its closing handshake has started. A broken transport alone looks the same from here.
        if shared.state != ReadyState::Closed {
            shared.state = ReadyState::Closing;
            self.push(shared, Command::Close(frame));
        }
    }

    fn push_message(&self, mut shared: MutexGuard<'_, Shared>, message: Message) {
        shared.commands_bytes += message.len();
        self.push(shared, Command::Message(message));
    }

    fn push(&self, mut shared: MutexGuard<'_, Shared>, command: Command) {
        shared.commands.push(command);
        self.has_commands.store(true, Ordering::Release);
        shared.wake();
    }
}

/// The task's side.
impl Link {
    /// Whether there are commands to take.
    #[inline]
    pub(crate) fn has_commands(&self) -> bool {
        self.has_commands.load(Ordering::Acquire)
    }

    /// The commands since last time, in order.
    pub(crate) fn take_commands(&self) -> Vec<Command> {
        let mut shared = self.lock();
        self.has_commands.store(false, Ordering::Relaxed);
        // Until the task reports its queue the bytes still count, as what it held.
        shared.buffered += std::mem::take(&mut shared.commands_bytes);
        std::mem::take(&mut shared.commands)
    }

    /// The connection is driven by the task of this waker.
    pub(crate) fn set_task(&self, waker: &Waker) {
        let mut shared = self.lock();
        if !matches!(&shared.driven_by, DrivenBy::Task(known) if known.will_wake(waker)) {
            shared.driven_by = DrivenBy::Task(waker.clone());
        }
    }

    /// The connection is driven by the event loop of this mailbox, as this key.
    #[cfg(unix)]
    pub(crate) fn set_event_loop(&self, mailbox: &Arc<Mailbox>, key: usize) {
        self.lock().driven_by = DrivenBy::EventLoop { mailbox: Arc::clone(mailbox), key };
    }

    /// Reports what the connection holds, and its state.
    pub(crate) fn report(&self, buffered: usize, state: ReadyState) {
        self.report_in(self.lock(), buffered, state);
    }

    /// The same, and waits to be woken, unless there is something to do: then the connection has to go on. `was_paused` is
    /// what it acted on.
    pub(crate) fn park(&self, buffered: usize, state: ReadyState, was_paused: bool) -> bool {
        let mut shared = self.lock();
        if !shared.commands.is_empty() || (was_paused && !self.is_paused()) {
            return false;
        }
        shared.is_parked = true;
        self.report_in(shared, buffered, state);
        true
    }

    /// Tells that the task has ended, and forgets what it never saw.
    pub(crate) fn end(&self) {
        let mut shared = self.lock();
        shared.is_over = true;
        shared.commands_bytes = 0;
        let commands = std::mem::take(&mut shared.commands);
        self.report_in(shared, 0, ReadyState::Closed);
        drop(commands);
    }

    fn report_in(&self, mut shared: MutexGuard<'_, Shared>, buffered: usize, state: ReadyState) {
        shared.buffered = buffered;
        shared.state = shared.state.max(state);
        let is_over = state > ReadyState::Open;
        if shared.waiting.is_empty() || !(is_over || shared.buffered_amount() < self.max_buffered) {
            return;
        }
        let waiting = std::mem::take(&mut shared.waiting);
        drop(shared);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn buffered_amount(&self) -> usize {
        self.commands_bytes + self.buffered
    }

    /// Wakes the connection if it waits. None of the user's code runs here, so this may be done under the lock.
    fn wake(&mut self) {
        if std::mem::take(&mut self.is_parked) {
            match &self.driven_by {
                DrivenBy::Nobody => {}
                DrivenBy::Task(waker) => waker.wake_by_ref(),
                #[cfg(unix)]
                DrivenBy::EventLoop { mailbox, key } => mailbox.call(*key),
            }
        }
    }

    fn wait(&mut self, cx: &Context<'_>) {
        if !self.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.waiting.push(cx.waker().clone());
        }
    }
}

fn check_open(shared: &Shared) -> Result<(), SendError> {
    if shared.state == ReadyState::Open { Ok(()) } else { Err(SendError::NotOpen(shared.state)) }
}
