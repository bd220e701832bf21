//! A connection after the opening handshake: what it is told by the network, the clock and the user, and what it wants
//! written. Frames are [`crate::recv`]'s and [`crate::send`]'s; here is what they mean for the connection's life.

mod closing;

use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::close::CloseFrame;
use crate::config::Config;
use crate::deflate::{self, Compressor, Inflater, SLICE};
use crate::error::{SendError, Violation};
use crate::event::Event;
use crate::frame::Opcode;
use crate::frame::header::{MAX_CONTROL_PAYLOAD, Rules};
use crate::input::Input;
use crate::keepalive::{Due, Keepalive};
use crate::life::{Other, Peer, State, Unanswered};
use crate::message::{MessageRef, Payload};
use crate::outcome::{Cause, Closed};
use crate::recv::assembler::{Assembler, lend};
use crate::recv::decoder::{Decoded, Decoder};
use crate::role::Role;
use crate::send::encoder::{Encoder, split};
use crate::send::job::{Behind, Done, Job};
use crate::send::prepared::Prepared;
use crate::send::queue::{Queue, Spare};
use crate::state::ReadyState;

/// Control frames counted over a second.
#[derive(Debug, Default)]
struct ControlRate {
    /// Which second of the connection's life.
    second: u32,
    /// How many came in it. Less than 0 by as many as may come besides: one pong for each keepalive ping that was sent, since the
    /// pongs of a long pause come all at once.
    count: i32,
}

impl ControlRate {
    /// A ping was sent, and its pong may come at any time.
    fn expect(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    /// A control frame came in this second. Returns whether that is within the limit.
    fn note(&mut self, second: u32, most: u32) -> bool {
        if self.second != second {
            *self = Self { second, count: self.count.min(0) };
        }
        self.count = self.count.saturating_add(1);
        self.count <= 0 || self.count.unsigned_abs() <= most
    }
}

/// Both halves of a negotiated permessage-deflate.
#[derive(Debug)]
struct Deflate {
    compressor: Compressor,
    inflater: Inflater,
    /// A large message that is being compressed.
    job: Option<Box<Job>>,
}

/// How much may come of compressed input before [`Connection::handle_input`] stops in the middle of it.
const INFLATED_A_CALL: usize = 256 * 1024;

/// One end of a WebSocket connection, driven by hand: see the [crate's documentation](crate) for the loop.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    state: State,
    decoder: Decoder,
    assembler: Assembler,
    encoder: Encoder,
    queue: Queue,
    deflate: Option<Box<Deflate>>,
    keepalive: Keepalive,
    control_rate: ControlRate,
}

/// Every connection at rest pays for each of these bytes.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Connection>() <= 96);

/// Getters.
impl Connection {
    /// A connection whose opening handshake is done.
    pub fn new(role: Role, config: Arc<Config>, now: Instant) -> Self {
        Self {
            config,
            state: State::Open,
            decoder: Decoder::default(),
            assembler: Assembler::default(),
            encoder: Encoder::new(role),
            queue: Queue::default(),
            deflate: None,
            keepalive: Keepalive::new(now),
            control_rate: ControlRate::default(),
        }
    }

    /// The same with permessage-deflate as the handshake negotiated it from `options`.
    #[must_use]
    pub fn with_deflate(mut self, params: &deflate::Params, options: &deflate::Options) -> Self {
        let side = deflate::Side::from(self.role());
        self.deflate = Some(Box::new(Deflate {
            compressor: Compressor::new(params, side, options),
            inflater: Inflater::new(params, side),
            job: None,
        }));
        self
    }

    /// Which end this is.
    pub const fn role(&self) -> Role {
        self.encoder.role()
    }

