//! A connection on an event loop.

use std::io;
use std::sync::Arc;
use std::task::Context;
use std::time::Instant;

use mio::{Registry, Token};

use super::driver::Driver;
use super::handler::Handler;
use super::in_event::Connection;
use crate::event_loop::{Drive, Mailbox, Publication, Subscriber};
use crate::io::{Readiness, Socket, Stream, Turn, scratch};

impl<T, H: Handler<T>, S: Stream> Driver<H, S, T> {
    /// Sends messages of a topic, and writes at once the bytes that the transport accepts.
    pub(super) fn publish(&mut self, publications: &[Publication], to: Subscriber, cx: &mut Context<'_>, now: Instant) {
        scratch::with_spare(|spare| {
            self.core.lend(spare);
            Connection::new(&mut self.core, &self.link).send_published(publications, to);
            self.write(cx, now);
            self.core.reclaim(spare);
        });
        if self.core.buffered_amount() > 0 {
            self.link.report(self.core.buffered_amount(), self.core.ready_state());
        }
    }
}

fn copy_of(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

impl<T, H: Handler<T>> Drive for Driver<H, Socket, T> {
    fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let watched = self.stream_mut().watch(registry, token);
        if let Err(error) = &watched {
            // The loop drops a connection that it cannot watch, and its user is to learn why.
            self.link().report_broken(copy_of(error));
        }
        watched
    }

    fn settle(&self, mailbox: &Arc<Mailbox>, key: usize) {
        self.link().set_event_loop(mailbox, key);
    }

    fn note(&mut self, readiness: Readiness) {
        self.stream_mut().note(readiness);
    }

    fn turn(&mut self, is_due: bool, cx: &mut Context<'_>, now: Instant) -> Turn<Box<dyn Drive>> {
        self.turn(is_due, cx, now).widen()
    }

    fn publish(&mut self, publications: &[Publication], to: Subscriber, cx: &mut Context<'_>, now: Instant) {
        self.publish(publications, to, cx, now);
    }

    fn last_turn(&mut self, is_first: bool, deadline: Instant) -> bool {
        self.last_turn(is_first, deadline)
    }

    fn is_due_sooner(&self) -> bool {
        self.is_due_sooner()
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        self.next_deadline()
    }
}
