//! All events of a session, in one queue. The connection's handler, the prompt, the pipe and the timers put their
//! events into it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ropeway::{Bytes, Closed, Connection, Handle, Handler, Handshake, Message, MessageRef};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::command::Command;

/// How many bytes of messages may wait for a slow output before the connection stops reading.
const FULL: usize = 256 * 1024;

/// What a message counts for in that besides its payload.
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
    /// A line was typed. An error says why it is not valid.
    Typed(Result<Command, String>),
    /// There is no more input. `sent` messages were sent.
    InputEnded {
        sent: u64,
    },
    InputFailed(io::Error),
    /// A ping is due.
    PingDue,
}

/// The queue's two ends.
pub(crate) fn channel() -> (Inbox, Events) {
    let (give, take) = unbounded_channel();
    let backlog = Arc::new(Backlog::default());
    (Inbox { give, backlog: Arc::clone(&backlog) }, Events { take, backlog })
}

/// The sum of the messages in the queue. The lock keeps a pause and the following resumption in order.
#[derive(Debug, Default)]
struct Backlog(Mutex<usize>);

impl Backlog {
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end from which events are taken.
#[derive(Debug)]
pub(crate) struct Events {
    take: UnboundedReceiver<Event>,
    backlog: Arc<Backlog>,
}

impl Events {
    /// Returns the next event, if there is one already.
    pub(crate) fn try_next(&mut self) -> Option<Event> {
        self.take.try_recv().ok()
    }

    /// Waits for the next event. `None` if there will be no more. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        self.take.recv().await
    }

    /// Notes that a message is done with, which makes room for others.
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

/// The end into which events are put. As a [`Handler`] it puts in those of the connection.
#[derive(Debug)]
pub(crate) struct Inbox {
    give: UnboundedSender<Event>,
    backlog: Arc<Backlog>,
}

impl Inbox {
    /// A sender for other events.
    pub(crate) fn give(&self) -> UnboundedSender<Event> {
        self.give.clone()
    }

    fn put(&self, event: Event) {
        // After the end of the session nobody receives it.
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