    /// Its limits and times.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where in its life it is; never [`ReadyState::Connecting`]. It is open while the peer's close frame [is not answered].
    ///
    /// [is not answered]: Connection::is_unanswered
    pub fn ready_state(&self) -> ReadyState {
        match self.state.other() {
            None | Some(Other::Fragmenting(_) | Other::Unanswered(_)) => ReadyState::Open,
            Some(Other::CloseSent { .. } | Other::Lingering(_)) => ReadyState::Closing,
            Some(Other::Closed(_)) => ReadyState::Closed,
        }
    }

    /// Whether messages may still come. Once they may not, what the peer sends is thrown away.
    pub fn is_receiving(&self) -> bool {
        matches!(self.state.other(), None | Some(Other::Fragmenting(_) | Other::CloseSent { .. }))
    }

    /// Whether the driver is to read on: until it has told of the transport's end. What comes once messages may not is thrown
    /// away, but is read: ending a TCP connection with unread bytes resets it.
    pub fn is_reading(&self) -> bool {
        match self.state.other() {
            Some(Other::Unanswered(unanswered)) => !unanswered.is_ended,
            Some(Other::Lingering(lingering)) => lingering.peer != Peer::Ended,
            Some(Other::Closed(_)) => false,
            None | Some(Other::Fragmenting(_) | Other::CloseSent { .. }) => true,
        }
    }

    /// Whether the peer has closed or ended its half of the transport and this side has not answered, which is so only where
    /// [`Config::auto_close`] is off. Messages can be sent until [`Connection::answer_close`] or [`Connection::close`].
    pub fn is_unanswered(&self) -> bool {
        matches!(self.state.other(), Some(Other::Unanswered(_)))
    }

    /// Whether it is open, in the middle of no message and not waiting for a pong: so only silence can become too long, and each
    /// read moves what [`Connection::poll_timeout`] gives later.
    #[inline]
    pub fn is_at_rest(&self) -> bool {
        self.state.other().is_none() && self.assembler.is_at_rest() && !self.keepalive.is_unanswered()
    }

    /// Bytes that wait to be written, frame headers included. A message that waits for the end of a fragmented message, or for a large
    /// message to be compressed, counts with the memory of its place too.
    pub fn buffered_amount(&self) -> usize {
        let held = match self.state.other() {
            Some(Other::Fragmenting(fragments) | Other::Unanswered(Unanswered { fragments: Some(fragments), .. })) => {
                fragments.held_bytes
            }
            _ => 0,
        };
        self.queue.len() + held + self.job().map_or(0, Job::len)
    }

    /// How it ended, once it is closed. The driver then drops the transport.
    pub fn outcome(&self) -> Option<&Closed> {
        match self.state.other() {
            Some(Other::Closed(outcome)) => Some(outcome),
            _ => None,
        }
    }

    /// The round-trip time of the newest keepalive ping that was answered.
    pub fn latency(&self) -> Option<Duration> {
        self.keepalive.latency()
    }

    /// How many bytes have come of a message that is unfinished, inflated.
    pub fn received_amount(&self) -> usize {
        self.assembler.len()
    }

    /// Whether messages are sent compressed where that is worth it.
    pub const fn is_compressed(&self) -> bool {
        self.deflate.is_some()
    }
}

