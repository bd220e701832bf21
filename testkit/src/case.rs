//! The cases: the rows of `testdata/*.toml`, parsed and checked.
//!
//! ```toml
//! [[case]]
//! name = "ping_inside_fragmented_message_is_answered_at_once"  # the behaviour; unique over all files
//! rfc = "6455 5.4"                                             # the rule
//! role = "server"                                              # our role; the peer has the other
//! config = { max_payload = 1024 }                              # settings that are not the defaults
//! input = ["text fragment 'Hel'", "ping 'x'", "continuation 'lo'"]
//! events = ["ping 'x'", "text 'Hello'"]                        # what the user is told
//! sent = ["pong 'x'"]                                          # all that we put on the wire
//! state = "open"                                               # optional: the ready state in the end
//! closed = "1000 'bye' clean"                                  # how it ended; absent if it has not ended
//! ```
//! Frames, in `input` and in `sent`, are in the shorthand of `shorthand.rs`; clients mask with the key
//! [`wire::KEY`]. Besides frames of the peer, `input` has
//! - `hex 81 05 …`: bytes of the peer as they are;
//! - `eof`: the peer ends its half of the transport; `reset`: the transport is broken;
//! - `we text 'x'`, `we binary …`, `we ping …`, `we pong …`, `we close 1000 'x'`: the user sends; in fragments with
//!   `we text fragment 'x'`, `we continuation fragment 'y'`, `we continuation 'z'`; `we uncompressed text 'x'` is not
//!   compressed; `we answer` answers the peer's close or end if `auto_close` is off, or its violation if `auto_fail` is
//!   off; `we terminate` ends it at once;
//! - `stall`, `drain 3`, `drain`: the transport takes nothing from us, three bytes, all again;
//! - `wait 500ms`: time passes.
//!
//! `events` has `text`, `binary`, `ping` and `pong` with a payload, `close` with the content of the peer's close frame,
//! `unchecked_text` and `unchecked_close 1000` with a payload if `check_utf8` is off,
//! `violation NAME` with the name of a `ropeway_proto::Violation`, and `refused NAME` with the name of the
//! `ropeway_proto::SendError` that the user got. In `sent`, `close 1002 *` leaves the reason open, `compressed` asks
//! for a compressed message in any form, and a last `eof` says that we end our half of the transport. `closed` is a
//! code, a reason and `clean`, or instead of `clean` the name of the `ropeway_proto::Cause`.
//!
//! A row holds for every way to cut its input into reads: by default all that waits is written after every event.
//! Running a case is left to the runners.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::config::Config;
use crate::deflate::Deflater;
use crate::notation;
use crate::role::Role;
use crate::shorthand::{Words, Written};
use crate::wire::{self, Frame};

/// The prefix of the files in `testdata/` that hold rows of the opening handshake. [`load`] skips them.
const HANDSHAKE: &str = "handshake-";

/// One row.
#[derive(Clone, Debug)]
pub struct Case {
    /// The name of its file without `.toml`.
    pub topic: String,
    /// The behaviour, unique over all files.
    pub name: String,
    /// The RFC and the section with the rule.
    pub rfc: String,
    /// The role of the side that is tested.
    pub role: Role,
    /// Settings that differ from the default.
    pub config: Config,
    /// The things that happen, in order.
    pub input: Vec<Step>,
    /// The events that the user gets, in order.
    pub events: Vec<Event>,
    /// All frames that we put on the wire.
    pub sent: Vec<Sent>,
    /// Whether we end our half of the transport after that.
    pub ended: bool,
    /// The ready state in the end, if the row states one.
    pub state: Option<State>,
    /// How the connection ended, if it has.
    pub closed: Option<Closed>,
}

/// One thing that happens in a case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// The peer sends a frame, or a piece of one.
    Receive(Vec<u8>),
    /// The peer ends its half of the transport.
    Eof,
    /// The transport is broken.
    Reset,
    /// From now on the transport accepts no bytes.
    Stall,
    /// The transport accepts this many bytes and no more. Without a number it accepts all, now and later.
    Drain(Option<usize>),
    /// Time passes.
    Wait(Duration),
    /// The user sends.
    Send(Command),
}

