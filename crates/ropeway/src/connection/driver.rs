//! A connection's work: reads into the thread's buffer, lets the core and the handler make of it what they will, and writes
//! everything that came of it at once. It is called by `on_task` or by the
//! [event loop](crate::event_loop).

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use ropeway_proto::deflate;
use ropeway_proto::{Cause, CloseCode, CloseFrame, Connection as Core, Event, Input, ReadyState};

use super::clients::Place;
use super::handler::Handler;
use super::in_event::Connection;
use super::opened::{Endpoint, Opened};
use super::writing::Writing;
use crate::error::Error;
use crate::handle::Link;
use crate::io::{Stream, Turn, scratch};
use crate::log::{self, Rate};
use crate::topic::ahead::{self, InEvent};

/// How many bytes a connection may read before others have their turn.
pub(crate) const BYTES_A_TURN: usize = 256 * 1024;

/// How many where messages are compressed: to inflate and compress them takes up to 30 ns a byte, 2 ms in all.
const COMPRESSED_BYTES_A_TURN: usize = 64 * 1024;

/// An event's share of those bytes besides its payload, so that empty messages come to an end too.
const MESSAGE_COST: usize = 64;

/// How many large messages are compressed at once, of all connections: each holds a codec of 265 KiB, so this is 17 MiB. Another
/// large message is sent uncompressed meanwhile.
pub(crate) const MOST_CODECS: usize = 64;

/// A connection with its stream and its handler.
///
/// One turn: commands, one write of all that is queued, then a read and what it brings; again until there is nothing to
/// do. What is queued while a read is being handled is so written together.
pub(crate) struct Driver<H: Handler, S: Stream> {
    pub(super) stream: S,
    pub(super) core: Core,
    pub(super) link: Arc<Link>,
    endpoint: Arc<Endpoint<H>>,
    /// Its place among the endpoint's clients.
    place: u32,
    /// `None` before the open event, and after the close event or a panic.
    state: Option<H::State>,
    /// Input that was read but not handled, since the peer has to take what is queued first or the user paused.
    leftover: Option<Box<BytesMut>>,
    pub(super) writing: Writing,
    /// Whether nothing was read for a while because the user did not want to.
    was_unread: bool,
    /// Whether the deadline that was told last holds until it comes, see [`Driver::is_due_sooner`].
    is_timed: bool,
}

impl<H: Handler, S: Stream> Driver<H, S> {
    /// Tells the handler that the connection is open. What it sends is ahead of all that others send once they have a handle.
    pub(crate) fn open(opened: Opened<S>, endpoint: Arc<Endpoint<H>>) -> Self {
        let Opened { stream, core, link, handshake, leftover, place } = opened;
        let mut driver = Self {
            stream,
            core,
            link,
            endpoint,
            place: place.map_or(0, Place::keep),
            state: None,
            leftover: leftover_of(&leftover),
            writing: Writing::Idle,
            was_unread: false,
            is_timed: false,
        };
        driver.guarded(|this| {
            let mut ws = Connection::new(&mut this.core, &this.link);
            this.state = Some(this.endpoint.handler.on_open(&mut ws, handshake));
        });
        driver
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    #[cfg(unix)]
    pub(crate) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Does what there is to do; also what its deadline asks for, if that has come.
    pub(crate) fn turn(&mut self, is_due: bool, cx: &mut Context<'_>, now: Instant) -> Turn {
        scratch::with_spare(|spare| {
            self.core.lend(spare);
            if is_due {
                self.expire(now);
            }
            let turn = self.run(cx, now);
            self.core.reclaim(spare);
            turn
        })
    }

    /// Bytes that wait to be written, here or in a layer between.
    pub(super) fn buffered(&self) -> usize {
        self.core.buffered_amount().max(usize::from(self.writing == Writing::Unflushed))
    }

    /// Whether [`next_deadline`](Driver::next_deadline) is to be asked again. At rest every byte that comes only moves the deadline later,
    /// so the old one is kept until it fires.
    #[cfg(unix)]
    pub(crate) fn is_due_sooner(&self) -> bool {
        !(self.is_timed && self.core.is_at_rest())
    }

    /// When a turn is due though nothing comes.
    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        self.is_timed = self.core.is_at_rest() && !self.is_unread();
        self.deadline()
    }

    fn deadline(&self) -> Option<Instant> {
        // While nothing is read, silence is not judged; closing has its deadline all the same.
        if self.is_unread() { self.core.poll_unread_timeout() } else { self.core.poll_timeout() }
    }

