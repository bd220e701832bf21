//! A connection after the opening handshake: its getters, its input from the network and the clock, and its reactions
//! to control frames. Bytes and frames are left to [`crate::recv`] and [`crate::send`].

mod closing;
mod sending;

use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

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

/// Both directions of a permessage-deflate that was negotiated.
#[derive(Debug)]
struct Deflate {
    compressor: Compressor,
    inflater: Inflater,
    /// A large message that is being compressed.
    job: Option<Box<Job>>,
}

/// [`Connection::handle_input`] stops in the middle of compressed input once it has inflated this many bytes. A few
/// bytes can inflate to many, and would hold up the caller. The check is made after each part of a frame.
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

/// Every connection at rest costs these bytes.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Connection>() <= 96);

/// Constructors.
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

    /// Turns on permessage-deflate, as the handshake negotiated it from `options`.
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
}

/// Getters.
impl Connection {
    /// The role of this end of the connection.
    pub const fn role(&self) -> &Role {
        self.encoder.role()
    }

    /// The limits and times of the connection.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The ready state, as browsers name it; never [`ReadyState::Connecting`]. It is OPEN while the peer [is not
    /// answered](Connection::is_unanswered).
    pub fn ready_state(&self) -> ReadyState {
        self.life.ready_state()
    }

    /// Whether messages may still come. Once they may not, bytes from the peer are thrown away.
    pub fn is_receiving(&self) -> bool {
        self.life.is_receiving()
    }

    /// Whether the driver should read on: until it has reported the transport's end. Bytes that are only thrown away
    /// are read too, because a TCP connection that ends with unread bytes is reset.
    pub fn is_reading(&self) -> bool {
        self.life.is_reading()
    }

    /// Whether nothing more is received, and this side has not answered yet. Either the peer has closed or ended its
    /// half of the transport, and [`Config::auto_close`] is off; or the peer has broken the protocol, and
    /// [`Config::auto_fail`] is off. Messages can be sent until [`Connection::answer_close`] or [`Connection::close`].
    pub fn is_unanswered(&self) -> bool {
        self.life.is_unanswered()
    }

    /// Whether the connection is open, receives no message at the moment, and does not wait for a pong. Then the only
    /// deadline is for the peer's silence, and each read moves it later: see [`Connection::poll_timeout`].
    #[inline]
    pub fn is_at_rest(&self) -> bool {
        self.life.is_plainly_open() && self.assembler.is_at_rest() && !self.keepalive.is_unanswered()
    }

    /// The bytes that wait to be written, with the headers of frames. A message that waits for the end of a fragmented
    /// message, or for a large message to be compressed, counts for the memory of its place too.
    pub fn buffered_amount(&self) -> usize {
        self.queue.len() + self.life.held_bytes() + self.job().map_or(0, Job::len)
    }

    /// How the connection ended, once it is closed. The driver then drops the transport.
    pub fn outcome(&self) -> Option<&Closed> {
        self.life.outcome()
    }

    /// The round-trip time of the newest keepalive ping that was answered.
    pub fn latency(&self) -> Option<Duration> {
        self.keepalive.latency()
    }

    /// The bytes of an unfinished message that have come, inflated; 0 between messages.
    pub fn received_amount(&self) -> usize {
        self.assembler.len()
    }

    /// Whether messages are sent compressed, if they are long enough for that.
    pub const fn is_compressed(&self) -> bool {
        self.deflate.is_some()
    }
}

