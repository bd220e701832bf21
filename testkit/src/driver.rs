//! Drives a `ropeway_proto::Connection` by hand, with a clock and a transport that the test controls.

use std::fmt::Debug;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ropeway_proto::{self as proto, Connection, Input, MessageRef, deflate};

use crate::case::{Case, Closed, Command, Event, State, Step};
use crate::config::{Config, Deflate, Time};
use crate::outcome::{Cut, Outcome};
use crate::role::Role;
use crate::wire;

/// Runs a case through the core.
///
/// If the input comes one byte at a time, the transport also accepts one byte at a time.
pub fn run_core(case: &Case, cut: Cut) -> Outcome {
    let mut driver = Driver::new(case.role, &case.config);
    if cut == Cut::EveryByte {
        driver.write_at_most(1);
    }
    for step in case.steps(cut) {
        driver.step(&step);
    }
    driver.outcome()
}

/// One end of a connection, and the record of all that it has said and sent.
#[derive(Debug)]
pub struct Driver {
    connection: Connection,
    now: Instant,
    /// The most bytes that one write accepts.
    write_size: usize,
    /// The number of bytes that the transport still accepts. `None` for all.
    room: Option<usize>,
    events: Vec<Event>,
    sent: Vec<u8>,
    ended: bool,
}

impl Driver {
    /// A connection after its opening handshake.
    pub fn new(role: Role, config: &Config) -> Self {
        let now = Instant::now();
        let end = match role {
            Role::Server => proto::Role::Server,
            Role::Client => proto::Role::client(|| wire::KEY),
        };
        let mut connection = Connection::new(end, Arc::new(configure(role, config)), now);
        if let Some(deflate) = &config.deflate {
            connection = connection.with_deflate(&params(deflate), &options(deflate));
        }
        let (events, sent) = (Vec::new(), Vec::new());
        Self { connection, now, write_size: usize::MAX, room: None, events, sent, ended: false }
    }

    /// From now on each write accepts at most `bytes`.
    pub fn write_at_most(&mut self, bytes: usize) {
        self.write_size = bytes;
    }

    /// Makes one thing happen.
    pub fn step(&mut self, step: &Step) {
        match step {
            Step::Receive(bytes) => self.receive(bytes),
            Step::Eof => self.connection.handle_eof(self.now),
            Step::Reset => self.connection.handle_reset(),
            Step::Stall => self.room = Some(0),
            Step::Drain(bytes) => self.room = *bytes,
            Step::Wait(time) => self.wait(*time),
            Step::Send(command) => self.send(command),
        }
        self.write();
    }

    /// The record so far.
    pub fn outcome(&self) -> Outcome {
        Outcome {
            events: self.events.clone(),
            sent: self.sent.clone(),
            ended: self.ended,
            state: match self.connection.ready_state() {
                proto::ReadyState::Connecting => State::Connecting,
                proto::ReadyState::Open => State::Open,
                proto::ReadyState::Closing => State::Closing,
                proto::ReadyState::Closed => State::Closed,
            },
            closed: self.connection.outcome().map(Closed::from),
        }
    }

    /// Takes the bytes that were put on the wire since the last call.
    pub fn take_sent(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.sent)
    }

    /// Takes the events since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// One read. All that waits is written after each event, so that the bytes sent do not depend on the cuts of the
    /// input.
    fn receive(&mut self, bytes: &[u8]) {
        let mut read = bytes.to_vec();
        let mut input = Input::new(&mut read);
        while !input.is_empty() {
            let before = input.remaining().len();
            while let Some(event) = self.connection.handle_input(&mut input, self.now) {
                self.events.push(event.into());
                self.write();
            }
            assert!(input.remaining().len() < before, "the core gave no event and took nothing of {before} bytes");
        }
    }

    /// Lets time pass, and wakes the connection at each time that it asks for.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.connection.poll_timeout()
            && at <= end
        {
            self.now = self.now.max(at);
            self.events.extend(self.connection.handle_timeout(self.now).map(Event::from));
            self.write();
        }
        self.now = end;
    }

    fn send(&mut self, command: &Command) {
        let result = match command {
            Command::Text(text) => self.connection.send(text),
            // Text is lent and binary is given away, because large owned payloads take another way through the queue.
            Command::Binary(payload) => self.connection.send(payload.clone()),
            Command::UncompressedText(text) => self.connection.send_uncompressed(text),
            Command::UncompressedBinary(payload) => self.connection.send_uncompressed(payload.clone()),
            Command::TextFragment(text) => self.connection.send_fragment(text, false),
            Command::BinaryFragment(payload) => self.connection.send_fragment(payload.as_slice(), false),
            Command::Continuation { part, last } => self.connection.send_fragment(part.as_slice(), *last),
            Command::Ping(payload) => self.connection.ping(payload),
            Command::Pong(payload) => self.connection.pong(payload),
            Command::Close(body) => {
                let frame = body.as_ref().map(|(code, reason)| proto::CloseFrame::new(*code, reason.as_str()));
                self.connection.close(frame.as_ref(), self.now)
            }
            Command::AnswerClose => {
                self.connection.answer_close(self.now);
                Ok(())
            }
            Command::Terminate => {
                self.connection.terminate();
                Ok(())
            }
        };
        self.events.extend(result.err().map(|error| Event::Refused(variant(&error))));
    }

    /// Writes until nothing waits, then ends the transport if the connection asks for that.
    fn write(&mut self) {
        while self.connection.has_work() {
            self.connection.handle_work(true);
        }
        loop {
            // Only a few slices, so that a long queue does not fit in one write.
            let mut slices = [IoSlice::new(&[]); 3];
            let count = self.connection.poll_transmit(&mut slices);
            let waiting = slices[..count].iter().flat_map(|slice| slice.iter());
            let before = self.sent.len();
            self.sent.extend(waiting.take(self.write_size.min(self.room.unwrap_or(usize::MAX))));
            let written = self.sent.len() - before;
            if written == 0 {
                break;
            }
            self.room = self.room.map(|room| room - written);
            self.connection.handle_transmitted(written);
        }
        if self.connection.poll_shutdown() {
            self.ended = true;
            self.connection.handle_shutdown();
        }
        self.ended |= self.connection.outcome().is_some();
    }
}

