//! The driver of a connection: reads into the thread's buffer, passes the bytes through the core to the handler, and
//! writes all resulting output at once. `on_task` or the [event loop](crate::event_loop) calls it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use ropeway_proto::deflate;
use ropeway_proto::{CloseCode, CloseFrame, Connection as Core, Event, Input, ReadyState};

use super::clients::Place;
use super::handler::Handler;
use super::in_event::Connection;
use super::opened::{Endpoint, Opened};
use super::panics;
use super::writing::Writing;
use crate::error::Error;
use crate::handle::Link;
use crate::io::{Stream, Turn, scratch};
use crate::log::{self, Rate};
use crate::topic::ahead::{self, InEvent};

/// The most bytes that a connection may read in a turn, before others get theirs.
pub(crate) const BYTES_A_TURN: usize = 256 * 1024;

/// The same if messages are compressed: inflating and compressing takes up to 30 ns a byte, 2 ms in all.
const COMPRESSED_BYTES_A_TURN: usize = 64 * 1024;

/// The bytes that an event counts for besides its payload, so that a turn with empty messages ends too.
const MESSAGE_COST: usize = 64;

/// The most large messages, of all connections, that are compressed at the same time: each holds a codec of 265 KiB, 17
/// MiB in all. Further large messages are sent uncompressed meanwhile.
pub(crate) const MOST_CODECS: usize = 64;

/// The most rounds of a turn in which waiting messages of topics are queued and written. A round queues at most half of
/// `max_buffered`, and at most `max_buffered` bytes wait. So four rounds are enough, unless more messages arrive meanwhile.
const WRITES: usize = 4;

/// A connection with its stream and its handler.
///
/// One turn: run the commands, write all that is queued, then read and handle the input; repeat until there is nothing
/// to do. So all output of one read is written together.
pub(crate) struct Driver<H: Handler<T>, S: Stream, T = ()> {
    pub(super) stream: S,
    pub(super) core: Core,
    pub(super) link: Arc<Link>,
    pub(super) endpoint: Arc<Endpoint<H>>,
    /// Its place among the endpoint's clients.
    pub(super) place: u32,
    /// `None` before the open event, and after the close event or a panic.
    pub(super) state: Option<H::State>,
    /// Input that was read but not handled, because the peer has to read what is queued first, or because the user
    /// paused.
    leftover: Option<Box<BytesMut>>,
    pub(super) writing: Writing,
    /// Whether reading has stopped because this side did not want to read. When reading goes on, the core is told, so
    /// that the peer's silence in between does not count.
    was_unread: bool,
    /// Whether the last deadline that was returned holds until it comes, see [`Driver::is_due_sooner`].
    is_timed: bool,
}

