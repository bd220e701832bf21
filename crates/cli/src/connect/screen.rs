//! The form of messages and notes, on a terminal with a prompt or in a pipe. Writing them is left to the output.

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

/// The style of the mark before a received message.
const INCOMING: Style = AnsiColor::Green.on_default().bold();

/// While the output is busy, at most about this many bytes are gathered.
const ENOUGH: usize = 64 * 1024;

/// The most bytes of a message that are shown to a person without -v: two screens of text, ten rows of digits.
const MOST_OF_TEXT: usize = 4 * 1024;
const MOST_OF_BINARY: usize = 400;

/// Styles messages and notes, and gathers them until the output takes them.
pub(crate) struct Screen {
    kind: Kind,
    binary: Binary,
    /// Whether long messages are shown as a whole.
    verbose: bool,
    gathered: Vec<Piece>,
    /// The number of bytes in `pieces`.
    size: usize,
    /// `None` once nothing can be written any more.
    output: Option<Output>,
    /// The mode that a terminal had before the prompt.
    mode: Option<Mode>,
}

/// The reader of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A person at a prompt.
    Person,
    /// A terminal that shows a filter's output: only messages, without characters that would control it.
    TerminalOutput,
    /// Another program.
    Pipe,
}

impl Screen {
    /// The screen for a terminal with a prompt.
    pub(crate) fn terminal(prompt: Prompt, mode: Option<Mode>, binary: Binary, verbose: bool) -> io::Result<Self> {
        let colour = AutoStream::choice(&stdout()) != ColorChoice::Never;
        Ok(Self { mode, ..Self::new(Kind::Person, binary, verbose, Target::Terminal { prompt, colour })? })
    }

    /// The screen for a filter's output, which may be a terminal too.
    pub(crate) fn pipe(binary: Binary, verbose: bool) -> io::Result<Self> {
        let kind = if stdout().is_terminal() { Kind::TerminalOutput } else { Kind::Pipe };
        Self::new(kind, binary, verbose, Target::Pipe)
    }

    fn new(kind: Kind, binary: Binary, verbose: bool, target: Target) -> io::Result<Self> {
        let output = Some(Output::start(target)?);
        Ok(Self { kind, binary, verbose, gathered: Vec::new(), size: 0, output, mode: None })
    }

    /// Whether a person is at a prompt.
    pub(crate) fn is_interactive(&self) -> bool {
        self.kind == Kind::Person
    }

    /// Whether there is room for more output.
    pub(crate) fn has_room(&self) -> bool {
        self.size < ENOUGH
    }

    /// The number of bytes that are not written yet.
    pub(crate) fn unwritten(&self) -> usize {
        self.size + self.output.as_ref().map_or(0, Output::unwritten)
    }

    /// Shows a received message.
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

    /// Shows a note beside the messages.
    pub(crate) fn note(&mut self, what: &str) {
        self.say(&faint(what));
    }

    /// Shows an error.
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

    /// Passes the gathered output on as soon as the thread accepts it. If there is none, waits for a failure. An error
    /// means that nothing can be written any more. Cancel safe.
    pub(crate) async fn advance(&mut self) -> io::Result<()> {
        let Some(output) = &mut self.output else { return std::future::pending().await };
        output.show(&mut self.gathered).await?;
        self.size = 0;
        Ok(())
    }

    /// Removes the prompt, writes the gathered output, and waits until that is done.
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        let Some(output) = &mut self.output else { return Ok(()) };
        output.end(&mut self.gathered).await
    }

    /// Restores the mode of a terminal whose prompt is stuck and could not do it.
    pub(crate) fn restore_terminal(&self) {
        if let Some(mode) = &self.mode {
            mode.restore();
        }
    }

    /// Shows nothing from now on.
    pub(crate) fn turn_off(&mut self) {
        (self.output, self.size) = (None, 0);
        self.gathered.clear();
    }

    /// A message behind its mark. Further lines are indented by the width of the mark.
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
            format!("\n  {}", faint(&format!("and {} more: -v shows whole messages", bytes(more))))
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