impl From<proto::Event<'_>> for Event {
    fn from(event: proto::Event<'_>) -> Self {
        match event {
            proto::Event::Message(MessageRef::Text(text)) => Self::Text(text.to_owned()),
            proto::Event::Message(MessageRef::Binary(payload)) => Self::Binary(payload.to_vec()),
            proto::Event::Ping(payload) => Self::Ping(payload.to_vec()),
            proto::Event::Pong(payload) => Self::Pong(payload.to_vec()),
            proto::Event::Close(frame) => {
                Self::Close(frame.map(|frame| (frame.code.as_u16(), frame.reason.to_string())))
            }
            proto::Event::UncheckedText(payload) => Self::UncheckedText(payload.to_vec()),
            proto::Event::UncheckedClose(proto::UncheckedClose { code, reason }) => {
                Self::UncheckedClose(code.as_u16(), reason.to_vec())
            }
            proto::Event::Violation(violation) => Self::Violation(variant(&violation)),
            other => unreachable!("{other:?} is an event that the cases can't tell"),
        }
    }
}

impl From<&proto::Closed> for Closed {
    fn from(closed: &proto::Closed) -> Self {
        // The core is not told of errors and reports `Eof`. Another driver may know the error.
        let cause = variant(&closed.cause).replace("Broken", "Eof");
        let how = match (closed.clean, cause.as_str()) {
            (true, "Handshake") => "clean".to_owned(),
            (true, cause) => format!("clean{cause}"),
            (false, cause) => cause.to_owned(),
        };
        Self { code: closed.code.as_u16(), reason: closed.reason.to_string(), how }
    }
}

/// The name of an enum's variant. Cases name violations, refusals and causes by it.
pub fn variant(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

/// The configuration that a case asks for.
pub fn configure(role: Role, config: &Config) -> proto::Config {
    let mut configured = match role {
        Role::Server => proto::Config::server(),
        Role::Client => proto::Config::client(),
    };
    set(&mut configured.max_payload, config.max_payload);
    set(&mut configured.max_fragments, config.max_fragments);
    set(&mut configured.max_control_rate, config.max_control_rate);
    set(&mut configured.max_buffered, config.max_buffered);
    set(&mut configured.message_timeout, config.message_timeout_ms.map(Time::into_duration));
    set(&mut configured.ping_interval, config.ping_interval_ms.map(Time::into_duration));
    set(&mut configured.ping_timeout, config.ping_timeout_ms.map(Time::or_longest));
    set(&mut configured.close_timeout, config.close_timeout_ms.map(Time::into_duration));
    set(&mut configured.end_timeout, config.end_timeout_ms.map(Time::or_longest));
    set(&mut configured.auto_pong, config.auto_pong);
    set(&mut configured.control_first, config.control_first);
    set(&mut configured.auto_close, config.auto_close);
    set(&mut configured.auto_fail, config.auto_fail);
    set(&mut configured.check_utf8, config.check_utf8);
    set(&mut configured.reserve_ahead, config.reserve_ahead);
    configured
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn params(deflate: &Deflate) -> deflate::Params {
    deflate::Params {
        server_no_context_takeover: deflate.server_no_context_takeover,
        client_no_context_takeover: deflate.client_no_context_takeover,
        server_max_window_bits: deflate.server_max_window_bits.unwrap_or(15),
        client_max_window_bits: deflate.client_max_window_bits.unwrap_or(15),
    }
}

fn options(deflate: &Deflate) -> deflate::Options {
    let defaults = deflate::Options::default();
    match deflate.threshold {
        Some(bytes) => defaults.threshold(bytes),
        None => defaults,
    }
}
