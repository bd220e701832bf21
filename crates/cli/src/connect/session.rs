//! A session: what is done about each event, from the opening handshake to the close.

use std::io;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use ropeway::http::HeaderMap;
use ropeway::http::header::SEC_WEBSOCKET_EXTENSIONS;
use ropeway::{Bytes, Cause, CloseCode, Closed, Handle, Handshake, Message, SendError};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use super::args::{Args, Wait};
use super::command::{Command, HELP};
use super::events::{Event, Events};
use super::exit::Exit;
use super::lines::FIRST_LINE;
use super::pings::Pings;
use super::render::escaped_line;
use super::screen::Screen;
use super::wording::{wording, wording_of_end};
use crate::signals::Signal;
use crate::style::complain;
use crate::visible::escaped;

/// How long the end is waited for where nothing that was asked for can come any more.
const GRACE: Duration = Duration::from_secs(1);

/// The same after a second Ctrl-C: as long as a terminal needs that is read, and nobody notices.
const AT_ONCE: Duration = Duration::from_millis(100);

/// How far the session is.
///
/// ```text
///   Talking ── end of the input ──► Draining ── enough messages, or none for long enough ──► Closing
///      └─────── --one, /close, Ctrl-C, broken output, no wait ──────────────────────────────────┘
///   any ── the connection has ended, or is not waited for any longer ──► over
/// ```
#[derive(Debug)]
enum Phase {
    /// Input may come.
    Talking,
    /// Replies may come to the messages that were sent. It counts from when something was heard last.
    Draining { sent: u64, heard: Instant },
    /// The closing handshake was started from here. With an `end` all that was asked for has come, and it is waited for no
    /// longer than that.
    Closing { end: Option<Instant> },
}

/// A connection, and somebody or something that uses it.
pub(crate) struct Session<'a> {
    args: &'a Args,
    handle: Handle,
    events: Events,
    stops: UnboundedReceiver<Signal>,
    screen: Screen,
    pings: Pings,
    phase: Phase,
    /// How many messages came.
    received: u64,
    /// How many of them came when the server had read the first line, and may be replies. `None` until then.
    replies: Option<u64>,
    /// Whether the user wants to stop: then a slow reader of the output is not waited for.
    is_stopped: bool,
    /// How many bytes of messages came for which there was no room after that.
    dropped: usize,
    /// The close code that the user asked for.
    asked: Option<CloseCode>,
    /// The exit code, unless the close decides it.
    exit: Option<Exit>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        args: &'a Args,
        handle: Handle,
        events: Events,
        stops: UnboundedReceiver<Signal>,
        screen: Screen,
    ) -> Self {
        Self {
            args,
            handle,
            events,
            stops,
            screen,
            pings: Pings::default(),
            phase: Phase::Talking,
            received: 0,
            replies: None,
            is_stopped: false,
            dropped: 0,
            asked: None,
            exit: None,
        }
    }

    /// Goes on until the connection has ended and all is written.
    pub(crate) async fn run(mut self) -> Exit {
        loop {
            if let Some(exit) = self.turn().await {
                return self.finish(exit).await;
            }
        }
    }

    /// Does something about the next event. An exit means that the connection is over.
    async fn turn(&mut self) -> Option<Exit> {
        // These have their turn also while event comes after event.
        if let Ok(stop) = self.stops.try_recv() {
            return self.stop(stop);
        }
        let deadline = self.deadline();
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return self.meet_deadline();
        }
        let takes_events = self.screen.has_room() || self.is_stopped;
        if takes_events && let Some(event) = self.events.try_next() {
            return self.handle(event);
        }
        tokio::select! {
            biased;
            Some(stop) = self.stops.recv() => self.stop(stop),
            advanced = self.screen.advance() => {
                if let Err(error) = advanced {
                    self.lose_output(&error);
                }
                None
            }
            // The connection's end is an event, so there is one unless its task died.
            event = self.events.next(), if takes_events => event.map_or(Some(Exit::OtherCode), |event| self.handle(event)),
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => self.meet_deadline(),
        }
    }

    fn handle(&mut self, event: Event) -> Option<Exit> {
        match event {
            Event::Open(handshake) => self.greet(&handshake),
            Event::Message(message) => {
                self.receive(&message);
                self.events.release(&message, &self.handle);
            }
            Event::Ping(payload) => self.mention(&format!("ping {}, answered", quoted(&payload))),
            Event::Pong(payload) => self.receive_pong(&payload),
            Event::Closed(closed) => return Some(self.end(&closed)),
            Event::Typed(Ok(command)) => self.obey(command),
            Event::Typed(Err(mistake)) => self.screen.complain(&mistake),
            Event::InputEnded { sent } => self.drain(sent),
            Event::InputFailed(error) => {
                self.screen.complain(&format!("the input cannot be read: {error}"));
                self.exit = Some(Exit::Failed);
                self.close(CloseCode::NORMAL);
            }
            Event::PingDue => {
                // Where there is no room for a ping the connection is not idle, and where it is not open it will end.
                let _ = self.pings.send(&self.handle, None);
            }
        }
        None
    }

    /// Waits until all is written, and the prompt is gone. A reader that stalls does not keep a user from stopping.
    async fn finish(mut self, exit: Exit) -> Exit {
        let mut limit = match exit {
            Exit::Interrupted => Some(Instant::now() + AT_ONCE),
            _ if self.is_stopped => Some(Instant::now() + GRACE),
            _ => None,
        };
        // Where the prompt is, Ctrl-C is a key, and the prompt's end sends itself the signal.
        let is_interactive = self.screen.is_interactive();
        let result = {
            let end = self.screen.end();
            tokio::pin!(end);
            loop {
                tokio::select! {
                    biased;
                    result = &mut end => break Some(result),
                    Some(stop) = self.stops.recv() => match limit {
                        _ if is_interactive && stop == Signal::Interrupt => {}
                        None => limit = Some(Instant::now() + GRACE),
                        Some(_) => break None,
                    },
                    () = sleep_until(limit.unwrap_or_else(Instant::now)), if limit.is_some() => break None,
                }
            }
        };
        match result {
            Some(Err(error)) => return Self::exit_without_output(&error),
            Some(Ok(())) if self.dropped == 0 => return exit,
            _ => {}
        }
        self.screen.restore_terminal();
        let lost = self.dropped + self.screen.unwritten();
        if lost > 0 {
            complain_briefly(format!("{lost} bytes of what came were not written: nobody read the output"));
        }
        if result.is_none() { Exit::Interrupted } else { exit }
    }

    /// Nobody reads what is written: there is nothing left to do, and nobody to tell.
    fn exit_without_output(error: &io::Error) -> Exit {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Exit::Normal;
        }
        complain_briefly(format!("the output cannot be written: {error}"));
        Exit::Failed
    }
}

