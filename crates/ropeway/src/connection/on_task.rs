//! A connection as a tokio task: for streams that no [event loop](crate::event_loop) can watch, such as TLS.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::driver::Driver;
use super::handler::Handler;
use crate::io::{Stream, Turn, go_on_later};
use crate::log::{guarded, of_connection};

/// How long a connection whose runtime ends may continue a compression that has begun.
const HURRY: Duration = Duration::from_millis(100);

/// Drives one connection until it is closed.
pub(crate) struct Task<H: Handler<T>, S: Stream, T> {
    driver: Driver<H, S, T>,
    /// Set to the deadline that was next when it was last asked for. Deadlines mostly move later.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<T, H: Handler<T>, S: Stream> Task<H, S, T> {
    pub(crate) fn new(driver: Driver<H, S, T>) -> Self {
        Self { driver, timer: None }
    }

    /// Ready when the deadline has come.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(deadline) = self.driver.next_deadline().map(Instant::from_std) else {
                self.timer = None;
                return Poll::Pending;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
            ready!(timer.as_mut().poll(cx));
            self.timer = None;
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            // The timer was set for an earlier deadline.
        }
    }
}

/// The runtime ends, or the connection is over and has nothing to write. One attempt is made, since nothing would
/// report when the stream accepts more.
impl<T, H: Handler<T>, S: Stream> Drop for Task<H, S, T> {
    fn drop(&mut self) {
        let last = AssertUnwindSafe(|| self.driver.last_turn(true, std::time::Instant::now() + HURRY));
        if catch_unwind(last).unwrap_or(false) {
            guarded(|| {
                of_connection!(
                    warn,
                    self.driver.link(),
                    "the runtime ends before the connection has written all that was sent"
                );
            });
        }
    }
}

/// No field is ever pinned in place; the timer has a box of its own.
impl<T, H: Handler<T>, S: Stream> Unpin for Task<H, S, T> {}

impl<T, H: Handler<T>, S: Stream> Future for Task<H, S, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.driver.link().set_task(cx.waker());
        let mut is_due = false;
        loop {
            let turn = this.driver.turn(is_due, cx, Instant::now().into_std());
            if turn == Turn::Over {
                return Poll::Ready(());
            }
            // The deadline is looked at even if the turn ended with `Again`: a busy connection times out too.
            is_due = this.poll_deadline(cx).is_ready();
            if !is_due {
                if turn == Turn::Again {
                    go_on_later(cx);
                }
                return Poll::Pending;
            }
        }
    }
}
