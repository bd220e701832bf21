//! How a connection ends, as [`Life`](crate::life::Life) says: its close frames are queued here, and memory that a state has no use
//! for is released.

use std::time::Instant;

use super::Connection;
use crate::close::CloseFrame;
use crate::error::{SendError, Violation};
use crate::event::Event;
use crate::life::Terms;
use crate::message::Payload;
use crate::outcome::Cause;
use crate::role::Role;
use crate::send::fragments::Fragments;
use crate::send::queue::Queue;

/// From the network.
impl Connection {
    /// The peer has ended its half of the transport: nothing more can be read. That says nothing of the other half, so what is
    /// queued is still written, within [`close_timeout`](crate::Config::close_timeout). Telling it twice does no harm.
    pub fn handle_eof(&mut self, now: Instant) {
        let answer = self.life.eof(self.terms(now));
        self.follow(answer);
    }

    /// The transport is broken: nothing more can be read or written. The connection is closed at once.
    pub fn handle_reset(&mut self) {
        self.end(Cause::Eof);
    }

    /// The transport takes no more bytes. The bytes that wait are dropped; what can still be read can be handled.
    pub fn handle_broken_pipe(&mut self, now: Instant) {
        // Neither what would be sent before the answer nor the answer can reach the peer.
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

    /// The writing half of the transport was ended, as [`Connection::poll_shutdown`] asked for. An error while doing so counts as
    /// done.
    pub fn handle_shutdown(&mut self) {
        self.life.shutdown_done();
        self.release();
    }
}

/// Commands of the user.
impl Connection {
    /// Starts the closing handshake behind all that is queued; `None` sends no code. Messages that wait for the end of one in
    /// fragments are not sent any more. What the peer sends before its own close frame is still received. If the peer
    /// [is not answered](Connection::is_unanswered), this frame answers it. If the connection is closing or closed already this does
    /// nothing.
    pub fn close(&mut self, frame: Option<&CloseFrame>, now: Instant) -> Result<(), SendError> {
        let payload = frame.map_or(Ok(Vec::new()), CloseFrame::to_payload)?;
        if self.life.close(self.terms(now)) {
            self.queue_close(&payload);
            self.release();
        }
        Ok(())
    }

    /// Answers the peer, behind all that is queued: its close frame with the same code, its violation with the violation's code and
    /// reason, the end of its half of the transport with the end of this one. Does nothing unless that
    /// [is due](Connection::is_unanswered).
    pub fn answer_close(&mut self, now: Instant) {
        let answer = self.life.answer(self.terms(now));
        self.follow(answer);
    }

    /// Gives the connection up at once. Nothing more is written; the driver drops the transport.
    pub fn terminate(&mut self) {
        self.end(Cause::Terminated);
    }

    /// Nobody will drive the connection any more, so it ends now: as its closing handshake or a violation has decided already, else
    /// with [`Cause::Abandoned`].
    pub fn abandon(&mut self) {
        self.end(Cause::Abandoned);
    }
}

/// What the driver has to do.
impl Connection {
    /// Whether to end the writing half of the transport now: `true` once, when all is written and this side is the one to
    /// end it. Tell of it with [`Connection::handle_shutdown`].
    pub fn poll_shutdown(&mut self) -> bool {
        !self.life.is_plainly_open() && !self.has_work() && self.life.begin_shutdown(self.queue.is_empty())
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
            Some(CloseFrame { code, .. }) if !is_checked => Event::UncheckedClose { code, reason: payload.skip(2) },
            frame => Event::Close(frame),
        })
    }

    /// The peer broke the protocol or a limit: its close frame goes behind what is queued.
    #[cold]
    pub(super) fn fail<'a>(&mut self, violation: Violation, now: Instant) -> Event<'a> {
        let frame = self.life.fail(violation.clone(), self.terms(now));
        self.follow(frame);
        Event::Violation(violation)
    }

    /// The time for a step of closing is over.
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

    /// The transport is over or given up.
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

    /// Does what a new state asks for: queues its close frame, which may have no code that can be sent, and releases memory.
    pub(super) fn follow(&mut self, frame: Option<CloseFrame>) {
        if let Some(frame) = frame {
            self.queue_close(&frame.to_payload().unwrap_or_default());
        }
        self.release();
    }

    /// Releases the memory that the state has no use for.
    pub(super) fn release(&mut self) {
        if self.life.is_receiving() {
            return;
        }
        self.assembler.clear();
        if self.life.outcome().is_some() {
            self.deflate = None;
            self.queue = Queue::default();
        } else if !self.life.is_open() && !self.has_work() {
            self.deflate = None;
        }
    }
}