/// The server's events.
impl Session<'_> {
    fn greet(&mut self, handshake: &Handshake) {
        if self.args.verbose {
            let (request, response) = (&handshake.request, &handshake.response);
            self.screen.note(&format!("> {} {} {:?}", request.method(), request.uri(), request.version()));
            self.show_headers('>', request.headers());
            self.screen.note(&format!("< {:?} {}", response.version(), response.status()));
            self.show_headers('<', response.headers());
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
            ));
        }
    }

    fn show_headers(&mut self, direction: char, headers: &HeaderMap) {
        for (name, value) in headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            self.screen.note(&format!("{direction} {name}: {}", escaped_line(&value)));
        }
    }

    fn receive(&mut self, message: &Message) {
        self.received += 1;
        if let Some(replies) = &mut self.replies {
            *replies += 1;
        }
        if self.args.one && self.received > 1 {
            return;
        }
        if self.is_stopped && !self.screen.has_room() {
            self.dropped += message.len();
            return;
        }
        self.screen.message(message);
        if self.args.one {
            self.close_with_all(CloseCode::NORMAL);
        }
        if let Phase::Draining { sent, .. } = self.phase {
            self.drain(sent);
        }
    }

    fn receive_pong(&mut self, payload: &Bytes) {
        if payload == FIRST_LINE {
            self.replies.get_or_insert(0);
        }
        match self.pings.answered(payload) {
            Some(time) if self.args.verbose || self.screen.is_interactive() => {
                self.screen.note(&format!("pong {} after {}", quoted(payload), milliseconds(time)));
            }
            Some(_) => {}
            None => self.mention(&format!("pong {}", quoted(payload))),
        }
    }

    /// The connection is closed.
    fn end(&mut self, closed: &Closed) -> Exit {
        let is_as_wished = match closed.cause {
            Cause::Handshake => self.asked == Some(closed.code),
            Cause::CloseTimeout => matches!(self.phase, Phase::Closing { end: Some(_) }),
            _ => false,
        } || self.args.one && self.received > 0;
        let exit = if is_as_wished { Exit::Normal } else { Exit::of_closed(closed) };
        match &closed.cause {
            // The user knows.
            Cause::Terminated => {}
            _ if self.args.one && self.received == 0 && exit == Exit::Normal && !self.is_stopped => {
                self.complain_of_none(&format!(": closed: {}", wording_of_end(closed)));
            }
            _ if exit == Exit::Normal => {
                if self.screen.is_interactive() || self.args.verbose {
                    self.screen.note(&format!("closed: {}", wording_of_end(closed)));
                }
            }
            Cause::Violation(violation) => {
                self.screen.complain(&format!("{}; closed with {}", wording(violation), violation.close_code()));
            }
            _ => self.screen.complain(&format!("closed: {}", wording_of_end(closed))),
        }
        self.exit.unwrap_or(exit)
    }
}

