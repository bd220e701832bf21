//! The end of a loop with its runtime: it writes all that was sent before, within a short time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Waker};
use std::time::Instant;

use super::mailbox::Drive;
use super::rounds::EventLoop;
use crate::io::Readiness;
use crate::log::guarded;

impl EventLoop {
    /// Sends the publications that wait, and then gives each connection its last turn, which runs the commands that
    /// wait and writes. The handler is told only of the end, when the connection is dropped. A connection that cannot
    /// write all at once has until the deadline.
    pub(super) fn end(&mut self, deadline: Instant) {
        let mail = self.connections.mailbox.close();
        let (mut cx, now) = (Context::from_waker(Waker::noop()), Instant::now());
        for mut newcomer in mail.newcomers {
            let entry = self.connections.entries.vacant_entry();
            if newcomer.watch(self.poll.get_ref().registry(), mio::Token(entry.key())).is_ok() {
                entry.insert(newcomer);
            }
        }
        while self.connections.mailbox.has_backlog() {
            self.send_published(&mut cx, now);
        }
        let mut waiting = vec![false; self.connections.entries.capacity()];
        // Half of the time is for compressing, the other half for peers to read.
        let half = now + deadline.saturating_duration_since(now) / 2;
        for (key, connection) in &mut self.connections.entries {
            waiting[key] = last_turn(connection, true, half);
        }
        self.wait(waiting, deadline);
    }

    /// Waits for the connections that have more to write.
    fn wait(&mut self, mut waiting: Vec<bool>, deadline: Instant) {
        while waiting.contains(&true) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let count = waiting.iter().filter(|waits| **waits).count();
                guarded(|| {
                    tracing::warn!("the runtime ends before {count} connections have written all that was sent");
                });
                return;
            }
            if self.poll.get_mut().poll(&mut self.events, Some(left)).is_err() {
                // The wait was interrupted by a signal. The deadline bounds the number of times.
                continue;
            }
            for event in &self.events {
                let key = event.token().0;
                if let Some(connection) = self.connections.entries.get_mut(key) {
                    connection.note(Readiness::from(event));
                    if waiting[key] {
                        waiting[key] = last_turn(connection, false, deadline);
                    }
                }
            }
        }
    }
}

fn last_turn(connection: &mut Box<dyn Drive>, is_first: bool, deadline: Instant) -> bool {
    catch_unwind(AssertUnwindSafe(|| connection.last_turn(is_first, deadline))).unwrap_or(false)
}