    /// Tells the connection that it is so late, if that matters.
    fn expire(&mut self, now: Instant) {
        // The clock has to know of a pause before it is asked: the peer's silence meanwhile says nothing.
        self.note_unread(now);
        if self.is_unread() {
            // The answer lies behind what is not read. That the peer's system takes the ping says enough.
            let config = self.core.config();
            if let Some(interval) = config.ping_interval {
                self.stream.expect_confirmation(Some(interval + config.ping_timeout));
            }
            return self.core.handle_unread_timeout(now);
        }
        if self.deadline().is_some_and(|deadline| deadline <= now)
            && let Some(event) = self.core.handle_timeout(now)
        {
            self.guarded(|this| this.dispatch(event));
        }
    }

    fn run(&mut self, cx: &mut Context<'_>, now: Instant) -> Turn {
        let mut left = self.bytes_a_turn();
        let mut has_worked = false;
        loop {
            Connection::new(&mut self.core, &self.link).run_commands();
            if !std::mem::replace(&mut has_worked, true) {
                self.core.handle_work(deflate::codecs_in_use() < MOST_CODECS);
            }
            self.write(cx, now);
            if self.core.outcome().is_some() {
                self.empty(cx);
                self.finish();
                return Turn::Over;
            }
            self.note_unread(now);
            if let Poll::Ready(count) = self.poll_input(cx, now) {
                left = left.saturating_sub(count);
                if left > 0 {
                    continue;
                }
            }
            if left == 0 || self.core.has_work() {
                // Others first; what this turn queued goes out before.
                self.write(cx, now);
                self.link.report(self.core.buffered_amount(), self.core.ready_state());
                return Turn::Again;
            }
            let (buffered, state) = (self.buffered(), self.core.ready_state());
            if self.link.park(buffered, state, self.was_unread, self.is_broken()) {
                return Turn::Parked;
            }
        }
    }

    /// Writes all that waits, as far as the transport takes it.
    pub(super) fn write(&mut self, cx: &mut Context<'_>, now: Instant) {
        // What the transport does not take now it wakes the connection for; there is nothing to wait for here.
        if let Poll::Ready(Err(error)) = self.writing.poll_write(&mut self.stream, &mut self.core, cx, now) {
            self.broken(error);
        }
    }

    fn broken(&mut self, error: io::Error) {
        log::guarded(|| {
            tracing::debug!(remote_addr = self.link.remote_addr().map(display), %error, "the transport broke");
        });
        self.writing = Writing::Ended;
        // The end itself comes with what is read, for which a user who paused may not ask.
        self.link.report_broken(error);
    }

    /// Tells the core of a pause that is over.
    fn note_unread(&mut self, now: Instant) {
        if self.is_unread() {
            self.was_unread = true;
        } else if std::mem::take(&mut self.was_unread) {
            self.stream.expect_confirmation(None);
            self.core.handle_unread(now);
        }
    }

    /// Ready when something was read or handled, with the number of bytes.
    fn poll_input(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<usize> {
        if self.is_unread() {
            // It may be paused since the last look. What is acted on is what parking compares with.
            self.was_unread = true;
            return Poll::Pending;
        }
        // It is not asked again whether to read: a pause between the two answers would not be acted on, and its end be missed.
        if self.cannot_deliver() {
            return Poll::Pending;
        }
        if let Some(mut bytes) = self.leftover.take() {
            let (handled, rest) = self.deliver(&mut bytes, now);
            if rest > 0 {
                bytes.advance(bytes.len() - rest);
                self.leftover = Some(bytes);
            }
            return Poll::Ready(handled);
        }
        if let Some(room) = self.core.poll_read_buffer() {
            let result = ready!(self.stream.poll_read(cx, room));
            let count = self.check_read(result, now);
            if count > 0 {
                let event = self.core.handle_read_in_place(count, now);
                self.guarded(|this| {
                    if let Some(event) = event {
                        this.dispatch(event);
                    }
                    this.complete_read();
                });
            }
            return Poll::Ready(count);
        }
        scratch::with(|buffer| {
            let result = ready!(self.stream.poll_read(cx, buffer));
            let count = self.check_read(result, now);
            if count == 0 {
                return Poll::Ready(0);
            }
            let (handled, rest) = self.deliver(&mut buffer[..count], now);
            self.leftover = leftover_of(&buffer[count - rest..count]);
            Poll::Ready(handled)
        })
    }

    /// How many bytes were read; at 0 nothing more will be.
    fn check_read(&mut self, result: io::Result<usize>, now: Instant) -> usize {
        match result {
            // TLS says so of a peer that ends its half of TCP without a word. What was cut off by that, frames tell.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.check_read(Ok(0), now),
            Ok(0) if self.is_broken() => {
                // There is nobody to answer.
                self.core.handle_reset();
                0
            }
            Ok(0) => {
                // Said once, and by the close frame if there was one.
                let is_news = self.core.is_receiving();
                self.core.handle_eof(now);
                if is_news {
                    self.guarded(Self::peer_closed);
                }
                0
            }
            Ok(count) => count,
            Err(error) => {
                self.broken(error);
                self.core.handle_reset();
                0
            }
        }
    }

    /// The peer has closed, or ended its half: the handler answers, now or later.
    fn peer_closed(&mut self) {
        if self.core.is_unanswered() {
            let mut ws = Connection::new(&mut self.core, &self.link);
            match &mut self.state {
                Some(state) => self.endpoint.handler.on_peer_close(&mut ws, state),
                None => ws.answer_close(),
            }
        }
        self.link.report(self.core.buffered_amount(), self.core.ready_state());
    }

    /// Throws away what has come already, before the transport is dropped: unread bytes would reset a TCP connection, and the
    /// peer might lose what it has not read.
    fn empty(&mut self, cx: &mut Context<'_>) {
        if self.core.outcome().is_none_or(|closed| !closed.clean) {
            return;
        }
        self.read_off(cx);
    }

    /// Reads and throws away what is there, of a peer that sends on a turn's worth. Returns whether the peer has ended its half.
    pub(super) fn read_off(&mut self, cx: &mut Context<'_>) -> bool {
        for _ in 0..BYTES_A_TURN / scratch::SIZE {
            match scratch::with(|buffer| self.stream.poll_read(cx, buffer)) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(_) => return true,
                Poll::Pending => return false,
            }
        }
        false
    }

