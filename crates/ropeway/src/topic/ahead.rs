//! Publishers that are ahead: a connection whose handler publishes faster than the subscribers' side can send is not read from
//! until that side has caught up. Here a publication leaves word for the connection in whose event it was made.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::Waker;

use super::member::Member;
#[cfg(unix)]
use crate::event_loop::Mailbox;

thread_local! {
    /// Whether an event of a connection is being handled on this thread.
    static IN_EVENT: Cell<bool> = const { Cell::new(false) };
    /// Whether there is something [`BEHIND`].
    static IS_AHEAD: Cell<bool> = const { Cell::new(false) };
    static BEHIND: RefCell<Option<Behind>> = const { RefCell::new(None) };
}

/// What is behind.
pub(crate) enum Behind {
    /// An event loop that has subscribers.
    #[cfg(unix)]
    Loop(Arc<Mailbox>),
    /// A subscriber that is a task. Its own turn is late, its peer has nothing to do with it.
    Task(Arc<dyn Member>),
}

impl Behind {
    /// Wakes a publisher once this has caught up; returns `true`, and does not, if it has by now.
    pub(crate) fn wait(&self, publisher: &Waker) -> bool {
        match self {
            #[cfg(unix)]
            Self::Loop(mailbox) => mailbox.wait_for_room(publisher),
            Self::Task(member) => member.wait_for_turn(publisher),
        }
    }
}

/// An event of a connection is being handled, until this is dropped.
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

/// Whether a publisher here can be made to wait: what it publishes comes from a peer that need not be read from.
pub(crate) fn can_wait() -> bool {
    IN_EVENT.get()
}

/// Notes that somebody is behind what was published in this event.
pub(crate) fn note(behind: Behind) {
    IS_AHEAD.set(true);
    let before = BEHIND.replace(Some(behind));
    drop(before);
}

/// Whether the connection whose event this is has to wait. Asked after each message.
#[inline]
pub(crate) fn is_ahead() -> bool {
    IS_AHEAD.get()
}

/// Takes what is behind.
pub(crate) fn take() -> Option<Behind> {
    IS_AHEAD.set(false);
    BEHIND.take()
}
