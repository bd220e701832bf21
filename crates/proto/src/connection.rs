//! A connection after the opening handshake: its getters, its input from the network and the clock, and the meaning of control
//! frames. Bytes and frames are left to [`crate::recv`] and [`crate::send`].

mod closing;
mod sending;

use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::close::CloseFrame;
use crate::config::Config;
use crate::control_rate::ControlRate;
use crate::deflate::{self, Compressor, Inflater};
use crate::error::Violation;
use crate::event::Event;
use crate::frame::Opcode;
use crate::frame::header::Rules;
use crate::input::Input;
use crate::keepalive::{Due, Keepalive};
use crate::life::Life;
use crate::message::Payload;
use crate::outcome::{Cause, Closed};
use crate::recv::assembler::{Assembler, lend};
use crate::recv::decoder::{Decoded, Decoder};
use crate::role::Role;
use crate::send::encoder::Encoder;
use crate::send::job::Job;
use crate::send::queue::{Queue, Spare};
use crate::state::ReadyState;

/// Both directions of a negotiated permessage-deflate.
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
    life: Life,
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
            life: Life::default(),
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
    pub const fn role(&self) -> &Role {
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
        self.life.ready_state()
    }

    /// Whether messages may still come. Once they may not, what the peer sends is thrown away.
    pub fn is_receiving(&self) -> bool {
        self.life.is_receiving()
    }

    /// Whether the driver is to read on: until it has told of the transport's end. What comes once messages may not is thrown
    /// away, but is read: ending a TCP connection with unread bytes resets it.
    pub fn is_reading(&self) -> bool {
        self.life.is_reading()
    }

    /// Whether the peer has closed or ended its half of the transport and this side has not answered, which is so only where
    /// [`Config::auto_close`] is off. Messages can be sent until [`Connection::answer_close`] or [`Connection::close`].
    pub fn is_unanswered(&self) -> bool {
        self.life.is_unanswered()
    }

    /// Whether it is open, in the middle of no message and not waiting for a pong: so only silence can become too long, and each
    /// read moves the time that [`Connection::poll_timeout`] returns.
    #[inline]
    pub fn is_at_rest(&self) -> bool {
        self.life.is_plainly_open() && self.assembler.is_at_rest() && !self.keepalive.is_unanswered()
    }

    /// Bytes that wait to be written, frame headers included. A message that waits for the end of a fragmented message, or for a large
    /// message to be compressed, counts with the memory of its place too.
    pub fn buffered_amount(&self) -> usize {
        self.queue.len() + self.life.held_bytes() + self.job().map_or(0, Job::len)
    }

    /// How it ended, once it is closed. The driver then drops the transport.
    pub fn outcome(&self) -> Option<&Closed> {
        self.life.outcome()
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
    /// Takes bytes that were read, up to the next event. Call it until it returns `None`: the input is used up then.
    ///
    /// It also returns `None` when some 256 KiB were inflated, and leaves the rest of the input: other connections may have their turn
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

    /// Handles frames of all kinds; `handle_input` handles the plain ones itself.
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

    /// The memory to read into next, in the middle of a large message: bytes that are read there are not copied again. Report them
    /// with [`Connection::handle_read_in_place`]. Reading elsewhere is always right too.
    pub fn poll_read_buffer(&mut self) -> Option<&mut [u8]> {
        if !self.is_receiving() {
            return None;
        }
        self.assembler.room(self.decoder.data_left()?, &self.config)
    }

    /// Takes the first `count` bytes of the memory that [`Connection::poll_read_buffer`] returned last: they were read.
    pub fn handle_read_in_place(&mut self, count: usize, now: Instant) -> Option<Event<'static>> {
        self.keepalive.heard(now);
        match self.assembler.push_in_place(count, &mut self.decoder, &self.config) {
            Ok(message) => message.map(Event::Message),
            Err(violation) => Some(self.fail(violation, now)),
        }
    }

    /// The time that [`Connection::poll_timeout`] named has come; harmless at any other.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Event<'static>> {
        if self.life.deadline().is_some_and(|deadline| now >= deadline) {
            self.closing_timeout(now);
        }
        if !self.is_receiving() {
            return None;
        }
        if self.message_deadline().is_some_and(|deadline| now >= deadline) {
            return Some(self.fail(Violation::MessageTooSlow, now));
        }
        match self.keepalive.due(&self.config, now) {
            Due::Gone => self.end(Cause::KeepaliveTimeout),
            Due::Ping(payload) if self.life.is_open() => {
                self.encoder.control(Opcode::Ping, &payload, &mut self.queue);
            }
            Due::Ping(_) | Due::Nothing => {}
        }
        None
    }

    /// When [`Connection::handle_unread_timeout`] is to be called, while nothing is read because this side does not want to.
    pub fn poll_unread_timeout(&self) -> Option<Instant> {
        if self.life.is_open() && !self.is_unanswered() {
            self.keepalive.deadline(&self.config)
        } else {
            self.poll_timeout()
        }
    }

    /// What [`Connection::handle_timeout`] does, while nothing is read because this side does not want to: the peer's silence is not
    /// judged, but it is still pinged, so that the transport notices where it is gone.
    pub fn handle_unread_timeout(&mut self, now: Instant) {
        if !self.life.is_open() || self.is_unanswered() {
            self.handle_timeout(now);
        } else if let Due::Ping(payload) = self.keepalive.due_unread(&self.config, now)
            && self.queue.is_empty()
        {
            // Its pong waits with all the others of a pause, however long that is.
            self.control_rate.expect();
            self.encoder.control(Opcode::Ping, &payload, &mut self.queue);
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

    /// The next `count` bytes of the slices that [`Connection::poll_transmit`] filled were written.
    pub fn handle_transmitted(&mut self, count: usize) {
        self.queue.advance(count);
    }
}

/// The work of the driver.
impl Connection {
    /// Fills `slices` with the bytes that wait to be written, best in one `writev`. Returns how many slices were filled, 0 if nothing waits.
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

    /// Takes back the memory that was lent, once there is nothing more to do. Bytes that are not written yet keep theirs.
    #[inline]
    pub fn reclaim(&mut self, spare: &mut Spare) {
        self.queue.reclaim(spare);
    }

    /// When [`Connection::handle_timeout`] is to be called. A driver may keep its timer while the connection
    /// [is at rest](Connection::is_at_rest), and ask again when that fires.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.life.is_open() || self.is_unanswered() {
            return self.life.deadline();
        }
        [self.keepalive.deadline(&self.config), self.message_deadline()].into_iter().flatten().min()
    }
}