impl<T, H: Handler<T>, S: Stream> Driver<H, S, T> {
    /// Tells the handler that the connection is open. Messages that the handler sends then go ahead of all that are
    /// sent through handles.
    pub(crate) fn open(opened: Opened<S>, endpoint: Arc<Endpoint<H>>, value: T) -> Self {
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
        log::guarded(|| log::of_connection!(debug, driver.link, path = handshake.path(), "open"));
        driver.guarded(|this| {
            let mut ws = Connection::new(&mut this.core, &this.link);
            this.state = Some(this.endpoint.handler.on_open(&mut ws, handshake.replace(value).1));
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

    /// Runs commands, writes and reads, until nothing is left to do or the bytes of one turn are used up. If `is_due`,
    /// the connection's deadline has come, and is acted on first.
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

    /// The bytes that wait to be written, here or in a layer such as TLS.
    pub(super) fn buffered(&self) -> usize {
        self.core.buffered_amount().max(usize::from(self.writing == Writing::Unflushed))
    }

    /// Whether [`next_deadline`](Driver::next_deadline) is to be asked again. At rest every byte that comes only moves
    /// the deadline later, so the old one is kept until it fires.
    #[cfg(unix)]
    pub(crate) fn is_due_sooner(&self) -> bool {
        !(self.is_timed && self.core.is_at_rest())
    }

    /// Returns the time at which the connection needs a turn even if nothing comes.
    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        self.is_timed = self.core.is_at_rest() && !self.is_unread();
        self.deadline()
    }

    fn deadline(&self) -> Option<Instant> {
        // While nothing is read, the peer's silence means nothing. Closing has its deadline all the same.
        if self.is_unread() { self.core.poll_unread_timeout() } else { self.core.poll_timeout() }
    }

    /// Tells the connection the time, if its deadline has come.
    fn expire(&mut self, now: Instant) {
        // The core has to know of a pause before it judges the time: the peer's silence during a pause means nothing.
        self.note_unread(now);
        if self.is_unread() {
            // The peer's answer lies behind bytes that are not read. It is enough if the peer's system acknowledges the
            // ping.
            let config = self.core.config();
            if let Some(interval) = config.ping_interval {
                self.stream.expect_confirmation(Some(interval.saturating_add(config.ping_timeout)));
            }
            return self.core.handle_unread_timeout(now);
        }
        if self.deadline().is_some_and(|deadline| deadline <= now)
            && let Some(event) = self.core.handle_timeout(now)
        {
            self.guarded(|this| this.dispatch(event));
        }
    }

    /// Does what was asked through handles.
    #[inline]
    pub(super) fn run_commands(&mut self) {
        Connection::new(&mut self.core, &self.link).run_commands();
    }

    fn run(&mut self, cx: &mut Context<'_>, now: Instant) -> Turn {
        let mut left = self.bytes_a_turn();
        let mut has_worked = false;
        loop {
            self.run_commands();
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
            if left == 0 || self.core.has_work() || self.can_send_waiting() {
                // Other connections get their turn first. The output of this turn is written before that.
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

    /// Writes the bytes that wait, until the transport accepts no more. Messages of topics that wait for room follow.
    pub(super) fn write(&mut self, cx: &mut Context<'_>, now: Instant) {
        self.write_queue(cx, now);
        if self.link.has_waiting() {
            self.write_waiting(cx, now);
        }
    }

    #[cold]
    fn write_waiting(&mut self, cx: &mut Context<'_>, now: Instant) {
        for _ in 0..WRITES {
            if self.writing == Writing::Ended {
                return self.link.drop_waiting();
            }
            if !Connection::new(&mut self.core, &self.link).send_waiting() {
                return;
            }
            self.write_queue(cx, now);
        }
    }

    fn write_queue(&mut self, cx: &mut Context<'_>, now: Instant) {
        // If the transport does not accept all, it wakes the connection later. Nothing is waited for here.
        if let Poll::Ready(Err(error)) = self.writing.poll_write(&mut self.stream, &mut self.core, cx, now) {
            self.broken(error);
        }
    }

    /// Whether there is room for messages of topics that wait. Other threads may add to them as fast as they are sent.
    fn can_send_waiting(&self) -> bool {
        self.link.has_waiting() && self.core.buffered_amount() < self.link.room_for_waiting()
    }

    fn broken(&mut self, error: io::Error) {
        log::guarded(|| {
            log::of_connection!(debug, self.link, %error, "the transport broke");
        });
        self.writing = Writing::Ended;
        // The end itself is reported by reading, and a user who paused may never read.
        self.link.report_broken(error);
    }

    /// Tells the core when a pause is over.
    fn note_unread(&mut self, now: Instant) {
        if self.is_unread() {
            self.was_unread = true;
        } else if std::mem::take(&mut self.was_unread) {
            self.stream.expect_confirmation(None);
            self.core.handle_unread(now);
        }
    }

    /// Ready when something was read or handled. Returns the number of bytes.
    fn poll_input(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<usize> {
        if self.is_unread() {
            // The user may have paused since the last check. Parking compares with the value that is acted on here.
            self.was_unread = true;
            return Poll::Pending;
        }
        // `is_unread` is not called again here. If a pause came between two calls, it would not be acted on, and its
        // end would be missed.
        if self.cannot_deliver() {
            return Poll::Pending;
        }
        if let Some(mut bytes) = self.leftover.take() {
            let Delivered { handled, rest } = self.deliver(&mut bytes, now);
            if rest > 0 {
                bytes.advance(bytes.len() - rest);
                self.leftover = Some(bytes);
            }
            return Poll::Ready(handled);
        }
        if let Some(room) = self.core.poll_read_buffer() {
            let result = ready!(self.stream.poll_read(cx, room));
            let count = self.handle_read(result, now);
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
            let count = self.handle_read(result, now);
            if count == 0 {
                return Poll::Ready(0);
            }
            let Delivered { handled, rest } = self.deliver(&mut buffer[..count], now);
            self.leftover = leftover_of(&buffer[count - rest..count]);
            Poll::Ready(handled)
        })
    }

    /// Acts on the result of a read: the core is told of an end or an error. Returns how many bytes were read. After 0
    /// nothing more is read.
    fn handle_read(&mut self, result: io::Result<usize>, now: Instant) -> usize {
        match result {
            // TLS reports this if a peer ends its half of TCP without close_notify. Frames show whether anything was
            // cut off by that.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.handle_read(Ok(0), now),
            Ok(0) if self.is_broken() => {
                // The peer can no longer be answered.
                self.core.handle_reset();
                0
            }
            Ok(0) => {
                // Reported once, and not if the peer's close frame has come.
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

    /// Called when the peer has closed, or has ended its half: the handler answers, now or later.
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

    /// Throws away all input that has come, before the transport is dropped: unread bytes would reset a TCP connection,
    /// and the peer might lose bytes that it has not read.
    fn empty(&mut self, cx: &mut Context<'_>) {
        if self.core.outcome().is_none_or(|closed| !closed.clean) {
            return;
        }
        self.read_off(cx);
    }

    /// Reads and throws away input, at most as much as in a turn. Returns whether the peer has ended its half.
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

    /// Handles input, event by event, until it is used up or the rest has to wait.
    fn deliver(&mut self, bytes: &mut [u8], now: Instant) -> Delivered {
        let length = bytes.len();
        let mut input = Input::new(bytes);
        let mut inflated = 0;
        let is_handled = self.guarded(|this| {
            this.handle(&mut input, now, &mut inflated);
            this.complete_read();
        });
        if !is_handled {
            // The handler is gone, but the rest is parsed: the peer's close frame may be in it, and the decoder must
            // not lose its place.
            self.guarded(|this| this.handle(&mut input, now, &mut inflated));
        }
        let rest = input.remaining().len();
        Delivered { handled: inflated.max(length - rest), rest }
    }

    fn handle(&mut self, input: &mut Input<'_>, now: Instant, inflated: &mut usize) {
        let most = self.bytes_a_turn();
        while !self.is_stopped() && *inflated < most {
            let before = self.core.received_amount();
            match self.core.handle_input(input, now) {
                // The message goes directly to the handler. Through `dispatch` the event would be copied.
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
                // If input is left, more events will come of it.
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
                VIOLATIONS.log(|| log::of_connection!(info, self.link, "{violation}"));
                handler.on_error(&mut ws, state, &Error::Violation(violation));
            }
            // The close frame was handled above, and `Event` may get more variants.
            _ => {}
        }
    }

    /// Whether the rest of a read has to wait.
    fn is_stopped(&self) -> bool {
        self.is_unread() || self.cannot_deliver()
    }

    /// Whether nothing can be delivered now: there is no room for another reply or publication, or nothing is read any
    /// more. No other thread changes that.
    fn cannot_deliver(&self) -> bool {
        // The event that is being handled may have published too much. The link is told after the event.
        let is_ahead = ahead::is_ahead() && self.core.is_receiving();
        is_ahead || self.is_full() || !self.core.is_reading()
    }

    /// Whether the transport is broken. The input that came before is then still delivered, so that the end can be
    /// reported.
    fn is_broken(&self) -> bool {
        self.writing == Writing::Ended || self.stream.is_broken()
    }

    /// Whether this side does not want to read: the user has paused, has not taken the messages that were delivered, or
    /// has published faster than the subscribers are sent to (see [`ahead`]). The peer's silence means nothing then. If
    /// no more messages may come, reading goes on all the same: the end of the transport has to be seen.
    fn is_unread(&self) -> bool {
        let waits = self.link.is_paused() || self.link.is_ahead() || (self.link.is_held() && !self.is_broken());
        waits && self.core.is_receiving()
    }

    /// Whether `max_buffered` bytes wait for the peer. Nothing is read from it then, so that each reply finds room. A
    /// closing connection is never full: it sends no replies, and must read on to see the peer's close frame.
    fn is_full(&self) -> bool {
        self.core.is_receiving()
            && self.core.ready_state() == ReadyState::Open
            && self.core.buffered_amount() >= self.core.config().max_buffered
    }

    /// Runs the user's code. If it panics, returns `false`: that ends this connection and no other.
    pub(super) fn guarded(&mut self, run: impl FnOnce(&mut Self)) -> bool {
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

    /// Stops reading until the messages that this connection has published are sent.
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
        panics::log_event_handler(&self.link);
        self.state = None;
        // If the handler paused, it can no longer resume, and the peer's close frame has to be read.
        self.link.pause(false);
        self.link.hold(false);
        let frame = CloseFrame::new(CloseCode::INTERNAL_ERROR, "");
        // The code 1011 can always be sent.
        let _ = self.core.close(Some(&frame), tokio::time::Instant::now().into_std());
    }
}

/// How far input was handled.
struct Delivered {
    /// How many bytes were handled, counted as inflated if that is more.
    handled: usize,
    /// How many bytes are left, at the end of the input.
    rest: usize,
}

/// Copies input to keep it for later.
fn leftover_of(bytes: &[u8]) -> Option<Box<BytesMut>> {
    (!bytes.is_empty()).then(|| Box::new(BytesMut::from(bytes)))
}
