//! A session: what is done about each event, from the opening handshake to the close.

use std::io;
use std::time::Duration;

use ropeway::http::HeaderMap;
use ropeway::http::header::SEC_WEBSOCKET_EXTENSIONS;
use ropeway::{Bytes, Cause, CloseCode, Closed, Handshake, Message, SendError, Sender};
use tokio::time::{Instant, timeout_at};

use super::args::{Args, Wait};
use super::command::{Command, HELP};
use super::events::{Event, Events};
use super::exit::Exit;
use super::pings::Pings;
use super::render::printable;
use super::screen::Screen;
use crate::style::complain;

/// How far the session is.
///
/// ```text
///   Talking ── end of the input ──► Draining ── enough messages, or none for long enough ──► Closing
///      └─────── --one, /close, Ctrl-C, broken output, no wait ──────────────────────────────────┘
///   any ── the connection has ended ──► over
/// ```
#[derive(Debug)]
enum Phase {
    /// Input may come.
    Talking,
    /// Replies may come to the messages that were sent. It counts from when something was heard last.
    Draining { sent: u64, heard: Instant },
    /// The closing handshake was started from here.
    Closing,
}

/// A connection, and somebody or something that uses it.
pub(crate) struct Session<'a> {
    args: &'a Args,
    sender: Sender,
    events: Events,
    screen: Screen,
    pings: Pings,
    phase: Phase,
    /// How many messages came.
    received: u64,
    /// What to exit with, if not with what the close says.
    exit: Option<Exit>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(args: &'a Args, sender: Sender, events: Events, screen: Screen) -> Self {
        let (pings, phase) = (Pings::default(), Phase::Talking);
        Self { args, sender, events, screen, pings, phase, received: 0, exit: None }
    }

    /// Goes on until the connection has ended.
    pub(crate) async fn run(mut self) -> Exit {
        loop {
            match self.turn().await {
                Ok(None) => {}
                Ok(Some(exit)) => return exit,
                Err(error) => self.lose_output(&error),
            }
        }
    }

    /// Does something about the next event. An error is the output's; an exit means that all is over.
    async fn turn(&mut self) -> io::Result<Option<Exit>> {
        if let Some(event) = self.events.try_next() {
            return self.handle(event);
        }
        self.screen.flush()?;
        let event = match self.deadline() {
            None => self.events.next().await,
            Some(deadline) => match timeout_at(deadline, self.events.next()).await {
                Ok(event) => event,
                Err(_) => return self.stop_waiting().map(|()| None),
            },
        };
        // The connection's end is an event, so there is one unless its task died.
        event.map_or(Ok(Some(Exit::OtherCode)), |event| self.handle(event))
    }

    fn handle(&mut self, event: Event) -> io::Result<Option<Exit>> {
        match event {
            Event::Open(handshake) => self.greet(&handshake)?,
            Event::Message(message) => {
                let result = self.receive(&message);
                self.events.release(&message, &self.sender);
                result?;
            }
            Event::Ping(payload) => self.mention(&format!("ping {}, answered", quoted(&payload)))?,
            Event::Pong(payload) => self.receive_pong(&payload)?,
            Event::Closed(closed) => return Ok(Some(self.end(&closed))),
            Event::Typed(Ok(command)) => self.obey(command)?,
            Event::Typed(Err(mistake)) => self.screen.complain(&mistake)?,
            Event::InputEnded { sent } => self.drain(sent)?,
            Event::InputFailed(error) => {
                self.screen.complain(&format!("the input cannot be read: {error}"))?;
                self.exit = Some(Exit::Failed);
                self.close(CloseCode::NORMAL)?;
            }
            Event::Interrupted if matches!(self.phase, Phase::Closing) => self.sender.terminate(),
            Event::Interrupted => self.close(CloseCode::GOING_AWAY)?,
            Event::PingDue => {
                // Where there is no room for a ping the connection is not idle, and where it is not open it will end.
                let _ = self.pings.send(&self.sender, None);
            }
        }
        Ok(None)
    }
}

