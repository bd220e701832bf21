//! The state that a connection and its handles share, under the lock of their link.

#[cfg(unix)]
use std::sync::Arc;
use std::task::Context;

use ropeway_proto::{Closed, ReadyState, SendError};

use super::traffic::Traffic;
use super::waiting::Waiting;
#[cfg(unix)]
use crate::event_loop::Mailbox;

/// The state under the lock of a link.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) state: ReadyState,
    /// Whether the connection waits. During its turn it need not be woken.
    pub(super) is_parked: bool,
    /// Whether it is over, and its close event was handled.
    pub(super) is_over: bool,
    /// Its key on the event loop.
    #[cfg(unix)]
    pub(super) key: u32,
    /// The event loop that drives it, if one does.
    #[cfg(unix)]
    pub(super) mailbox: Option<Arc<Mailbox>>,
    /// `None` if nothing waits in either direction.
    pub(super) traffic: Option<Box<Traffic>>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            state: ReadyState::Open,
            is_parked: false,
            is_over: false,
            #[cfg(unix)]
            key: 0,
            #[cfg(unix)]
            mailbox: None,
            traffic: None,
        }
    }

    pub(super) fn traffic(&mut self) -> &mut Traffic {
        self.traffic.get_or_insert_with(Traffic::spare)
    }

    pub(super) fn has_commands(&self) -> bool {
        self.commands() > 0
    }

    pub(super) fn commands(&self) -> usize {
        self.traffic.as_ref().map_or(0, |traffic| traffic.commands.len())
    }

    pub(super) fn buffered_amount(&self) -> usize {
        self.traffic.as_ref().map_or(0, |traffic| traffic.buffered_amount())
    }

    /// The messages of topics that wait for room.
    pub(super) fn waiting(&self) -> Option<&Waiting> {
        self.traffic.as_ref()?.seldom.as_ref()?.waiting.as_deref()
    }

    /// Whether messages of the topic of this number wait for room.
    pub(super) fn waits_for_room(&self, topic: u64) -> bool {
        self.waiting().is_some_and(|waiting| waiting.has(topic))
    }

    /// How the connection ended, from its close event on.
    pub(super) fn outcome(&self) -> Option<&Closed> {
        self.traffic.as_ref()?.seldom.as_ref()?.outcome.as_ref()
    }

    /// Wakes the connection if it waits. None of the user's code runs here, so this may be called under the lock.
    pub(super) fn wake(&mut self) {
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

    pub(super) fn wait(&mut self, cx: &Context<'_>) {
        let waiting = &mut self.traffic().waiting;
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
    }

    pub(super) fn check_open(&self) -> Result<(), SendError> {
        if self.state == ReadyState::Open { Ok(()) } else { Err(SendError::NotOpen(self.state)) }
    }
}