/// Input from the network and the clock.
impl Connection {
    /// Takes bytes that were read, up to the next event. Call it until it returns `None`: then the input is used up.
    ///
    /// It also returns `None` after about 256 KiB have been inflated, and leaves the rest of the input. Let other
    /// connections have their turn, and then call it again with that rest.
    ///
    /// The event borrows the input, or owns its payload. It never borrows the connection.
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
            if is_text && !self.config.check_utf8 {
                return Some(Event::UncheckedText(Payload::Lent(payload)));
            }
            return Some(match lend(payload, is_text) {
                Ok(message) => Event::Message(message),
                Err(violation) => self.fail(violation, now),
            });
        }
        self.handle_any_input(input, rules, now)
    }

    /// Handles frames of all kinds; `handle_input` handles plain ones itself.
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
                        Ok(Some(event)) => return Some(event),
                        Err(violation) => Err(violation),
                    }
                }
                Ok(Some(Decoded::Control(opcode, payload))) => self.receive_control(opcode, payload, now),
                Err(violation) => Err(violation),
            };
            return Some(event.unwrap_or_else(|violation| self.fail(violation, now)));
        }
    }

    /// Returns the memory to read into next, if the connection is in the middle of a large message. Bytes that are read
    /// there are not copied again. Report them with [`Connection::handle_read_in_place`]. Reading into another buffer
    /// is always correct too.
    pub fn poll_read_buffer(&mut self) -> Option<&mut [u8]> {
        if !self.is_receiving() {
            return None;
        }
        self.assembler.room(self.decoder.data_left()?, &self.config)
    }

    /// Takes the first `count` bytes of the memory that [`Connection::poll_read_buffer`] returned last, which the
    /// driver has read.
    pub fn handle_read_in_place(&mut self, count: usize, now: Instant) -> Option<Event<'static>> {
        self.keepalive.heard(now);
        match self.assembler.push_in_place(count, &mut self.decoder, &self.config) {
            Ok(event) => event,
            Err(violation) => Some(self.fail(violation, now)),
        }
    }

    /// Call it when the time of [`Connection::poll_timeout`] has come. It is harmless at any other time.
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
                self.queue_control(Opcode::Ping, &payload);
            }
            Due::Ping(_) | Due::Nothing => {}
        }
        None
    }

    /// The time to call [`Connection::handle_unread_timeout`], while nothing is read because this side does not want
    /// to.
    pub fn poll_unread_timeout(&self) -> Option<Instant> {
        if self.life.is_open() && !self.is_unanswered() {
            self.keepalive.deadline(&self.config)
        } else {
            self.poll_timeout()
        }
    }

    /// The same as [`Connection::handle_timeout`], while nothing is read because this side does not want to. The peer's
    /// silence does not count, but the peer is still pinged, so that the transport breaks if the peer is gone.
    pub fn handle_unread_timeout(&mut self, now: Instant) {
        if !self.life.is_open() || self.is_unanswered() {
            self.handle_timeout(now);
            return;
        }
        let silence = self.keepalive.silence(now);
        if let Due::Ping(payload) = self.keepalive.due_unread(&self.config, now) {
            self.control_rate.allow(silence, self.config.max_control_rate);
            if self.queue.is_empty() {
                self.queue_control(Opcode::Ping, &payload);
            }
        }
    }

    /// Tells the connection that nothing was read for a time because this side did not want to. The peer's silence in
    /// that time does not count, and the unfinished message gets its whole time again.
    pub fn handle_unread(&mut self, now: Instant) {
        self.excuse_silence(now);
        self.assembler.restart_clock(now);
    }

    /// Tells the connection that the transport was full and has accepted more. So the peer is alive, even if it has not
    /// read our ping yet.
    pub fn handle_taken(&mut self, now: Instant) {
        self.excuse_silence(now);
    }

    /// Reports that the next `count` bytes of the slices from [`Connection::poll_transmit`] were written.
    pub fn handle_transmitted(&mut self, count: usize) {
        self.queue.advance(count);
    }
}

/// Work for the driver.
impl Connection {
    /// Fills `slices` with the bytes that wait to be written, preferably in one `writev`. Returns how many slices were
    /// filled, 0 if nothing waits. Report the number of written bytes with [`Connection::handle_transmitted`].
    #[inline]
    pub fn poll_transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        if self.outcome().is_some() { 0 } else { self.queue.slices(slices) }
    }

    /// Lends memory for outgoing frames. Call it at the beginning of a turn.
    #[inline]
    pub fn lend(&mut self, spare: &mut Spare) {
        self.queue.lend(spare);
    }

    /// Takes back the memory that was lent. Call it at the end of a turn. If bytes wait to be written, the connection
    /// keeps the memory.
    #[inline]
    pub fn reclaim(&mut self, spare: &mut Spare) {
        self.queue.reclaim(spare);
    }

    /// The time to call [`Connection::handle_timeout`]. A driver may keep its timer while the connection [is at
    /// rest](Connection::is_at_rest), and ask again when the timer fires.
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
                // RFC 6455 section 5.5.2: "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in
                // response, unless it already received a Close frame." Behind our own close frame nothing is sent
                // either (section 5.5.1); the peer has heard that we are alive. Section 5.5.3: the pong "must have
                // identical "Application data"".
                if self.config.auto_pong && self.life.is_open() {
                    self.queue_control(Opcode::Pong, &payload);
                }
                Event::Ping(payload)
            }
            Opcode::Pong => {
                // RFC 6455 section 5.5.3: "A Pong frame MAY be sent unsolicited", so one that answers no ping of ours
                // is no fault, and "a response to an unsolicited Pong frame is not expected".
                self.keepalive.pong(&payload, now);
                Event::Pong(payload)
            }
            _ => {
                // RFC 6455 section 5.5.1: "If an endpoint receives a Close frame and did not previously send a Close
                // frame, the endpoint MUST send a Close frame in response." If both start the closing handshake at
                // once, which section 1.4 calls safe, each frame is the other's answer. Section 7.1.2: "Once an
                // endpoint has both sent and received a Close control frame, that endpoint SHOULD _Close the WebSocket
                // Connection_". Section 1.4: after receiving one "a peer discards any further data received".
                return self.receive_close(payload, now);
            }
        })
    }

    /// Notes that the peer is alive, though nothing was read of it. Its pings and pongs may have piled up in that time,
    /// and come at once.
    fn excuse_silence(&mut self, now: Instant) {
        self.control_rate.allow(self.keepalive.silence(now), self.config.max_control_rate);
        self.keepalive.heard(now);
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

    /// Starts a message's clock, if messages have a time limit.
    fn note_unfinished(&mut self, now: Instant) {
        if self.config.message_timeout.is_some() {
            self.assembler.start_clock(now);
        }
    }

    fn message_deadline(&self) -> Option<Instant> {
        self.assembler.unfinished_since()?.checked_add(self.config.message_timeout?)
    }
}
