//! Publishers that are ahead: if a connection's handler publishes faster than the messages can be sent to the
//! subscribers, nothing is read from that connection until they are sent. A publication finds out that its receiver is
//! behind; this module tells the connection in whose event the publication was made.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::Waker;

use super::member::Member;
#[cfg(unix)]
use crate::event_loop::Mailbox;

thread_local! {
    /// Whether an event of a connection is being handled on this thread.
    static IN_EVENT: Cell<bool> = const { Cell::new(false) };
    /// Whether [`BEHIND`] has a value.
    static IS_AHEAD: Cell<bool> = const { Cell::new(false) };
    static BEHIND: RefCell<Option<Behind>> = const { RefCell::new(None) };
}

/// The receiver of a publication that is behind.
pub(crate) enum Behind {
    /// An event loop that has subscribers.
    #[cfg(unix)]
    Loop(Arc<Mailbox>),
    /// A subscriber that is a task. Its own turn is late; its peer may be reading well.
    Task(Arc<dyn Member>),
}

impl Behind {
    /// Wakes the publisher once this has caught up. If it has caught up already, returns `true` and does not.
    pub(crate) fn wait(&self, publisher: &Waker) -> bool {
        match self {
            #[cfg(unix)]
            Self::Loop(mailbox) => mailbox.wait_for_room(publisher),
            Self::Task(member) => member.wait_for_turn(publisher),
        }
    }
}

/// Marks that an event of a connection is being handled, until this is dropped.
pub(crate) struct InEvent {
    was: bool,
}

impl InEvent {
    pub(crate) fn new() -> Self {
        Self { was: IN_EVENT.replace(true) }
    }
}

impl Drop for InEvent {
    fn drop(&mut self) {
        IN_EVENT.set(self.was);
    }
}

/// Whether a publisher on this thread can be made to wait: its messages come from a peer, which need not be read from.
pub(crate) fn can_wait() -> bool {
    IN_EVENT.get()
}

/// Notes that a receiver of this event's publications is behind.
pub(crate) fn note(behind: Behind) {
    IS_AHEAD.set(true);
    let before = BEHIND.replace(Some(behind));
    drop(before);
}

/// Whether the connection whose event this is has to wait. Called after each message.
#[inline]
pub(crate) fn is_ahead() -> bool {
    IS_AHEAD.get()
}

/// Takes the receiver that is behind.
pub(crate) fn take() -> Option<Behind> {
    IS_AHEAD.set(false);
    BEHIND.take()
}
