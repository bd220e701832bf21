//! All events of a session, in one queue. The handler puts in those of the connection; the prompt, the pipe and the timers put
//! in theirs.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ropeway::{Bytes, Closed, Connection, Handle, Handler, Handshake, Message, MessageRef};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::command::Command;

/// How many bytes of messages wait for a slow output before the server is made to wait.
const FULL: usize = 256 * 1024;

/// A message's share of that besides its payload.
const MESSAGE_COST: usize = 64;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The opening handshake is done.
    Open(Box<Handshake>),
    Message(Message),
    Ping(Bytes),
    Pong(Bytes),
    /// The connection has ended.
    Closed(Closed),
    /// A line was typed; an error says what is wrong with it.
    Typed(Result<Command, String>),
    /// There is no more input; this number of messages was sent.
    InputEnded {
        sent: u64,
    },
    InputFailed(io::Error),
    /// It is time for a ping.
    PingDue,
}

/// The queue's two ends.
pub(crate) fn channel() -> (Inbox, Events) {
    let (give, take) = unbounded_channel();
    let backlog = Arc::new(Backlog::default());
    (Inbox { give, backlog: Arc::clone(&backlog) }, Events { take, backlog })
}

/// The cost of the messages in the queue. The lock keeps a pause and the resumption after it in order.
#[derive(Debug, Default)]
struct Backlog(Mutex<usize>);

impl Backlog {
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end where events are taken out.
#[derive(Debug)]
pub(crate) struct Events {
    take: UnboundedReceiver<Event>,
    backlog: Arc<Backlog>,
}

impl Events {
    /// The next event, if there is one already.
    pub(crate) fn try_next(&mut self) -> Option<Event> {
        self.take.try_recv().ok()
    }

    /// Waits for the next event. `None` if there will be no more. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        self.take.recv().await
    }

    /// A message is dealt with: there is room for others.
    pub(crate) fn release(&self, message: &Message, handle: &Handle) {
        let mut backlog = self.backlog.lock();
        *backlog -= message.len() + MESSAGE_COST;
        let has_room = *backlog < FULL;
        drop(backlog);
        if has_room {
            handle.resume();
        }
    }
}

/// The end where events are put in; as a [`Handler`] it does so with the connection's.
#[derive(Debug)]
pub(crate) struct Inbox {
    give: UnboundedSender<Event>,
    backlog: Arc<Backlog>,
}

impl Inbox {
    /// For what else may happen.
    pub(crate) fn give(&self) -> UnboundedSender<Event> {
        self.give.clone()
    }

    fn put(&self, event: Event) {
        // Nobody takes it once the session is over.
        let _ = self.give.send(event);
    }
}

impl Handler for Inbox {
    type State = ();

    fn on_open(&self, _ws: &mut Connection<'_>, handshake: Handshake) {
        self.put(Event::Open(Box::new(handshake)));
    }

    fn on_message(&self, ws: &mut Connection<'_>, _state: &mut (), message: MessageRef<'_>) {
        let mut backlog = self.backlog.lock();
        *backlog += message.len() + MESSAGE_COST;
        if *backlog >= FULL {
            ws.pause();
        }
        drop(backlog);
        self.put(Event::Message(message.into_owned()));
    }

    fn on_ping(&self, _ws: &mut Connection<'_>, _state: &mut (), payload: &[u8]) {
        self.put(Event::Ping(Bytes::copy_from_slice(payload)));
    }

    fn on_pong(&self, _ws: &mut Connection<'_>, _state: &mut (), payload: &[u8]) {
        self.put(Event::Pong(Bytes::copy_from_slice(payload)));
    }

    fn on_close(&self, _ws: &mut Connection<'_>, _state: (), closed: &Closed) {
        self.put(Event::Closed(closed.clone()));
    }
}