/// The user's commands.
impl Session<'_> {
    fn obey(&mut self, command: Command) {
        let sent = match command {
            Command::Send(message) => self.handle.send(message),
            Command::Ping(payload) => self.pings.send(&self.handle, payload),
            Command::Close(frame) => {
                self.phase = Phase::Closing { end: None };
                self.asked = Some(frame.code);
                self.handle.close(frame.code, frame.reason)
            }
            Command::Help => return self.screen.note(HELP),
        };
        match sent {
            // The connection's end explains itself.
            Ok(()) | Err(SendError::NotOpen(_)) => {}
            Err(SendError::Full { buffered }) => self.screen.complain(&format!(
                "not sent: the server reads too slowly, and {buffered} bytes wait for it already; try again later"
            )),
            Err(error) => self.screen.complain(&wording(&error)),
        }
    }

    /// A signal came, or Ctrl-C.
    fn stop(&mut self, stop: Signal) -> Option<Exit> {
        if matches!(self.phase, Phase::Closing { .. }) {
            self.handle.terminate();
            return Some(Exit::Interrupted);
        }
        self.mention(match stop {
            Signal::Interrupt => "interrupted",
            Signal::Terminate => "asked to terminate",
        });
        self.is_stopped = true;
        self.close(CloseCode::GOING_AWAY);
        None
    }

    /// The input has ended, or a message came since.
    fn drain(&mut self, sent: u64) {
        if matches!(self.phase, Phase::Closing { .. }) {
            return;
        }
        self.phase = Phase::Draining { sent, heard: Instant::now() };
        if let Wait::AtMost(time) = self.args.wait() {
            if time.is_zero() {
                self.close(CloseCode::NORMAL);
            } else if sent > 0 && self.replies.is_some_and(|replies| replies >= sent) {
                // Where nothing was sent there is no number of replies to expect.
                self.close_with_all(CloseCode::NORMAL);
            }
        }
    }

    /// Until when to wait, for replies or for the end.
    fn deadline(&self) -> Option<Instant> {
        match (&self.phase, self.args.wait()) {
            (Phase::Draining { heard, .. }, Wait::AtMost(time)) => Some(*heard + time),
            (Phase::Closing { end }, _) => *end,
            _ => None,
        }
    }

    /// It has been waited for long enough.
    fn meet_deadline(&mut self) -> Option<Exit> {
        match &mut self.phase {
            // The server cannot answer what it has not got yet, and what it answered may wait for a slow output.
            Phase::Draining { heard, .. } if self.handle.buffered_amount() > 0 || !self.screen.has_room() => {
                *heard = Instant::now();
            }
            Phase::Closing { .. } => {
                self.mention("the server is not done with the closing handshake, which is not waited for");
                self.handle.terminate();
                return Some(self.exit.unwrap_or(Exit::Normal));
            }
            _ if self.args.one => {
                self.complain_of_none("");
                self.close_with_all(CloseCode::NORMAL);
            }
            _ => self.close(CloseCode::NORMAL),
        }
        None
    }

    /// Starts the closing handshake.
    fn close(&mut self, code: CloseCode) {
        self.phase = Phase::Closing { end: None };
        self.mention(&format!("closing with {code}"));
        // The codes that are used here can be sent.
        let _ = self.handle.close(code, "");
    }

    /// The same where nothing is left to wait for but the server's courtesy.
    fn close_with_all(&mut self, code: CloseCode) {
        self.close(code);
        self.phase = Phase::Closing { end: Some(Instant::now() + GRACE.min(self.args.close_timeout)) };
    }

    /// Nothing can be written any more, so there is nothing left to do.
    fn lose_output(&mut self, error: &io::Error) {
        self.screen.turn_off();
        self.exit = Some(Self::exit_without_output(error));
        self.close_with_all(CloseCode::GOING_AWAY);
    }

    /// The message of --one did not come.
    fn complain_of_none(&mut self, why: &str) {
        if self.exit.is_none() {
            self.screen.complain(&format!("no message came (--one){why}"));
            self.exit = Some(Exit::Timeout);
        }
    }

    /// Says what only the curious want to know.
    fn mention(&mut self, what: &str) {
        if self.args.verbose {
            self.screen.note(what);
        }
    }
}

/// Prints an error, unless that takes long: the reader of stderr may have stalled too.
fn complain_briefly(what: String) {
    let (tell, told) = channel();
    thread::spawn(move || {
        complain(&what);
        // Nobody waits for it if it took long.
        let _ = tell.send(());
    });
    let _ = told.recv_timeout(AT_ONCE);
}

/// A payload that should be short and is mostly text.
fn quoted(payload: &[u8]) -> String {
    escaped(&format!("{:?}", String::from_utf8_lossy(payload))).into_owned()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
