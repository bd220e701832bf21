//! The end of a connection, as [`Life`](crate::life::Life) decides it: here its close frames are queued, and memory
//! that a state does not need is released.

use std::time::Instant;

use super::Connection;
use crate::close::{CloseFrame, UncheckedClose};
use crate::error::{SendError, Violation};
use crate::event::Event;
use crate::life::Terms;
use crate::message::Payload;
use crate::outcome::Cause;
use crate::role::Role;
use crate::send::fragments::Fragments;
use crate::send::queue::Queue;

/// Input from the network.
impl Connection {
    /// The peer has ended its half of the transport: nothing more can be read. That does not end the other half, so the
    /// queue is still written, within [`close_timeout`](crate::Config::close_timeout). A second call does no harm.
    pub fn handle_eof(&mut self, now: Instant) {
        let answer = self.life.eof(self.terms(now));
        self.follow(answer);
    }

    /// The transport is broken: nothing more can be read or written. The connection is closed at once.
    pub fn handle_reset(&mut self) {
        self.end(Cause::Eof);
    }

    /// The transport accepts no more bytes. The bytes that wait are dropped. Bytes that can still be read can be
    /// handled.
    pub fn handle_broken_pipe(&mut self, now: Instant) {
        // Neither the answer nor messages before it can reach the peer.
        self.answer_close(now);
        self.queue = Queue::default();
        if let Some(fragments) = self.life.fragments() {
            *fragments = Fragments::default();
        }
        if let Some(deflate) = &mut self.deflate {
            deflate.job = None;
        }
        self.release();
    }

    /// The writing half of the transport was ended, as [`Connection::poll_shutdown`] asked for. If that failed, call
    /// this all the same.
    pub fn handle_shutdown(&mut self) {
        self.life.shutdown_done();
        self.release();
    }
}

/// Commands of the user.
impl Connection {
    /// Starts the closing handshake. The close frame goes behind all that is queued; `None` sends no code. Messages
    /// that wait for the end of one in fragments are dropped. Messages that come before the peer's close frame are
    /// still received. If the peer [is not answered](Connection::is_unanswered) yet, this frame is the answer. Does
    /// nothing if the connection is closing or closed.
    pub fn close(&mut self, frame: Option<&CloseFrame>, now: Instant) -> Result<(), SendError> {
        let payload = frame.map_or(Ok(Vec::new()), CloseFrame::to_payload)?;
        if self.life.close(self.terms(now)) {
            self.queue_close(&payload);
            self.release();
        }
        Ok(())
    }

    /// Answers the peer, behind all that is queued. A close frame is answered with the same code, and a violation with
    /// its code and reason. If the peer has ended its half of the transport, this half ends too. Does nothing unless an
    /// answer [is due](Connection::is_unanswered).
    pub fn answer_close(&mut self, now: Instant) {
        let answer = self.life.answer(self.terms(now));
        self.follow(answer);
    }

    /// Ends the connection at once. Nothing more is written, and the driver drops the transport.
    pub fn terminate(&mut self) {
        self.end(Cause::Terminated);
    }

    /// Ends the connection because no driver will drive it any more. If a closing handshake or a violation has decided
    /// the outcome, that stays. Otherwise the cause is [`Cause::Abandoned`].
    pub fn abandon(&mut self) {
        self.end(Cause::Abandoned);
    }
}

/// Work for the driver.
impl Connection {
    /// Whether to end the writing half of the transport now. Returns `true` once, when all is written and this side has
    /// to end its half. Report that with [`Connection::handle_shutdown`].
    pub fn poll_shutdown(&mut self) -> bool {
        !self.life.is_plainly_open() && self.job().is_none() && self.life.begin_shutdown(self.queue.is_empty())
    }
}

impl Connection {
    /// Acts on the peer's close frame.
    #[cold]
    pub(super) fn receive_close<'a>(&mut self, payload: Payload<'a>, now: Instant) -> Result<Event<'a>, Violation> {
        let is_checked = self.config.check_utf8;
        let frame = if is_checked { CloseFrame::parse(&payload) } else { CloseFrame::parse_lossy(&payload) }?;
        let answer = self.life.close_received(frame.clone(), self.terms(now));
        self.follow(answer);
        Ok(match frame {
            Some(CloseFrame { code, .. }) if !is_checked => {
                Event::UncheckedClose(UncheckedClose { code, reason: payload.skip(2) })
            }
            frame => Event::Close(frame),
        })
    }

    /// The peer broke the protocol or a limit. A close frame that says so goes behind the queue.
    #[cold]
    pub(super) fn fail<'a>(&mut self, violation: Violation, now: Instant) -> Event<'a> {
        let frame = self.life.fail(violation.clone(), self.terms(now));
        self.follow(frame);
        Event::Violation(violation)
    }

    /// The time limit of a step of closing has passed.
    #[cold]
    pub(super) fn closing_timeout(&mut self, now: Instant) {
        let answer = self.life.timeout(self.terms(now));
        self.follow(answer);
    }

    /// Bytes came that are not received any more.
    #[cold]
    pub(super) fn throw_away(&mut self, count: usize, now: Instant) {
        if self.life.throw_away(count) {
            self.closing_timeout(now);
        }
    }

    /// The transport is over, or was given up.
    pub(super) fn end(&mut self, cause: Cause) {
        self.life.end(cause);
        self.release();
    }

    pub(super) fn terms(&self, now: Instant) -> Terms {
        Terms {
            now,
            is_server: matches!(self.role(), Role::Server),
            auto_close: self.config.auto_close,
            auto_fail: self.config.auto_fail,
            close_timeout: self.config.close_timeout,
            end_timeout: self.config.end_timeout,
        }
    }

    /// Does the work of a new state: queues its close frame, which may have no code, and releases memory.
    pub(super) fn follow(&mut self, frame: Option<CloseFrame>) {
        if let Some(frame) = frame {
            self.queue_close(&frame.to_payload().unwrap_or_default());
        }
        self.release();
    }

    /// Releases the memory that the state does not need.
    pub(super) fn release(&mut self) {
        if self.life.is_receiving() {
            return;
        }
        self.assembler.clear();
        if self.life.outcome().is_some() {
            self.deflate = None;
            self.queue = Queue::default();
        } else if !self.life.is_open() && self.job().is_none() {
            self.deflate = None;
        }
    }
}
