//! Any stream on an event loop, for tests only. With it the tests of connections that are tasks also run on event
//! loops, with the real rounds, mailboxes, deadlines and turns. A socket is ready when the poller says so. Here the
//! stream's waker calls the connection instead.

use std::io;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};
use std::time::Instant;

use mio::{Registry, Token};

use super::driver::Driver;
use super::handler::Handler;
use crate::event_loop::{Bell, Drive, Mailbox, Publication, Subscriber};
use crate::io::{Readiness, Transport, Turn};

/// A connection on an event loop over a stream that the loop does not watch.
pub(super) struct Guest<H: Handler<T>, T> {
    driver: Driver<H, Transport, T>,
    bell: OnceLock<Waker>,
}

impl<T, H: Handler<T>> Guest<H, T> {
    pub(super) fn new(driver: Driver<H, Transport, T>) -> Self {
        Self { driver, bell: OnceLock::new() }
    }
}

impl<T, H: Handler<T>> Drive for Guest<H, T> {
    fn watch(&mut self, _registry: &Registry, _token: Token) -> io::Result<()> {
        Ok(())
    }

    fn settle(&self, mailbox: &Arc<Mailbox>, key: usize) {
        self.driver.link.set_event_loop(mailbox, key);
        self.bell.get_or_init(|| Bell::waker(mailbox, key));
    }

    fn note(&mut self, _readiness: Readiness) {}

    fn turn(&mut self, is_due: bool, cx: &mut Context<'_>, now: Instant) -> Turn<Box<dyn Drive>> {
        let mut called = Context::from_waker(self.bell.get().unwrap_or(cx.waker()));
        self.driver.turn(is_due, &mut called, now).widen()
    }

    fn publish(&mut self, publications: &[Publication], to: Subscriber, cx: &mut Context<'_>, now: Instant) {
        let mut called = Context::from_waker(self.bell.get().unwrap_or(cx.waker()));
        self.driver.publish(publications, to, &mut called, now);
    }

    fn last_turn(&mut self, is_first: bool, deadline: Instant) -> bool {
        self.driver.last_turn(is_first, deadline)
    }

    fn is_due_sooner(&self) -> bool {
        self.driver.is_due_sooner()
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        self.driver.next_deadline()
    }
}
