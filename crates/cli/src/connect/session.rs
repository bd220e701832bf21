//! A session: handles each event, from the opening handshake to the close.

use std::io;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use ropeway::http::HeaderMap;
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

/// How long the connection's end is waited for if everything asked for has come already.
const GRACE: Duration = Duration::from_secs(1);

/// The same after a second Ctrl-C: long enough for a terminal that is being read, and too short to be noticed.
const AT_ONCE: Duration = Duration::from_millis(100);

/// The phase of the session.
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
    /// Waiting for replies to the messages that were sent, since `heard`, when something came last.
    Draining { sent: u64, heard: Instant },
    /// The closing handshake was started by this side. With an `end`, everything asked for has come, and the connection
    /// is waited for until then at most.
    Closing { end: Option<Instant> },
}

/// A connection, and the person or program that uses it.
pub(crate) struct Session<'a> {
    args: &'a Args,
    handle: Handle,
    events: Events,
    stops: UnboundedReceiver<Signal>,
    screen: Screen,
    pings: Pings,
    phase: Phase,
    /// The number of messages received.
    received: u64,
    /// The number of them that came after the server had read the first line, and so may be replies. `None` until then.
    replies: Option<u64>,
    /// Whether the user wants to stop. Then a slow reader of the output is not waited for.
    is_stopped: bool,
    /// The number of bytes of messages for which there was no room after that.
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

    /// Runs until the connection has ended and all is written.
    pub(crate) async fn run(mut self) -> Exit {
        loop {
            if let Some(exit) = self.turn().await {
                return self.finish(exit).await;
            }
        }
    }

    /// Handles the next event. Returns an exit code once the connection is over.
    async fn turn(&mut self) -> Option<Exit> {
        // Signals get their turn even if one event follows another.
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
            // The end of the connection is an event. Without it the queue ends only if the connection's task has died.
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
                // If there is no room for a ping, the connection is not idle. If the connection is not open, it will
                // end soon.
                let _ = self.pings.send(&self.handle, None);
            }
        }
        None
    }

    /// Waits until all is written and the prompt is removed. If the reader of the output stalls, the user can still
    /// stop the program.
    async fn finish(mut self, exit: Exit) -> Exit {
        let mut limit = match exit {
            Exit::Interrupted => Some(Instant::now() + AT_ONCE),
            _ if self.is_stopped => Some(Instant::now() + GRACE),
            _ => None,
        };
        // At a prompt Ctrl-C is a key, and ending the prompt sends the signal to this program itself.
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
            complain_briefly(format!("{lost} bytes of received messages were not written: nobody read the output"));
        }
        if result.is_none() { Exit::Interrupted } else { exit }
    }

    /// Nobody reads the output: nothing is left to do.
    fn exit_without_output(error: &io::Error) -> Exit {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Exit::Normal;
        }
        complain_briefly(format!("the output cannot be written: {error}"));
        Exit::Failed
    }
}

/// Handling the server's events.
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
            let compressed = handshake.deflate().map(|_| ", compressed");
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
            // The user did it.
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

/// Handling the user's commands.
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
            // The end of the connection is reported by itself.
            Ok(()) | Err(SendError::NotOpen(_)) => {}
            Err(SendError::Full { buffered }) => self.screen.complain(&format!(
                "not sent: the server reads too slowly, and {buffered} bytes are waiting for it already; try again later"
            )),
            Err(error) => self.screen.complain(&wording(&error)),
        }
    }

    /// Handles a signal, or Ctrl-C.
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

    /// Called when the input has ended, and at each message after that.
    fn drain(&mut self, sent: u64) {
        if matches!(self.phase, Phase::Closing { .. }) {
            return;
        }
        self.phase = Phase::Draining { sent, heard: Instant::now() };
        if let Wait::AtMost(time) = self.args.wait() {
            if time.is_zero() {
                self.close(CloseCode::NORMAL);
            } else if sent > 0 && self.replies.is_some_and(|replies| replies >= sent) {
                // If nothing was sent, there is no number of replies to wait for.
                self.close_with_all(CloseCode::NORMAL);
            }
        }
    }

    /// The time until which to wait, for replies or for the end.
    fn deadline(&self) -> Option<Instant> {
        match (&self.phase, self.args.wait()) {
            (Phase::Draining { heard, .. }, Wait::AtMost(time)) => Some(*heard + time),
            (Phase::Closing { end }, _) => *end,
            _ => None,
        }
    }

    /// Called when that time has come.
    fn meet_deadline(&mut self) -> Option<Exit> {
        match &mut self.phase {
            // The server cannot answer messages that it has not got yet, and its answers may wait for a slow output.
            Phase::Draining { heard, .. } if self.handle.buffered_amount() > 0 || !self.screen.has_room() => {
                *heard = Instant::now();
            }
            Phase::Closing { .. } => {
                self.mention("the server has not finished the closing handshake, which is not waited for");
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

    /// The same if nothing is left to wait for but the server's close frame.
    fn close_with_all(&mut self, code: CloseCode) {
        self.close(code);
        self.phase = Phase::Closing { end: Some(Instant::now() + GRACE.min(self.args.close_timeout)) };
    }

    /// Nothing can be written any more, so nothing is left to do.
    fn lose_output(&mut self, error: &io::Error) {
        self.screen.turn_off();
        self.exit = Some(Self::exit_without_output(error));
        self.close_with_all(CloseCode::GOING_AWAY);
    }

    /// Reports that the message for --one did not come.
    fn complain_of_none(&mut self, why: &str) {
        if self.exit.is_none() {
            self.screen.complain(&format!("no message came (--one){why}"));
            self.exit = Some(Exit::Timeout);
        }
    }

    /// Shows a note that is only of interest with -v.
    fn mention(&mut self, what: &str) {
        if self.args.verbose {
            self.screen.note(what);
        }
    }
}

/// Prints an error, but does not wait long: the reader of stderr may be stalled too.
fn complain_briefly(what: String) {
    let (tell, told) = channel();
    thread::spawn(move || {
        complain(&what);
        // If it took long, nobody receives it.
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