impl Connection {
    /// Acts on a whole control frame.
    fn receive_control<'a>(
        &mut self,
        opcode: Opcode,
        payload: Payload<'a>,
        now: Instant,
    ) -> Result<Event<'a>, Violation> {
        self.count_control(now)?;
        Ok(match opcode {
            Opcode::Ping => {
                // RFC 6455 section 5.5.2: "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response, unless it
                // already received a Close frame." Behind our own close frame nothing is sent either (section 5.5.1); the peer
                // has heard that we are alive. Section 5.5.3: the pong "must have identical "Application data"".
                if self.config.auto_pong && self.life.is_open() {
                    self.encoder.control(Opcode::Pong, &payload, &mut self.queue);
                }
                Event::Ping(payload)
            }
            Opcode::Pong => {
                // RFC 6455 section 5.5.3: "A Pong frame MAY be sent unsolicited", so one that answers no ping of ours is no fault,
                // and "a response to an unsolicited Pong frame is not expected".
                self.keepalive.pong(&payload, now);
                Event::Pong(payload)
            }
            _ => {
                // RFC 6455 section 5.5.1: "If an endpoint receives a Close frame and did not previously send a Close frame, the
                // endpoint MUST send a Close frame in response." If both start the closing handshake at once, which section 1.4
                // calls safe, each frame is the other's answer. Section 7.1.2: "Once an endpoint has both sent and received a
                // Close control frame, that endpoint SHOULD _Close the WebSocket Connection_". Section 1.4: after receiving one
                // "a peer discards any further data received".
                let frame = CloseFrame::parse(&payload)?;
                self.close_received(frame.clone(), now);
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

    /// Starts a message's clock where there is one to keep.
    fn note_unfinished(&mut self, now: Instant) {
        if self.config.message_timeout.is_some() {
            self.assembler.start_clock(now);
        }
    }

    fn message_deadline(&self) -> Option<Instant> {
        self.assembler.unfinished_since()?.checked_add(self.config.message_timeout?)
    }
}