/// A thing that a user can send.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Command {
    Text(String),
    Binary(Vec<u8>),
    /// Text that is not to be compressed.
    UncompressedText(String),
    /// Bytes that are not to be compressed.
    UncompressedBinary(Vec<u8>),
    /// The first fragment of a text message.
    TextFragment(String),
    /// The first fragment of a binary message.
    BinaryFragment(Vec<u8>),
    /// Another fragment.
    Continuation {
        part: Vec<u8>,
        last: bool,
    },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    /// Answer the peer's close frame, or the end of its half.
    AnswerClose,
    /// Give the connection up without a closing handshake.
    Terminate,
}

/// An event that the user gets.
#[derive(Clone, PartialEq, Eq)]
pub enum Event {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// The peer's close frame: its code and reason, if it has them.
    Close(Option<(u16, String)>),
    /// A text message, where text is not checked.
    UncheckedText(Vec<u8>),
    /// The peer's close frame with a code, where text is not checked.
    UncheckedClose(u16, Vec<u8>),
    /// The peer broke the protocol; the name of the `Violation`.
    Violation(String),
    /// A [`Step::Send`] had no effect; the name of the `SendError`.
    Refused(String),
}

/// A frame that we are expected to put on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// The frame. If it is compressed, RSV1 is set and the payload is the one before compression.
    pub frame: Frame,
    /// Whether its payload is compressed. The compressed form is not compared.
    pub compressed: bool,
    /// A close frame that may carry any reason; `frame` has the code alone.
    pub any_reason: bool,
}

/// The ready state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the browser's")]
pub enum State {
    Connecting,
    Open,
    Closing,
    Closed,
}

/// How a connection ended.
#[derive(Clone, PartialEq, Eq)]
pub struct Closed {
    /// The code that the user gets, 1005 and 1006 included.
    pub code: u16,
    /// The reason that the user gets.
    pub reason: String,
    /// `clean`, or otherwise the name of the `Cause`.
    pub how: String,
}

/// Loads all cases in the `.toml` files of a directory, in the order of the files' names.
///
/// # Errors
/// A file cannot be read, or has something in it that is not understood. The error names the file, the row and
/// the line of shorthand.
pub fn load(dir: impl AsRef<Path>) -> Result<Vec<Case>, String> {
    let dir = dir.as_ref();
    let entries = dir.read_dir().map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a directory can be listed to its end").path()).collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let Some(topic) = file.file_name().and_then(|name| name.to_str()?.strip_suffix(".toml")) else { continue };
        if topic.starts_with(HANDSHAKE) {
            continue;
        }
        let in_file = |error: &dyn fmt::Display| format!("{}: {error}", file.display());
        let text = std::fs::read_to_string(&file).map_err(|error| in_file(&error))?;
        cases.extend(parse(topic, &text).map_err(|error| in_file(&error))?);
    }
    let mut names = HashSet::new();
    match cases.iter().find(|case| !names.insert(&case.name)) {
        Some(twice) => Err(format!("{} is the name of two rows", twice.name)),
        None => Ok(cases),
    }
}

/// Parses the rows of one file.
fn parse(topic: &str, text: &str) -> Result<Vec<Case>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    file.case.into_iter().map(|row| row.into_case(topic)).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    rfc: String,
    role: Role,
    #[serde(default)]
    config: Config,
    #[serde(default)]
    input: Vec<String>,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    sent: Vec<String>,
    state: Option<State>,
    closed: Option<String>,
}

impl Row {
    fn into_case(mut self, topic: &str) -> Result<Case, String> {
        let ended = self.sent.pop_if(|last| last == "eof").is_some();
        let name = &self.name;
        let mut peer =
            Peer { role: self.role, restarts: self.config.peer_restarts(self.role), deflater: Deflater::new() };
        Ok(Case {
            input: lines(name, &self.input, |words| peer.step(words))?,
            events: lines(name, &self.events, event)?,
            sent: lines(name, &self.sent, |words| sent(words, self.role))?,
            ended,
            closed: lines(name, self.closed.as_slice(), closed)?.pop(),
            topic: topic.to_owned(),
            name: self.name,
            rfc: self.rfc,
            role: self.role,
            config: self.config,
            state: self.state,
        })
    }
}

