//! Commands and wakers that wait between a connection and its handles, in either direction. A connection has them only
//! while something waits.

use std::cell::RefCell;
use std::task::Waker;

use super::command::{Asked, MAX_SPARE_COMMANDS};
use super::seldom::Seldom;
use crate::topic::Subscriptions;

/// The most that a thread keeps for reuse: as many as often wait at the same time. They take 40 KB if at most four
/// commands waited in each, and at most 110 KB.
const SPARES: usize = 128;

thread_local! {
    #[expect(clippy::vec_box, reason = "the boxes are what is kept")]
    static SPARES_HERE: RefCell<Vec<Box<Traffic>>> = const { RefCell::new(Vec::new()) };
}

/// The bytes of commands from which on a connection's turn counts as late. It is an eighth of what may wait by default.
const LATE: usize = 128 * 1024;

/// The bytes that a command counts for besides its payload.
const COMMAND_COST: usize = 64;

/// The things that wait.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) commands: Vec<Asked>,
    /// The payload bytes of the commands.
    pub(crate) commands_bytes: usize,
    /// The size of the connection's own queue when it last reported it.
    pub(crate) buffered: usize,
    /// The task that drives it, if no event loop does.
    pub(crate) task: Option<Waker>,
    /// Tasks that wait for room, or for the end.
    pub(crate) waiting: Vec<Waker>,
    /// Publishers that wait until the commands are taken.
    pub(crate) publishers: Vec<Waker>,
    /// The number of messages that were dropped for lack of room, and whose sender was not told.
    pub(crate) dropped: u64,
    pub(crate) subscriptions: Subscriptions,
    pub(super) seldom: Option<Box<Seldom>>,
}

impl Traffic {
    /// Returns one in which nothing waits.
    pub(crate) fn spare() -> Box<Self> {
        let spare = SPARES_HERE.try_with(|spares| spares.borrow_mut().pop());
        // While a thread ends, its spares may be gone before its connections and handles are.
        spare.ok().flatten().unwrap_or_default()
    }

    /// Keeps it for another connection. It must be idle.
    pub(crate) fn keep(mut self: Box<Self>) {
        debug_assert!(self.is_idle(), "what waits is not to be forgotten");
        // Few connections subscribe and unsubscribe all the time, and one may have room for many topics.
        self.subscriptions = Subscriptions::default();
        if self.commands.capacity() > MAX_SPARE_COMMANDS {
            return;
        }
        let _ = SPARES_HERE.try_with(|spares| {
            let mut spares = spares.borrow_mut();
            if spares.len() < SPARES {
                spares.push(self);
            }
        });
    }

    pub(super) fn seldom(&mut self) -> &mut Seldom {
        self.seldom.get_or_insert_default()
    }

    /// Frees the box for rare state if it is empty.
    pub(super) fn forget_seldom(&mut self) {
        self.seldom.take_if(|seldom| seldom.is_idle());
    }

    pub(crate) fn buffered_amount(&self) -> usize {
        self.commands_bytes + self.buffered
    }

    /// Whether the connection's own turn is late, whatever its peer does.
    pub(crate) fn is_late(&self) -> bool {
        self.commands_bytes + COMMAND_COST * self.commands.len() >= LATE
    }

    /// Whether nothing in it has to be kept.
    pub(crate) fn is_idle(&self) -> bool {
        self.buffered_amount() == 0
            && self.commands.is_empty()
            && self.waiting.is_empty()
            && self.publishers.is_empty()
            && self.task.is_none()
            && self.subscriptions.is_empty()
            && self.dropped == 0
            && self.seldom.is_none()
    }
}
