//! A connection whose runtime ends: its last turn.

use std::task::{Context, Waker};
use std::time::Instant;

use super::driver::Driver;
use super::handler::Handler;
use super::in_event::Connection;
use super::writing::Writing;
use crate::io::{Stream, scratch};

/// How much a peer has for certain once it was written, though the socket is dropped: what TCP sends without waiting for the
/// peer's word (RFC 6928: ten segments).
const ON_ITS_WAY: usize = 14 * 1024;

impl<H: Handler, S: Stream> Driver<H, S> {
    /// Its runtime ends: does what was asked through handles and writes, as far as the stream takes it at once; the handler is not
    /// called. Returns whether there is a reason to wait and do it again: where bytes are left, and then until the peer
    /// has ended its half, which says that it has read them.
    ///
    /// A large message that is being compressed is finished if that is possible before the deadline.
    pub(crate) fn last_turn(&mut self, is_first: bool, deadline: Instant) -> bool {
        let now = tokio::time::Instant::now().into_std();
        let mut cx = Context::from_waker(Waker::noop());
        if self.core.outcome().is_some() || (is_first && self.buffered() == 0 && !self.link.has_commands()) {
            return false;
        }
        let queued = scratch::with_spare(|spare| {
            self.core.lend(spare);
            Connection::new(&mut self.core, &self.link).run_commands();
            while self.core.has_work() && Instant::now() < deadline {
                // A message that has not begun goes as it is: there is no time to compress it.
                self.core.handle_work(false);
            }
            let queued = self.core.buffered_amount();
            self.write(&mut cx, now);
            self.core.reclaim(spare);
            queued
        });
        if self.buffered() > 0 {
            return true;
        }
        if self.writing != Writing::Ended {
            let _ = self.stream.poll_shutdown(&mut cx);
            self.writing = Writing::Ended;
        }
        !(self.read_off(&mut cx) || (is_first && queued <= ON_ITS_WAY))
    }
}
