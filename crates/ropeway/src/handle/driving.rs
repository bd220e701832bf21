//! The connection's side of a link: it takes commands, reports its figures and its state, and parks.

use std::io;
#[cfg(unix)]
use std::sync::Arc;
use std::task::Waker;

use ropeway_proto::{Broken, Cause, Closed, ReadyState};
use tokio::time::Instant;

use super::command::Asked;
use super::link::Link;
use super::shared::Shared;
use super::sync::{MutexGuard, Ordering};
use super::unread::{AHEAD, HELD, PAUSED};
#[cfg(unix)]
use crate::event_loop::{Mailbox, Publication};
#[cfg(unix)]
use crate::topic::Subscription;

/// For the connection.
impl Link {
    /// Whether there are commands to take.
    #[inline]
    pub(crate) fn has_commands(&self) -> bool {
        self.has_commands.load(Ordering::Acquire)
    }

    /// Takes the commands that come before the publication of this number, in order, in exchange for an empty list.
    /// Returns the number up to which the loop has sent publications to all connections.
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
        // Until the connection reports its queue, the bytes still count as if they were in it.
        traffic.commands_bytes -= taken;
        traffic.buffered += taken;
        let publishers = std::mem::take(&mut traffic.publishers);
        drop(shared);
        publishers.into_iter().for_each(Waker::wake);
        delivered
    }

    /// Returns the publications up to a number that a connection on a loop has not been sent yet.
    #[cfg(unix)]
    pub(crate) fn missed(&self, up_to: u64) -> Vec<Publication> {
        let shared = self.lock();
        let (Some(mailbox), Some(traffic)) = (&shared.mailbox, &shared.traffic) else { return Vec::new() };
        if traffic.subscriptions.is_empty() {
            return Vec::new();
        }
        mailbox.missed(shared.key, up_to, |publication| traffic.subscriptions.hear(publication))
    }

    /// Notes that it was sent all messages that were published before it unsubscribed from the topic of this address.
    #[cfg(unix)]
    pub(crate) fn left(&self, topic: usize) {
        let mut shared = self.lock();
        let subscription = shared.traffic.as_mut().and_then(|traffic| traffic.subscriptions.left(topic));
        drop(shared);
        subscription.into_iter().for_each(Subscription::end);
    }

    /// Notes that the task of this waker drives the connection.
    pub(crate) fn set_task(&self, waker: &Waker) {
        let mut shared = self.lock();
        let task = &mut shared.traffic().task;
        if !task.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }

    /// Notes that the event loop of this mailbox drives the connection, under this key.
    #[cfg(unix)]
    pub(crate) fn set_event_loop(&self, mailbox: &Arc<Mailbox>, key: usize) {
        let mut shared = self.lock();
        // A key stands for an open file, and there are fewer of these than `u32` can count.
        shared.key = key as u32;
        shared.mailbox = Some(Arc::clone(mailbox));
        let moved =
            shared.traffic.as_mut().map(|traffic| traffic.subscriptions.move_to_loop(self.id(), mailbox, key as u32));
        drop(shared);
        drop(moved);
    }

    /// Notes a pong. Reports the round-trip time of the pings that it answers.
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

    /// Notes that the transport broke: nothing can be sent any more. The first error is kept for the end.
    pub(crate) fn report_broken(&self, error: io::Error) {
        // The error is the user's if the transport is, so a second one is dropped after the lock is released.
        let mut error = Some(error);
        let mut shared = self.lock();
        let broken = &mut shared.traffic().seldom().broken;
        if broken.is_none() {
            *broken = error.take().map(Broken::from);
        }
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

    /// Notes how the connection has ended. Its close event comes next. Nothing is sent any more. Tasks that await the
    /// end wait until that event was handled.
    pub(crate) fn report_outcome(&self, closed: Closed) {
        let mut shared = self.lock();
        shared.traffic().seldom().outcome.get_or_insert(closed);
        self.report_in(shared, 0, ReadyState::Closed);
    }

    /// Reports the size of the connection's queue, and its state.
    pub(crate) fn report(&self, buffered: usize, state: ReadyState) {
        self.report_in(self.lock(), buffered, state);
    }

    /// Reports and parks. Returns `false` without parking if a command has come, or if the reasons not to read that the
    /// caller acted on (`was_unread`) are gone: the connection then goes on.
    pub(crate) fn park(&self, buffered: usize, state: ReadyState, was_unread: bool, is_broken: bool) -> bool {
        let mut shared = self.lock();
        // If the stream is broken, the rest of it is read even though delivered messages are not taken.
        let reasons = if is_broken { PAUSED | AHEAD } else { PAUSED | AHEAD | HELD };
        let is_wanted = was_unread && !self.unread.has(reasons);
        // A message may have begun to wait while there was more in the queue. Nothing else would wake the connection.
        let can_send = shared.waiting().is_some() && buffered < self.room_for_waiting();
        if shared.has_commands() || is_wanted || can_send {
            return false;
        }
        shared.is_parked = true;
        self.report_in(shared, buffered, state);
        true
    }

    /// Marks the connection as over, and drops the commands that it has not taken.
    pub(crate) fn end(&self) {
        let mut shared = self.lock();
        shared.is_over = true;
        let traffic = shared.traffic();
        traffic.commands_bytes = 0;
        let commands = std::mem::take(&mut traffic.commands);
        let subscriptions = std::mem::take(&mut traffic.subscriptions);
        let publishers = std::mem::take(&mut traffic.publishers);
        let seldom = traffic.seldom();
        let waiting = seldom.waiting.take();
        self.has_waiting.store(false, Ordering::Relaxed);
        traffic.dropped += waiting.as_ref().map_or(0, |waiting| waiting.len() as u64);
        let seldom = traffic.seldom();
        // It is known already, unless the connection was ended by a panic outside of the handlers.
        seldom.outcome.get_or_insert_with(|| Closed::abnormal(Cause::Abandoned));
        let pings = std::mem::take(&mut seldom.pings);
        self.report_in(shared, 0, ReadyState::Closed);
        publishers.into_iter().for_each(Waker::wake);
        // The values that they hold or wake may be the user's, so they are dropped after the lock is released.
        drop((commands, pings, waiting));
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

    /// Whether nothing waits in it.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.lock().traffic.is_none()
    }
}