/// What the server does.
impl Session<'_> {
    fn greet(&mut self, handshake: &Handshake) -> io::Result<()> {
        if self.args.verbose {
            let (request, response) = (&handshake.request, &handshake.response);
            self.screen.note(&format!("> {} {} {:?}", request.method(), request.uri(), request.version()))?;
            self.show_headers('>', request.headers())?;
            self.screen.note(&format!("< {:?} {}", response.version(), response.status()))?;
            self.show_headers('<', response.headers())?;
        }
        if self.screen.is_interactive() {
            let subprotocol = handshake.subprotocol.as_ref().map(|name| format!(", subprotocol {name}"));
            let compressed =
                handshake.response.headers().contains_key(SEC_WEBSOCKET_EXTENSIONS).then_some(", compressed");
            self.screen.note(&format!(
                "connected to {}{}{}; /help lists commands, Ctrl-D ends",
                self.args.dial.url.target,
                subprotocol.unwrap_or_default(),
                compressed.unwrap_or_default()
            ))?;
        }
        Ok(())
    }

    fn show_headers(&mut self, direction: char, headers: &HeaderMap) -> io::Result<()> {
        for (name, value) in headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            self.screen.note(&format!("{direction} {name}: {}", printable(&value)))?;
        }
        Ok(())
    }

    fn receive(&mut self, message: &Message) -> io::Result<()> {
        self.received += 1;
        if self.args.one && self.received > 1 {
            return Ok(());
        }
        self.screen.message(message)?;
        if self.args.one {
            return self.close(CloseCode::NORMAL);
        }
        if let Phase::Draining { sent, .. } = self.phase {
            self.drain(sent)?;
        }
        Ok(())
    }

    fn receive_pong(&mut self, payload: &Bytes) -> io::Result<()> {
        match self.pings.answered(payload) {
            Some(time) if self.args.verbose || self.screen.is_interactive() => {
                self.screen.note(&format!("pong {} after {}", quoted(payload), milliseconds(time)))
            }
            Some(_) => Ok(()),
            None => self.mention(&format!("pong {}", quoted(payload))),
        }
    }

    /// The connection is closed.
    fn end(&mut self, closed: &Closed) -> Exit {
        let exit = Exit::of_closed(closed);
        if let Err(error) = self.say_how_it_ended(closed, exit).and_then(|()| self.screen.end()) {
            self.lose_output(&error);
        }
        self.exit.unwrap_or(exit)
    }

    fn say_how_it_ended(&mut self, closed: &Closed, exit: Exit) -> io::Result<()> {
        match &closed.cause {
            // The user knows.
            Cause::Terminated => Ok(()),
            Cause::Violation(violation) => {
                self.screen.complain(&format!("{violation}; closed with {}", violation.close_code()))
            }
            _ if exit != Exit::Normal => self.screen.complain(&format!("closed: {closed}")),
            _ if self.screen.is_interactive() || self.args.verbose => self.screen.note(&format!("closed: {closed}")),
            _ => Ok(()),
        }
    }
}

/// What the user wants.
impl Session<'_> {
    fn obey(&mut self, command: Command) -> io::Result<()> {
        let sent = match command {
            Command::Send(message) => self.sender.send(message),
            Command::Ping(payload) => self.pings.send(&self.sender, payload),
            Command::Close(frame) => {
                self.phase = Phase::Closing;
                self.sender.close(frame.code, frame.reason)
            }
            Command::Help => return self.screen.note(HELP),
        };
        match sent {
            // The connection's end explains itself.
            Ok(()) | Err(SendError::NotOpen(_)) => Ok(()),
            Err(error) => self.screen.complain(&error.to_string()),
        }
    }

    /// The input has ended, or a message came since.
    fn drain(&mut self, sent: u64) -> io::Result<()> {
        if matches!(self.phase, Phase::Closing) {
            return Ok(());
        }
        let is_enough = match self.args.wait() {
            // Where nothing was sent there is no number of replies to expect.
            Wait::AtMost(time) => time.is_zero() || (sent > 0 && self.received >= sent),
            Wait::Forever => false,
        };
        if is_enough {
            return self.close(CloseCode::NORMAL);
        }
        self.phase = Phase::Draining { sent, heard: Instant::now() };
        Ok(())
    }

    /// Until when to wait for replies.
    fn deadline(&self) -> Option<Instant> {
        match (&self.phase, self.args.wait()) {
            (Phase::Draining { heard, .. }, Wait::AtMost(time)) => Some(*heard + time),
            _ => None,
        }
    }

    /// No message came for long enough.
    fn stop_waiting(&mut self) -> io::Result<()> {
        if let Phase::Draining { heard, .. } = &mut self.phase
            && self.sender.buffered_amount() > 0
        {
            // The server cannot answer what it has not got yet.
            *heard = Instant::now();
            return Ok(());
        }
        if self.args.one {
            self.screen.complain("no message came (--one)")?;
            self.exit = Some(Exit::Timeout);
        }
        self.close(CloseCode::NORMAL)
    }

    fn close(&mut self, code: CloseCode) -> io::Result<()> {
        self.phase = Phase::Closing;
        self.mention(&format!("closing with {code}"))?;
        // Both codes that are used here can be sent.
        let _ = self.sender.close(code, "");
        Ok(())
    }

    /// Nobody reads what is written: there is nothing left to do, and nobody to tell.
    fn lose_output(&mut self, error: &io::Error) {
        self.screen = Screen::Off;
        self.exit = Some(Exit::Normal);
        if error.kind() != io::ErrorKind::BrokenPipe {
            complain(&format!("the output cannot be written: {error}"));
            self.exit = Some(Exit::Failed);
        }
        // A screen that is off does not fail.
        let _ = self.close(CloseCode::GOING_AWAY);
    }

    /// Says what only the curious want to know.
    fn mention(&mut self, what: &str) -> io::Result<()> {
        if self.args.verbose { self.screen.note(what) } else { Ok(()) }
    }
}

/// A payload that should be short and is mostly text.
fn quoted(payload: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(payload))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