/// From the network and the clock.
impl Connection {
    /// Takes bytes that were read, up to the next event; call it until it gives `None`, when the input is used up.
    ///
    /// It also gives `None` when some 256 KiB were inflated, and leaves the rest of the input: then others may have their turn
    /// before it is called with that.
    ///
    /// The event borrows the input, or owns what it carries; it never borrows the connection.
    #[expect(clippy::inline_always, reason = "else the event is copied twice: 5 % of a small message's instructions")]
    #[inline(always)]
    pub fn handle_input<'a>(&mut self, input: &mut Input<'a>, now: Instant) -> Option<Event<'a>> {
        if input.is_empty() {
            return None;
        }
        if input.take_newness() {
            self.keepalive.heard(now);
        }
        let rules = Rules { masked: matches!(self.role(), Role::Server), deflate: self.deflate.is_some() };
        if self.assembler.is_at_rest()
            && self.is_receiving()
            && let Some((payload, is_text)) = self.decoder.next_plain(input, rules, self.config.max_payload)
        {
            return Some(match lend(payload, is_text) {
                Ok(message) => Event::Message(message),
                Err(violation) => self.fail(violation, now),
            });
        }
        self.handle_any_input(input, rules, now)
    }

    /// The same, for frames of all kinds.
    #[inline(never)]
    fn handle_any_input<'a>(&mut self, input: &mut Input<'a>, rules: Rules, now: Instant) -> Option<Event<'a>> {
        let before = self.assembler.len();
        loop {
            if !self.is_receiving() {
                self.throw_away(input.take_all().len(), now);
                return None;
            }
            let event = match self.decoder.next(input, rules) {
                Ok(None) => {
                    self.note_unfinished(now);
                    return None;
                }
                Ok(Some(Decoded::Part(part))) => {
                    let inflater = self.deflate.as_mut().map(|deflate| &mut deflate.inflater);
                    match self.assembler.push(&part, &self.config, inflater) {
                        Ok(None) if self.deflate.is_some() && self.assembler.len() >= before + INFLATED_A_CALL => {
                            self.note_unfinished(now);
                            return None;
                        }
                        Ok(None) => continue,
                        Ok(Some(message)) => return Some(Event::Message(message)),
                        Err(violation) => Err(violation),
                    }
                }
                Ok(Some(Decoded::Control(opcode, payload))) => self.receive_control(opcode, payload, now),
                Err(violation) => Err(violation),
            };
            return Some(event.unwrap_or_else(|violation| self.fail(violation, now)));
        }
    }

    /// Where the driver should read next, in the middle of a large message: the bytes then need not be copied. Whatever was
    /// read there has to be told of with [`Connection::handle_read_in_place`]; reading elsewhere is always right too.
    pub fn poll_read_buffer(&mut self) -> Option<&mut [u8]> {
        if !self.is_receiving() {
            return None;
        }
        self.assembler.room(self.decoder.data_left()?, &self.config)
    }

    /// Takes the first `count` bytes of what [`Connection::poll_read_buffer`] gave last: they were read.
    pub fn handle_read_in_place(&mut self, count: usize, now: Instant) -> Option<Event<'static>> {
        self.keepalive.heard(now);
        match self.assembler.push_in_place(count, &mut self.decoder, &self.config) {
            Ok(message) => message.map(Event::Message),
            Err(violation) => Some(self.fail(violation, now)),
        }
    }

    /// The time that [`Connection::poll_timeout`] named has come; harmless at any other.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Event<'static>> {
        if self.closing_deadline().is_some_and(|deadline| now >= deadline) {
            self.close_timeout(now);
        }
        if !self.is_receiving() {
            return None;
        }
        if self.message_deadline().is_some_and(|deadline| now >= deadline) {
            return Some(self.fail(Violation::MessageTooSlow, now));
        }
        match self.keepalive.due(&self.config, now) {
            Due::Gone => self.end(Cause::KeepaliveTimeout),
            Due::Ping(payload) if self.state.is_open() => self.ask(payload),
            Due::Ping(_) | Due::Nothing => {}
        }
        None
    }

    /// When [`Connection::handle_unread_timeout`] is to be called, while nothing is read because this side does not want to.
    pub fn poll_unread_timeout(&self) -> Option<Instant> {
        if self.state.is_open() && !self.is_unanswered() {
            self.keepalive.deadline(&self.config)
        } else {
            self.poll_timeout()
        }
    }

    /// What [`Connection::handle_timeout`] does, while nothing is read because this side does not want to: the peer's silence is not
    /// judged, but it is still pinged, so that the transport notices where it is gone.
    pub fn handle_unread_timeout(&mut self, now: Instant) {
        if !self.state.is_open() || self.is_unanswered() {
            self.handle_timeout(now);
        } else if let Due::Ping(payload) = self.keepalive.due_unread(&self.config, now)
            && self.queue.is_empty()
        {
            self.ask(payload);
        }
    }

    /// Nothing was read for a while because this side did not want to. The peer's silence since then says nothing about it, and
    /// the message that it is in the middle of gets its time anew.
    pub fn handle_unread(&mut self, now: Instant) {
        self.keepalive.heard(now);
        self.assembler.restart_clock(now);
    }

    /// The transport was full and has taken more: so the peer is there, though our ping may be stuck behind what it reads.
    pub fn handle_taken(&mut self, now: Instant) {
        self.keepalive.heard(now);
    }

    /// The next `count` bytes of what [`Connection::poll_transmit`] gave were written.
    pub fn handle_transmitted(&mut self, count: usize) {
        self.queue.advance(count);
    }
}

