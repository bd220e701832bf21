//! A client on an event loop during its handshake. Its entry in the loop becomes that of the connection.

use std::cell::OnceCell;
use std::io;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Instant;

use mio::{Registry, Token};

use super::exchange::Exchange;
use super::handshakes::{Caller, Handshaking};
use crate::event_loop::{Bell, Drive, Mailbox, Publication, Subscriber};
use crate::io::{Readiness, Socket, Turn};

/// A client whose handshake is not done yet.
pub(super) struct Newcomer {
    /// `None` once it is a connection.
    exchange: Option<Exchange<Socket>>,
    /// One of `max_handshakes`.
    place: Handshaking,
    /// The loop that drives it, and its key in that loop.
    home: OnceCell<(Arc<Mailbox>, usize)>,
    /// The waker for the application's decision.
    bell: OnceCell<Waker>,
}

impl Newcomer {
    pub(super) fn new(exchange: Exchange<Socket>, place: Handshaking) -> Self {
        Self { exchange: Some(exchange), place, home: OnceCell::new(), bell: OnceCell::new() }
    }
}

impl Drive for Newcomer {
    fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.exchange.as_mut().map_or(Ok(()), |exchange| exchange.stream_mut().watch(registry, token))
    }

    fn settle(&self, mailbox: &Arc<Mailbox>, key: usize) {
        self.place.set_caller(Caller::Loop(Arc::clone(mailbox), key));
        self.home.get_or_init(|| (Arc::clone(mailbox), key));
    }

    fn note(&mut self, readiness: Readiness) {
        if let Some(exchange) = &mut self.exchange {
            exchange.stream_mut().note(readiness);
        }
    }

    fn turn(&mut self, _is_due: bool, cx: &mut Context<'_>, now: Instant) -> Turn<Box<dyn Drive>> {
        let Some(exchange) = &mut self.exchange else { return Turn::Over };
        let (home, bell) = (&self.home, &self.bell);
        let step = exchange
            .turn(cx, now, || home.get().map(|(mailbox, key)| bell.get_or_init(|| Bell::waker(mailbox, *key)).clone()));
        // Checked after reading, since the read may have brought the first bytes.
        if !exchange.is_silent() {
            self.place.heard();
        } else if self.place.is_lost() {
            exchange.tell_lost();
            return Turn::Over;
        }
        match step {
            Turn::Parked => Turn::Parked,
            Turn::Again => Turn::Again,
            Turn::Over => Turn::Over,
            Turn::Become(upgrade) => self.exchange.take().map_or(Turn::Over, |exchange| {
                let (socket, remote_addr) = exchange.into_parts();
                let (start, opened) = upgrade.open(socket, remote_addr);
                Turn::Become(start.drive(opened))
            }),
        }
    }

    fn publish(&mut self, _publications: &[Publication], _to: Subscriber, _cx: &mut Context<'_>, _now: Instant) {}

    fn last_turn(&mut self, _is_first: bool, _deadline: Instant) -> bool {
        false
    }

    fn is_due_sooner(&self) -> bool {
        true
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        self.exchange.as_ref().map(Exchange::deadline)
    }
}
