//! The last turn of a connection whose runtime ends.

use std::task::{Context, Waker};
use std::time::Instant;

use super::driver::Driver;
use super::handler::Handler;
use super::writing::Writing;
use crate::io::{Stream, scratch};

/// The most bytes that surely reach a peer after a write, even if the socket is dropped: the amount that TCP sends
/// before the peer has acknowledged anything (RFC 6928: ten segments).
const ON_ITS_WAY: usize = 14 * 1024;

impl<T, H: Handler<T>, S: Stream> Driver<H, S, T> {
    /// Called when the runtime ends. Runs the commands that wait, and writes the bytes that the stream accepts at once.
    /// The handler is not called. Returns whether to wait and call this again: while bytes are left, and then
    /// until the peer has ended its half, which shows that it has read them.
    ///
    /// A large message that is being compressed is finished if that is possible before the deadline. If not, it is sent
    /// uncompressed.
    pub(crate) fn last_turn(&mut self, is_first: bool, deadline: Instant) -> bool {
        let now = tokio::time::Instant::now().into_std();
        let mut cx = Context::from_waker(Waker::noop());
        if self.core.outcome().is_some() || (is_first && self.buffered() == 0 && !self.link.has_commands()) {
            return false;
        }
        let queued = scratch::with_spare(|spare| {
            self.core.lend(spare);
            self.run_commands();
            while self.core.has_work() && Instant::now() < deadline {
                // A message whose compression has not begun is sent uncompressed: there is no time for it.
                self.core.handle_work(false);
            }
            self.core.give_up_work();
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
