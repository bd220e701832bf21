//! The looks of messages and notes, on a terminal with a prompt or in a pipe. Writing them is the output's.

use std::io::{self, IsTerminal, stdout};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use ropeway::Message;

use super::args::Binary;
use super::mode::Mode;
use super::output::{Output, Piece, Target};
use super::prompt::Prompt;
use super::render::{beginning, digits};
use crate::style::{FAINT, error, faint};
use crate::visible::escaped;

/// The mark before a message that came.
const INCOMING: Style = AnsiColor::Green.on_default().bold();

/// How much is gathered while the output is busy before there is no room for more.
const ENOUGH: usize = 64 * 1024;

/// How many bytes of a message a person is shown unless all is asked for: two screens of text, ten rows of digits.
const MOST_OF_TEXT: usize = 4 * 1024;
const MOST_OF_BINARY: usize = 400;

/// Styles messages and notes, and gathers them until the output takes them.
pub(crate) struct Screen {
    kind: Kind,
    binary: Binary,
    /// Whether all of a long message is shown.
    verbose: bool,
    gathered: Vec<Piece>,
    /// How many bytes of output that is.
    size: usize,
    /// `None` once nothing can be written any more.
    output: Option<Output>,
    /// The mode that a terminal had before there was a prompt.
    mode: Option<Mode>,
}

/// The reader of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A person at a prompt.
    Person,
    /// A filter's output to a terminal: messages and nothing else, and no characters that it would obey.
    TerminalOutput,
    /// A program.
    Pipe,
}

impl Screen {
    /// A terminal with a prompt.
    pub(crate) fn terminal(prompt: Prompt, mode: Option<Mode>, binary: Binary, verbose: bool) -> io::Result<Self> {
        let colour = AutoStream::choice(&stdout()) != ColorChoice::Never;
        Ok(Self { mode, ..Self::new(Kind::Person, binary, verbose, Target::Terminal { prompt, colour })? })
    }

    /// A filter's output, which may be a terminal too.
    pub(crate) fn pipe(binary: Binary, verbose: bool) -> io::Result<Self> {
        let kind = if stdout().is_terminal() { Kind::TerminalOutput } else { Kind::Pipe };
        Self::new(kind, binary, verbose, Target::Pipe)
    }

    fn new(kind: Kind, binary: Binary, verbose: bool, target: Target) -> io::Result<Self> {
        let output = Some(Output::start(target)?);
        Ok(Self { kind, binary, verbose, gathered: Vec::new(), size: 0, output, mode: None })
    }

    /// Whether somebody talks at a prompt.
    pub(crate) fn is_interactive(&self) -> bool {
        self.kind == Kind::Person
    }

    /// Whether the output keeps up.
    pub(crate) fn has_room(&self) -> bool {
        self.size < ENOUGH
    }

    /// How many bytes were shown that nobody has read yet.
    pub(crate) fn unwritten(&self) -> usize {
        self.size + self.output.as_ref().map_or(0, Output::unwritten)
    }

    /// Shows a message that came.
    pub(crate) fn message(&mut self, message: &Message) {
        let bytes = match (self.kind, message) {
            (Kind::Person, _) => self.for_a_person(message).into_bytes(),
            (Kind::TerminalOutput, Message::Text(text)) => line(escaped(text).as_bytes()),
            (Kind::Pipe, Message::Text(text)) => line(text.as_bytes()),
            (_, Message::Binary(payload)) => {
                digits(payload, self.binary).map_or_else(|| payload.to_vec(), |digits| line(digits.as_bytes()))
            }
        };
        self.put(Piece::Out(bytes));
    }

    /// Says something beside the messages.
    pub(crate) fn note(&mut self, what: &str) {
        self.say(&faint(what));
    }

    /// Says what went wrong.
    pub(crate) fn complain(&mut self, what: &str) {
        self.say(&error(what));
    }

    fn say(&mut self, what: &str) {
        match self.kind {
            Kind::Person => self.put(Piece::Out(line(what.as_bytes()))),
            Kind::TerminalOutput | Kind::Pipe => self.put(Piece::Err(what.to_owned())),
        }
    }

    fn put(&mut self, piece: Piece) {
        if self.output.is_none() {
            return;
        }
        self.size += piece.len();
        match (self.gathered.last_mut(), piece) {
            (Some(Piece::Out(last)), Piece::Out(bytes)) => last.extend_from_slice(&bytes),
            (_, piece) => self.gathered.push(piece),
        }
    }

    /// Hands over what was gathered as soon as the output takes it; an error says that it takes nothing any more. Without
    /// anything to hand over it waits for that. Cancel safe.
    pub(crate) async fn advance(&mut self) -> io::Result<()> {
        let Some(output) = &mut self.output else { return std::future::pending().await };
        output.show(&mut self.gathered).await?;
        self.size = 0;
        Ok(())
    }

    /// Takes the prompt away, writes what was gathered, and waits until that is done.
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        let Some(output) = &mut self.output else { return Ok(()) };
        output.end(&mut self.gathered).await
    }

    /// Gives a terminal its mode back where the prompt is stuck and could not.
    pub(crate) fn restore_terminal(&self) {
        if let Some(mode) = &self.mode {
            mode.restore();
        }
    }

    /// Shows nothing any more.
    pub(crate) fn turn_off(&mut self) {
        (self.output, self.size) = (None, 0);
        self.gathered.clear();
    }

    /// A message behind its mark; further lines are indented as far.
    fn for_a_person(&self, message: &Message) -> String {
        let most = |most| if self.verbose { usize::MAX } else { most };
        let (shown, more) = match message {
            Message::Text(text) => {
                let (shown, more) = beginning(text, most(MOST_OF_TEXT));
                (escaped(shown).replace('\n', "\n  "), more)
            }
            Message::Binary(payload) => {
                let (shown, more) = payload.split_at(payload.len().min(most(MOST_OF_BINARY)));
                let digits =
                    digits(shown, self.binary).unwrap_or_else(|| escaped(&String::from_utf8_lossy(shown)).into_owned());
                (format!("{FAINT}binary, {}:{FAINT:#} {digits}", bytes(payload.len())), more.len())
            }
        };
        let more = if more == 0 {
            String::new()
        } else {
            format!("\n  {}", faint(&format!("and {} more: -v shows all of a message", bytes(more))))
        };
        format!("{INCOMING}<{INCOMING:#} {shown}{more}\n")
    }
}

fn line(text: &[u8]) -> Vec<u8> {
    [text, b"\n"].concat()
}

fn bytes(count: usize) -> String {
    if count == 1 { "1 byte".into() } else { format!("{count} bytes") }
}