    /// Handles input, event by event, until it is used up or the rest has to wait. Returns how many bytes that was, counted as
    /// they inflate where that is more, and how many are left.
    fn deliver(&mut self, bytes: &mut [u8], now: Instant) -> (usize, usize) {
        let length = bytes.len();
        let mut input = Input::new(bytes);
        let mut inflated = 0;
        let is_handled = self.guarded(|this| {
            this.handle(&mut input, now, &mut inflated);
            this.complete_read();
        });
        if !is_handled {
            // The handler is gone, but the rest is parsed: the peer's close frame may be in it, and the decoder must not lose its place.
            self.guarded(|this| this.handle(&mut input, now, &mut inflated));
        }
        let rest = input.remaining().len();
        (inflated.max(length - rest), rest)
    }

    fn handle(&mut self, input: &mut Input<'_>, now: Instant, inflated: &mut usize) {
        let most = self.bytes_a_turn();
        while !self.is_stopped() && *inflated < most {
            let before = self.core.received_amount();
            match self.core.handle_input(input, now) {
                // Straight to the handler: to have it taken apart by `dispatch`, the event would be copied.
                Some(Event::Message(message)) => {
                    *inflated += message.len() + MESSAGE_COST;
                    if let Some(state) = &mut self.state {
                        self.endpoint.handler.on_message(
                            &mut Connection::new(&mut self.core, &self.link),
                            state,
                            message,
                        );
                    }
                }
                Some(event) => {
                    *inflated += MESSAGE_COST;
                    self.dispatch(event);
                }
                // Of the input that is left, if some is, more will come.
                None => {
                    *inflated += self.core.received_amount().saturating_sub(before);
                    return;
                }
            }
        }
    }

    fn bytes_a_turn(&self) -> usize {
        if self.core.is_compressed() { COMPRESSED_BYTES_A_TURN } else { BYTES_A_TURN }
    }

    fn complete_read(&mut self) {
        if let Some(state) = &mut self.state {
            self.endpoint.handler.on_read_complete(&mut Connection::new(&mut self.core, &self.link), state);
        }
    }

    fn dispatch(&mut self, event: Event<'_>) {
        if matches!(event, Event::Close(_)) {
            return self.peer_closed();
        }
        match &event {
            Event::Violation(_) => self.link.report(self.core.buffered_amount(), self.core.ready_state()),
            Event::Pong(payload) => self.link.pong(payload),
            _ => {}
        }
        let (Some(state), handler) = (&mut self.state, &self.endpoint.handler) else { return };
        let mut ws = Connection::new(&mut self.core, &self.link);
        match event {
            Event::Message(message) => handler.on_message(&mut ws, state, message),
            Event::Ping(payload) => handler.on_ping(&mut ws, state, &payload),
            Event::Pong(payload) => handler.on_pong(&mut ws, state, &payload),
            Event::Violation(violation) => {
                static VIOLATIONS: Rate = Rate::new("violations");
                VIOLATIONS.log(|| tracing::info!(remote_addr = self.link.remote_addr().map(display), "{violation}"));
                handler.on_error(&mut ws, state, &Error::Violation(violation));
            }
            // The close frame was told of above, and `Event` may grow.
            _ => {}
        }
    }

    /// Whether to leave what comes in the middle of a read.
    fn is_stopped(&self) -> bool {
        self.is_unread() || self.cannot_deliver()
    }

