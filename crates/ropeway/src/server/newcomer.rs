//! A client on an event loop that has not shaken hands yet: its entry there becomes the connection's.

use std::io;
use std::sync::Arc;
use std::task::Context;
use std::time::Instant;

use mio::{Registry, Token};
use tokio::sync::OwnedSemaphorePermit;

use super::exchange::{Exchange, Step};
use crate::event_loop::{Drive, Mailbox, Next, Readiness, Socket};
use crate::topic::{Publication, Subscriber};

/// A client that has not shaken hands yet.
pub(super) struct Newcomer {
    /// `None` once it is a connection.
    exchange: Option<Exchange<Socket>>,
    /// One of `max_handshakes`.
    _permit: OwnedSemaphorePermit,
}

impl Newcomer {
    pub(super) fn new(exchange: Exchange<Socket>, permit: OwnedSemaphorePermit) -> Self {
        Self { exchange: Some(exchange), _permit: permit }
    }
}

impl Drive for Newcomer {
    fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.exchange.as_mut().map_or(Ok(()), |exchange| exchange.stream_mut().watch(registry, token))
    }

    fn settle(&self, _mailbox: &Arc<Mailbox>, _key: usize) {}

    fn note(&mut self, readiness: Readiness) {
        if let Some(exchange) = &mut self.exchange {
            exchange.stream_mut().note(readiness);
        }
    }

    fn turn(&mut self, _is_due: bool, cx: &mut Context<'_>, now: Instant) -> Next {
        match self.exchange.as_mut().map_or(Step::Over, |exchange| exchange.turn(cx, now)) {
            Step::Parked => Next::Parked,
            Step::Again => Next::Again,
            Step::Over => Next::Over,
            Step::Upgraded(upgrade) => self.exchange.take().map_or(Next::Over, |exchange| {
                let (server, socket, remote_addr) = exchange.into_parts();
                let (service, opened) = server.open(*upgrade, socket, remote_addr);
                Next::Become(service.endpoint.drive(opened))
            }),
        }
    }

    fn publish(&mut self, _publications: &[Publication], _to: Subscriber, _cx: &mut Context<'_>, _now: Instant) {}

    fn last_turn(&mut self, _is_first: bool, _now: Instant) -> bool {
        false
    }

    fn is_due_sooner(&self) -> bool {
        true
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        self.exchange.as_ref().map(Exchange::deadline)
    }
}