/// Commands of the user.
impl Connection {
    /// Queues a message.
    ///
    /// It is refused with [`SendError::Full`] while [`Config::max_buffered`] bytes wait, and otherwise taken whole, however
    /// large it is.
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<MessageRef<'m>>) -> Result<(), SendError> {
        self.send_message(message.into())
    }

    /// Queues a message that was promised room before: it is not refused for the lack of it.
    pub fn send_promised<'m>(&mut self, message: impl Into<MessageRef<'m>>) -> Result<(), SendError> {
        self.check_open()?;
        self.queue_message(message.into());
        Ok(())
    }

    /// Queues a message that other connections send too: as [`send`](Connection::send) does, but what can be done once for all of
    /// them is.
    pub fn send_prepared(&mut self, message: &Prepared) -> Result<(), SendError> {
        if !self.has_plain_room() {
            self.check_room()?;
        }
        self.queue_prepared(message);
        Ok(())
    }

    /// Queues a message that other connections send too, and that was promised room before.
    pub fn send_prepared_promised(&mut self, message: &Prepared) -> Result<(), SendError> {
        self.check_open()?;
        self.queue_prepared(message);
        Ok(())
    }

    /// Queues a part of a message whose length need not be known: a fragment. The first decides whether it is text or
    /// binary. Fragments are not compressed. Messages that are sent before the `last` one wait for it (RFC 6455
    /// section 5.4: fragments of different messages "MUST NOT be interleaved"). It is never refused for lack of room, as a
    /// message once begun has to be finished: mind the [buffered amount](Connection::buffered_amount).
    pub fn send_fragment<'m>(&mut self, part: impl Into<MessageRef<'m>>, last: bool) -> Result<(), SendError> {
        self.check_open()?;
        let first = self.state.fragments().is_none();
        self.queue_fragment(part.into(), first, last);
        match (first, last) {
            (true, false) => self.state.start_fragments(),
            (false, true) => {
                let held = self.state.end_fragments().held;
                for message in held {
                    self.queue_message(message.into());
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Queues a ping of at most 125 bytes, ahead of all messages that have not started.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.send_control(Opcode::Ping, payload)
    }

    /// Queues a pong of at most 125 bytes that nobody asked for, or that answers where [`Config::auto_pong`] is off.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.send_control(Opcode::Pong, payload)
    }
}

/// What the driver has to do.
impl Connection {
    /// Whether a large message is being compressed, for which [`Connection::handle_work`] is to be called.
    #[inline]
    pub fn has_work(&self) -> bool {
        self.job().is_some()
    }

    /// Compresses the next 16 KiB of a large message: half a millisecond's work at most. The message and what was sent behind it
    /// wait until all of it is compressed, and count as [buffered](Connection::buffered_amount) meanwhile; pings and pongs do not
    /// wait. A driver calls this once a turn while it [has work](Connection::has_work), and lets other connections have theirs.
    ///
    /// A message takes a codec of some 265 KiB with its first slice, and gives it back with its last. If it `may_begin` is the
    /// driver's to say, by how many have: see [`begun`](deflate::begun). If not, a message that has not begun is sent as it is, which RFC
    /// 7692 section 6.1 leaves to the sender.
    pub fn handle_work(&mut self, may_begin: bool) {
        let Some(deflate) = &mut self.deflate else { return };
        let Some(mut job) = deflate.job.take() else { return };
        if !job.step(&mut deflate.compressor, may_begin) {
            deflate.job = Some(job);
            return;
        }
        let Done { opcode, is_compressed, payload, mut behind } = job.finish();
        self.encoder.frame(opcode, true, is_compressed, payload, &mut self.queue);
        while let Some(next) = behind.pop() {
            match next {
                Behind::Message(message) => self.queue_whole(message.into()),
                Behind::Prepared(prepared) => self.queue_prepared_whole(&prepared),
                Behind::Fragment { part, first, last } => self.queue_fragment(part.into(), first, last),
                Behind::Close(payload) => self.queue_close(&payload),
            }
            if let Some(job) = self.job_mut() {
                // The rest waits for this one.
                job.set_behind(behind);
                break;
            }
        }
        if !self.is_receiving() && !self.state.is_open() && !self.has_work() {
            self.deflate = None;
        }
    }

    /// Fills `slices` with what is to be written, best in one `writev`; gives how many were filled, 0 when nothing waits.
    /// Then say how much was written: [`Connection::handle_transmitted`].
    #[inline]
    pub fn poll_transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        if self.outcome().is_some() { 0 } else { self.queue.slices(slices) }
    }

    /// Lends memory for what will be sent, before there is something to do.
    #[inline]
    pub fn lend(&mut self, spare: &mut Spare) {
        self.queue.lend(spare);
    }

    /// Gives back what was lent, once there is nothing more to do. What is still unwritten keeps it.
    #[inline]
    pub fn reclaim(&mut self, spare: &mut Spare) {
        self.queue.reclaim(spare);
    }

    /// When [`Connection::handle_timeout`] is to be called. A driver may keep its timer while the connection
    /// [is at rest](Connection::is_at_rest), and ask again when that fires.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.state.is_open() || self.is_unanswered() {
            return self.closing_deadline();
        }
        [self.keepalive.deadline(&self.config), self.message_deadline()].into_iter().flatten().min()
    }
}