/// Parses each line to its end.
fn lines<T>(
    name: &str,
    lines: &[String],
    mut read: impl FnMut(&mut Words<'_>) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let mut line = |line: &String| {
        let mut words = Words::new(line)?;
        let value = read(&mut words)?;
        words.end()?;
        Ok(value)
    };
    lines.iter().map(|text| line(text).map_err(|error: String| format!("{name}: \"{text}\": {error}"))).collect()
}

/// The peer. It keeps its compressor from frame to frame.
struct Peer {
    role: Role,
    /// Whether the compressor restarts for each message: there is no context takeover in the peer's direction.
    restarts: bool,
    deflater: Deflater,
}

impl Peer {
    fn step(&mut self, words: &mut Words<'_>) -> Result<Step, String> {
        Ok(if words.take("eof") {
            Step::Eof
        } else if words.take("reset") {
            Step::Reset
        } else if words.take("stall") {
            Step::Stall
        } else if words.take("drain") {
            Step::Drain(words.optional_number()?)
        } else if words.take("wait") {
            let word = words.word()?;
            let time = word.strip_suffix("ms").and_then(|number| number.parse().ok());
            Step::Wait(Duration::from_millis(time.ok_or("a time is a number of ms")?))
        } else if words.take("we") {
            Step::Send(command(words)?)
        } else if words.is("hex") {
            Step::Receive(words.payload()?)
        } else {
            let mut written = words.frame(self.role.peer_mask())?;
            if written.compressed {
                self.compress(&mut written.frame);
            }
            Step::Receive(written.frame.encode())
        })
    }

    fn compress(&mut self, frame: &mut Frame) {
        if frame.opcode != wire::CONTINUATION {
            frame.rsv |= wire::RSV1;
            if self.restarts {
                self.deflater.restart();
            }
        }
        let payload = &frame.payload;
        frame.payload = if frame.fin { self.deflater.deflate(payload) } else { self.deflater.flush(payload) };
    }
}

fn command(words: &mut Words<'_>) -> Result<Command, String> {
    if words.take("uncompressed") {
        return Ok(match words.word()? {
            "text" => Command::UncompressedText(words.text()?),
            "binary" => Command::UncompressedBinary(words.payload()?),
            other => return Err(format!("{other} is no message")),
        });
    }
    let kind = words.word()?;
    let fragment = words.take("fragment");
    Ok(match (kind, fragment) {
        ("text", false) => Command::Text(words.text()?),
        ("text", true) => Command::TextFragment(words.text()?),
        ("binary", false) => Command::Binary(words.payload()?),
        ("binary", true) => Command::BinaryFragment(words.payload()?),
        ("continuation", _) => Command::Continuation { part: words.payload()?, last: !fragment },
        ("ping", false) => Command::Ping(words.payload()?),
        ("pong", false) => Command::Pong(words.payload()?),
        ("close", false) => Command::Close(words.close_body()?),
        ("answer", false) => Command::AnswerClose,
        ("terminate", false) => Command::Terminate,
        _ => return Err(format!("we can't send {kind}")),
    })
}

fn event(words: &mut Words<'_>) -> Result<Event, String> {
    Ok(match words.word()? {
        "text" => Event::Text(words.text()?),
        "binary" => Event::Binary(words.payload()?),
        "ping" => Event::Ping(words.payload()?),
        "pong" => Event::Pong(words.payload()?),
        "close" => Event::Close(words.close_body()?),
        "unchecked_text" => Event::UncheckedText(words.payload()?),
        "unchecked_close" => Event::UncheckedClose(words.number()?, words.payload()?),
        "violation" => Event::Violation(words.word()?.to_owned()),
        "refused" => Event::Refused(words.word()?.to_owned()),
        other => return Err(format!("{other} is no event")),
    })
}

