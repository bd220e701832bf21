//! How a connection ends: both closing handshakes, the end of either half of the transport, and what is given up. The states
//! that it goes through are [`crate::life`]'s.

use std::time::Instant;

use super::Connection;
use crate::close::CloseFrame;
use crate::error::{SendError, Violation};
use crate::event::Event;
use crate::life::{Fragments, LEFT, Lingering, Other, Peer, Shutdown, State, Unanswered};
use crate::outcome::{Cause, Closed};
use crate::role::Role;
use crate::send::queue::Queue;

/// From the network.
impl Connection {
    /// The peer has ended its half of the transport: nothing more can be read. That says nothing of the other half, so what is
    /// queued is still written, within [`close_timeout`](crate::Config::close_timeout). Telling it twice does no harm.
    pub fn handle_eof(&mut self, now: Instant) {
        if self.state.is_open() && !self.is_unanswered() {
            return self.receive_end(Closed::abnormal(Cause::Eof), now);
        }
        let State::Other(other) = &mut self.state else { return };
        match &mut **other {
            Other::CloseSent { .. } => {
                self.linger(Closed::abnormal(Cause::Eof), Shutdown::Writing, Peer::Ended, now);
            }
            Other::Unanswered(unanswered) => unanswered.is_ended = true,
            Other::Lingering(lingering) => {
                lingering.peer = Peer::Ended;
                lingering.leave();
                self.end_if_over();
            }
            Other::Fragmenting(_) | Other::Closed(_) => {}
        }
    }

    /// The transport is broken: nothing more can be read or written. The connection is closed at once.
    pub fn handle_reset(&mut self) {
        self.end(Cause::Eof);
    }

    /// The transport takes no more bytes. What is queued is forgotten; what it still gives can be handled.
    pub fn handle_broken_pipe(&mut self, now: Instant) {
        // Nobody will get what is said until the answer, nor the answer.
        self.answer_close(now);
        self.queue = Queue::default();
        if let Some(fragments) = self.state.fragments() {
            *fragments = Fragments::default();
        }
        if let Some(deflate) = &mut self.deflate {
            deflate.job = None;
        }
    }

    /// The writing half of the transport was ended, as [`Connection::poll_shutdown`] asked for. An error while doing so counts as
    /// done.
    pub fn handle_shutdown(&mut self) {
        if let State::Other(other) = &mut self.state
            && let Other::Lingering(lingering) = &mut **other
            && lingering.shutdown == Shutdown::Ending
        {
            lingering.shutdown = Shutdown::Ended;
            self.end_if_over();
        }
    }
}

/// Commands of the user.
impl Connection {
    /// Starts the closing handshake behind all that is queued; `None` sends no code. Messages that wait for the end of one in
    /// fragments are not sent any more. What the peer sends before its own close frame is still received. A close frame of the
    /// peer that [is not answered](Connection::is_unanswered) is answered with this one. Where the connection is closing or
    /// closed already this does nothing.
    pub fn close(&mut self, frame: Option<&CloseFrame>, now: Instant) -> Result<(), SendError> {
        let payload = frame.map_or(Ok(Vec::new()), CloseFrame::to_payload)?;
        if self.state.is_open() {
            self.queue_close(&payload);
            if self.is_unanswered() {
                self.linger_answered(now);
            } else {
                self.enter(Other::CloseSent { deadline: now + self.config.close_timeout });
            }
        }
        Ok(())
    }

    /// Answers the peer's close frame with the same code, or ends this half of the transport as the peer has ended its own, behind
    /// all that is queued. Does nothing unless that [is due](Connection::is_unanswered).
    pub fn answer_close(&mut self, now: Instant) {
        let Some(Other::Unanswered(Unanswered { outcome, .. })) = self.state.other() else { return };
        if outcome.clean {
            // RFC 6455 section 5.5.1: the answer "typically echos the status code it received". No code is answered with none,
            // and what was received can be sent.
            let frame = CloseFrame::new(outcome.code, outcome.reason.clone());
            self.queue_close(&frame.to_payload().unwrap_or_default());
        }
        self.linger_answered(now);
    }

    /// Gives the connection up at once. Nothing more is written; the driver drops the transport.
    pub fn terminate(&mut self) {
        self.end(Cause::Terminated);
    }
}

/// What the driver has to do.
impl Connection {
    /// Whether to end the writing half of the transport now: `true` once, when all is written and this side is the one to
    /// end it. Tell of it with [`Connection::handle_shutdown`].
    pub fn poll_shutdown(&mut self) -> bool {
        if self.has_work() {
            return false;
        }
        let State::Other(other) = &mut self.state else { return false };
        match &mut **other {
            Other::Lingering(lingering) if lingering.shutdown == Shutdown::Writing && self.queue.is_empty() => {
                lingering.shutdown = Shutdown::Ending;
                true
            }
            _ => false,
        }
    }
}