impl Connection {
    /// What a whole control frame means.
    fn receive_control<'a>(
        &mut self,
        opcode: Opcode,
        payload: Payload<'a>,
        now: Instant,
    ) -> Result<Event<'a>, Violation> {
        self.count_control(now)?;
        Ok(match opcode {
            Opcode::Ping => {
                // Behind our close frame nothing may be sent; the peer knows that we are alive.
                if self.config.auto_pong && self.state.is_open() {
                    self.encoder.control(Opcode::Pong, &payload, &mut self.queue);
                }
                Event::Ping(payload)
            }
            Opcode::Pong => {
                self.keepalive.pong(&payload, now);
                Event::Pong(payload)
            }
            _ => {
                let frame = CloseFrame::parse(&payload)?;
                let outcome = Closed::clean(frame.clone());
                if self.state.is_open() {
                    self.receive_end(outcome, now);
                } else {
                    self.linger_clean(outcome, false, now);
                }
                Event::Close(frame)
            }
        })
    }

    /// A flood of control frames costs its receiver more than its sender.
    fn count_control(&mut self, now: Instant) -> Result<(), Violation> {
        let most = self.config.max_control_rate;
        if self.control_rate.note(self.keepalive.second(now), most) {
            Ok(())
        } else {
            Err(Violation::ControlFlood(most))
        }
    }

    /// Queues a keepalive ping.
    fn ask(&mut self, payload: [u8; 4]) {
        self.control_rate.expect();
        self.encoder.control(Opcode::Ping, &payload, &mut self.queue);
    }

    fn send_message(&mut self, message: MessageRef<'_>) -> Result<(), SendError> {
        if self.has_plain_room() {
            self.encoder.message(message, &mut self.queue);
            return Ok(());
        }
        self.check_room()?;
        self.queue_message(message);
        Ok(())
    }

    /// Whether a message can be queued without more ado. Most connections are open, compress nothing and are within no fragments:
    /// all that waits is in the queue.
    #[inline]
    fn has_plain_room(&self) -> bool {
        self.state.other().is_none() && self.deflate.is_none() && self.queue.len() < self.config.max_buffered
    }

    #[inline(never)]
    fn queue_message(&mut self, message: MessageRef<'_>) {
        if let Some(fragments) = self.state.fragments() {
            return fragments.hold(message.into_owned());
        }
        self.queue_whole(message);
    }

    /// Queues a message whose turn has come, behind what is being compressed.
    fn queue_whole(&mut self, message: MessageRef<'_>) {
        let Some(deflate) = self.deflate.as_deref_mut() else {
            let (opcode, payload) = split(message);
            return self.encoder.frame(opcode, true, false, payload, &mut self.queue);
        };
        if let Some(job) = &mut deflate.job {
            job.push(Behind::Message(message.into_owned()));
        } else if message.len() > SLICE && deflate.compressor.wants(message.len()) {
            let (opcode, payload) = split(message);
            deflate.job = Some(Box::new(Job::new(opcode, payload.into_bytes())));
        } else {
            self.encoder.compressed(message, &mut deflate.compressor, &mut self.queue);
        }
    }

    fn queue_fragment(&mut self, part: MessageRef<'_>, first: bool, last: bool) {
        match self.job_mut() {
            Some(job) => job.push(Behind::Fragment { part: part.into_owned(), first, last }),
            None => self.encoder.fragment(part, first, last, &mut self.queue),
        }
    }

    fn queue_close(&mut self, payload: &[u8]) {
        match self.job_mut() {
            Some(job) => job.push(Behind::Close(payload.to_vec())),
            None => self.encoder.close(payload, &mut self.queue),
        }
    }

    #[inline]
    fn job(&self) -> Option<&Job> {
        self.deflate.as_ref()?.job.as_deref()
    }

    fn job_mut(&mut self) -> Option<&mut Job> {
        self.deflate.as_mut()?.job.as_deref_mut()
    }

    fn queue_prepared(&mut self, message: &Prepared) {
        if self.state.fragments().is_some() {
            // Its turn comes with that of all messages that are held.
            return self.queue_message(message.message().clone().into());
        }
        self.queue_prepared_whole(message);
    }

    fn queue_prepared_whole(&mut self, message: &Prepared) {
        if let Some(job) = self.job_mut() {
            return job.push(Behind::Prepared(message.clone()));
        }
        let compressor = self.deflate.as_mut().map(|deflate| &mut deflate.compressor);
        self.encoder.prepared(message, compressor, &mut self.queue);
    }

    fn check_open(&self) -> Result<(), SendError> {
        if self.state.is_open() { Ok(()) } else { Err(SendError::NotOpen(self.ready_state())) }
    }

    fn check_room(&self) -> Result<(), SendError> {
        self.check_open()?;
        let buffered = self.buffered_amount();
        if buffered >= self.config.max_buffered {
            return Err(SendError::Full { buffered });
        }
        Ok(())
    }

    fn send_control(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), SendError> {
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(SendError::ControlTooLong(payload.len()));
        }
        self.check_room()?;
        self.encoder.control(opcode, payload, &mut self.queue);
        Ok(())
    }

    /// Starts a message's clock where there is one to keep.
    fn note_unfinished(&mut self, now: Instant) {
        if self.config.message_timeout.is_some() {
            self.assembler.start_clock(now);
        }
    }

    fn message_deadline(&self) -> Option<Instant> {
        Some(self.assembler.unfinished_since()? + self.config.message_timeout?)
    }
}