fn sent(words: &mut Words<'_>, role: Role) -> Result<Sent, String> {
    let Written { mut frame, compressed } = words.frame(role.our_mask())?;
    if compressed {
        frame.rsv |= wire::RSV1;
    }
    let any_reason = frame.opcode == wire::CLOSE && words.take("*");
    Ok(Sent { frame, compressed, any_reason })
}

fn closed(words: &mut Words<'_>) -> Result<Closed, String> {
    Ok(Closed {
        code: words.number()?,
        reason: words.quoted().unwrap_or_default().to_owned(),
        how: words.word()?.to_owned(),
    })
}

impl fmt::Display for Event {
    /// As written in `events`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "text{}", notation::payload(text.as_bytes())),
            Self::Binary(payload) => write!(f, "binary{}", notation::payload(payload)),
            Self::Ping(payload) => write!(f, "ping{}", notation::payload(payload)),
            Self::Pong(payload) => write!(f, "pong{}", notation::payload(payload)),
            Self::Close(None) => f.write_str("close"),
            Self::Close(Some((code, reason))) => write!(f, "close {code}{}", notation::payload(reason.as_bytes())),
            Self::UncheckedText(text) => write!(f, "unchecked_text{}", notation::payload(text)),
            Self::UncheckedClose(code, reason) => write!(f, "unchecked_close {code}{}", notation::payload(reason)),
            Self::Violation(name) => write!(f, "violation {name}"),
            Self::Refused(name) => write!(f, "refused {name}"),
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for State {
    /// As written in `state`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Open => "open",
            Self::Closing => "closing",
            Self::Closed => "closed",
        })
    }
}

impl fmt::Display for Sent {
    /// As written in `sent`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frame = self.frame.to_string();
        f.write_str(&if self.compressed { frame.replacen("rsv1", "compressed", 1) } else { frame })?;
        f.write_str(if self.any_reason { " *" } else { "" })
    }
}

impl fmt::Display for Closed {
    /// As written in `closed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{} {}", self.code, notation::payload(self.reason.as_bytes()), self.how)
    }
}

impl fmt::Debug for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"
        [[case]]
        name = "a"
        rfc = "6455 5.4"
        role = "server"
        config = { max_payload = 1024, deflate = { client_max_window_bits = 9 } }
        input = ["ping 'x'", "hex 81 00", "we close 1000 'bye'", "wait 20ms", "eof"]
        events = ["ping 'x'", "close 1000 'bye'", "violation NotUtf8"]
        sent = ["pong 'x'", "text compressed 'Hello'", "close 1002 *", "eof"]
        state = "closed"
        closed = "1000 'bye' clean"
    "#;

    #[test]
    fn a_row_says_what_it_says() {
        let case = parse("control", ROW).unwrap().pop().unwrap();
        assert_eq!(case.config.deflate.unwrap().client_max_window_bits, Some(9));
        assert_eq!(
            case.input,
            [
                Step::Receive(vec![0x89, 0x81, 0x37, 0xfa, 0x21, 0x3d, b'x' ^ 0x37]),
                Step::Receive(vec![0x81, 0]),
                Step::Send(Command::Close(Some((1000, "bye".into())))),
                Step::Wait(Duration::from_millis(20)),
                Step::Eof,
            ]
        );
        assert_eq!(case.events[1], Event::Close(Some((1000, "bye".into()))));
        let sent: Vec<_> = case.sent.iter().map(Sent::to_string).collect();
        assert_eq!(sent, ["pong 'x'", "text compressed 'Hello'", "close 1002 *"]);
        assert!(case.ended);
        assert_eq!(case.closed.unwrap().to_string(), "1000 'bye' clean");
    }

    #[test]
    fn a_row_that_is_not_understood_is_named() {
        for (right, wrong) in [("ping 'x'", "pnig 'x'"), ("'bye' clean", "clean 'bye'"), ("max_payload", "max_paylod")]
        {
            let error = parse("control", &ROW.replace(right, wrong)).unwrap_err();
            assert!(error.contains(&wrong[..4]), "{error}");
        }
    }
}