    /// Whether nothing can be delivered for now: there is no room for a reply or a publication more, or nothing is read any more. No
    /// other thread changes that.
    fn cannot_deliver(&self) -> bool {
        // The event that is being handled may have published too much, of which the link is told behind it.
        let is_ahead = ahead::is_ahead() && self.core.is_receiving();
        is_ahead || self.is_full() || !self.core.is_reading()
    }

    /// Whether nobody is at the other end any more. What it sent before is left to the user then, so that the end can be told.
    fn is_broken(&self) -> bool {
        self.writing == Writing::Ended || self.stream.is_broken()
    }

    /// Whether this side does not want to read: the user paused, or has not taken what was delivered, or publishes faster than others can
    /// send (see [`ahead`]). Silence says nothing then. What would be thrown away is read all the same: a connection that closes
    /// has to see the transport's end.
    fn is_unread(&self) -> bool {
        let waits = self.link.is_paused() || self.link.is_ahead() || (self.link.is_held() && !self.is_broken());
        waits && self.core.is_receiving()
    }

    /// Whether the peer does not take what is queued. It is not asked for more then: so each reply finds room. A closing
    /// connection sends no replies, and reads on, or it would never see the peer's close frame.
    fn is_full(&self) -> bool {
        self.core.is_receiving()
            && self.core.ready_state() == ReadyState::Open
            && self.core.buffered_amount() >= self.core.config().max_buffered
    }

    fn finish(&mut self) {
        let Some(mut closed) = self.core.outcome().cloned() else { return };
        if let (Cause::Eof | Cause::Abandoned, Some(broken)) = (&closed.cause, self.link.take_broken()) {
            closed.cause = Cause::Broken(broken);
        }
        log::guarded(|| tracing::debug!(remote_addr = self.link.remote_addr().map(display), "closed: {closed}"));
        self.link.report_outcome(closed.clone());
        self.guarded(|this| {
            let mut ws = Connection::new(&mut this.core, &this.link);
            if let Some(mut state) = this.state.take() {
                // A violation was told when it was found.
                if let Some(error @ Error::Lost(_)) = Error::of_end(&closed) {
                    this.endpoint.handler.on_error(&mut ws, &mut state, &error);
                }
                this.endpoint.handler.on_close(&mut ws, state, &closed);
            }
        });
    }

    /// Nobody will drive the connection any more, so it ends before its time.
    fn abandon(&mut self) {
        // What decides how it ends may have been asked for already, such as `terminate`.
        Connection::new(&mut self.core, &self.link).run_commands();
        self.core.abandon();
        self.finish();
    }

    /// Runs the user's code. A panic there, for which this is `false`, ends this connection and no other.
    fn guarded(&mut self, run: impl FnOnce(&mut Self)) -> bool {
        let event = InEvent::new();
        let result = catch_unwind(AssertUnwindSafe(|| run(self)));
        drop(event);
        if ahead::is_ahead() {
            self.wait_as_publisher();
        }
        if result.is_err() {
            self.fail_after_panic();
        }
        result.is_ok()
    }

    /// Stops reading until what the connection has published is sent.
    #[cold]
    fn wait_as_publisher(&mut self) {
        let Some(behind) = ahead::take() else { return };
        self.link.set_ahead();
        if behind.wait(&Waker::from(Arc::clone(&self.link))) {
            self.link.caught_up();
        }
    }

    #[cold]
    fn fail_after_panic(&mut self) {
        static PANICS: Rate = Rate::new("panics of handlers");
        PANICS.log(|| {
            tracing::error!(
                remote_addr = self.link.remote_addr().map(display),
                "a handler panicked; its connection is closed with 1011"
            );
        });
        self.state = None;
        // The handler that paused is gone, and the peer's close frame is to be read.
        self.link.pause(false);
        self.link.hold(false);
        let frame = CloseFrame::new(CloseCode::INTERNAL_ERROR, "");
        // An internal error can always be sent.
        let _ = self.core.close(Some(&frame), tokio::time::Instant::now().into_std());
    }
}

/// Keeps input for later.
fn leftover_of(bytes: &[u8]) -> Option<Box<BytesMut>> {
    (!bytes.is_empty()).then(|| Box::new(BytesMut::from(bytes)))
}

/// The connection has ended, or its runtime has: those that await the end are told.
impl<H: Handler, S: Stream> Drop for Driver<H, S> {
    fn drop(&mut self) {
        if self.link.outcome().is_none() {
            let _ = catch_unwind(AssertUnwindSafe(|| self.abandon()));
        }
        self.link.end();
        if let Some(clients) = &self.endpoint.clients {
            clients.leave(self.place);
        }
    }
}