impl Connection {
    /// The peer broke the protocol: tells it why, behind what is queued (RFC 6455 section 7.1.7).
    #[cold]
    pub(super) fn fail<'a>(&mut self, violation: Violation, now: Instant) -> Event<'a> {
        if self.state.is_open() {
            let frame = CloseFrame::new(violation.close_code(), violation.reason());
            let payload = frame.to_payload().unwrap_or_default();
            self.queue_close(&payload);
        }
        let outcome = Closed::abnormal(Cause::Violation(violation.clone()));
        self.linger(outcome, Shutdown::Writing, Peer::Awaited, now);
        Event::Violation(violation)
    }

    /// The peer has closed, or else ended its half: so it will end.
    pub(super) fn receive_end(&mut self, outcome: Closed, now: Instant) {
        self.assembler.clear();
        let (is_ended, deadline) = (!outcome.clean, now + self.config.close_timeout);
        let fragments = self.state.fragments().map(std::mem::take);
        self.enter(Other::Unanswered(Unanswered { outcome, deadline, is_ended, left: LEFT, fragments }));
        if self.config.auto_close {
            self.answer_close(now);
        }
    }

    /// The answer to what the peer said last is queued.
    fn linger_answered(&mut self, now: Instant) {
        let State::Other(other) = std::mem::replace(&mut self.state, State::Open) else { return };
        let Other::Unanswered(Unanswered { outcome, is_ended, .. }) = *other else { return };
        if outcome.clean {
            self.linger_clean(outcome, is_ended, now);
        } else {
            self.linger(outcome, Shutdown::Writing, Peer::Ended, now);
        }
    }

    /// Both close frames are sent or queued.
    pub(super) fn linger_clean(&mut self, outcome: Closed, is_ended: bool, now: Instant) {
        let (shutdown, peer) = match self.role() {
            _ if is_ended => (Shutdown::Writing, Peer::Ended),
            Role::Server => (Shutdown::Writing, Peer::Done),
            Role::Client { .. } => (Shutdown::Awaiting, Peer::Awaited),
        };
        self.linger(outcome, shutdown, peer, now);
    }

    fn linger(&mut self, outcome: Closed, shutdown: Shutdown, peer: Peer, now: Instant) {
        self.assembler.clear();
        if !self.has_work() {
            self.deflate = None;
        }
        let last = now + self.config.close_timeout;
        let deadline = match shutdown {
            Shutdown::Awaiting => last.min(now + self.config.end_timeout),
            _ => last,
        };
        self.enter(Other::Lingering(Lingering { outcome, shutdown, peer, deadline, last, left: LEFT }));
    }

    /// The time of closing is over, or that of one of its steps.
    #[cold]
    pub(super) fn close_timeout(&mut self, now: Instant) {
        let State::Other(other) = &mut self.state else { return };
        match &mut **other {
            Other::Unanswered(_) => self.answer_close(now),
            Other::Lingering(lingering) if lingering.shutdown == Shutdown::Awaiting && now < lingering.last => {
                // The server has had its time. What is still to be written has the rest of ours.
                lingering.peer = Peer::Done;
                lingering.leave();
            }
            _ => self.end(Cause::CloseTimeout),
        }
    }

    /// A lingering connection is over once both halves are, as far as they are waited for.
    fn end_if_over(&mut self) {
        if let Some(Other::Lingering(lingering)) = self.state.other()
            && lingering.shutdown == Shutdown::Ended
            && lingering.peer != Peer::Awaited
        {
            self.end(Cause::Eof);
        }
    }

    /// Something came that nobody waits for.
    #[cold]
    pub(super) fn throw_away(&mut self, count: usize, now: Instant) {
        let State::Other(other) = &mut self.state else { return };
        let left = match &mut **other {
            Other::Unanswered(unanswered) => &mut unanswered.left,
            Other::Lingering(lingering) => &mut lingering.left,
            _ => return,
        };
        *left = left.saturating_sub(count);
        if *left == 0 {
            self.close_timeout(now);
        }
    }

    /// The transport is over or given up. How it ended was decided already if the connection only lingered.
    pub(super) fn end(&mut self, cause: Cause) {
        let outcome = match std::mem::replace(&mut self.state, State::Open) {
            State::Open => Closed::abnormal(cause),
            State::Other(other) => match *other {
                Other::Fragmenting(_) | Other::CloseSent { .. } => Closed::abnormal(cause),
                Other::Unanswered(Unanswered { outcome, .. })
                | Other::Lingering(Lingering { outcome, .. })
                | Other::Closed(outcome) => outcome,
            },
        };
        self.enter(Other::Closed(outcome));
        self.assembler.clear();
        self.deflate = None;
        self.queue = Queue::default();
    }

    pub(super) fn closing_deadline(&self) -> Option<Instant> {
        match self.state.other() {
            Some(
                Other::CloseSent { deadline }
                | Other::Unanswered(Unanswered { deadline, .. })
                | Other::Lingering(Lingering { deadline, .. }),
            ) => Some(*deadline),
            None | Some(Other::Fragmenting(_) | Other::Closed(_)) => None,
        }
    }

    fn enter(&mut self, state: Other) {
        self.state = State::Other(Box::new(state));
    }
}
