//! Where messages and notes go: to a terminal with a prompt, or down a pipe.

use std::io::{self, IsTerminal, Write, stdout};
use std::mem;

use anstream::{AutoStream, ColorChoice, adapter::strip_str};
use anstyle::{AnsiColor, Style};
use ropeway::Message;

use super::args::Binary;
use super::prompt::Prompt;
use super::render::{digits, printable};
use crate::style::{ERROR, FAINT, complain};

/// What is before a message that came.
const INCOMING: Style = AnsiColor::Green.on_default().bold();

/// How much is gathered before it is written, while more is there to be written.
const ENOUGH: usize = 64 * 1024;

/// Where messages and notes go. What is shown is gathered until [`Screen::flush`].
pub(crate) enum Screen {
    /// To a person at a prompt.
    Terminal { prompt: Prompt, text: String, colour: bool, binary: Binary },
    /// To stdout nothing but messages, notes to stderr.
    Pipe { bytes: Vec<u8>, is_terminal: bool, binary: Binary },
    /// To nobody, any more.
    Off,
}

impl Screen {
    /// A terminal with a prompt.
    pub(crate) fn terminal(prompt: Prompt, binary: Binary) -> Self {
        let colour = AutoStream::choice(&stdout()) != ColorChoice::Never;
        Self::Terminal { prompt, text: String::new(), colour, binary }
    }

    /// A filter's output, which may be a terminal too.
    pub(crate) fn pipe(binary: Binary) -> Self {
        Self::Pipe { bytes: Vec::new(), is_terminal: stdout().is_terminal(), binary }
    }

    /// Whether somebody talks at a prompt.
    pub(crate) fn is_interactive(&self) -> bool {
        matches!(self, Self::Terminal { .. })
    }

    /// Shows a message that came.
    pub(crate) fn message(&mut self, message: &Message) -> io::Result<()> {
        match self {
            Self::Terminal { text, binary, .. } => text.push_str(&for_a_person(message, *binary)),
            Self::Pipe { bytes, is_terminal, binary } => match message {
                Message::Text(text) => {
                    let text = if *is_terminal { printable(text) } else { (&**text).into() };
                    bytes.extend_from_slice(text.as_bytes());
                    bytes.push(b'\n');
                }
                Message::Binary(payload) => match digits(payload, *binary) {
                    Some(digits) => {
                        bytes.extend_from_slice(digits.as_bytes());
                        bytes.push(b'\n');
                    }
                    None => bytes.extend_from_slice(payload),
                },
            },
            Self::Off => {}
        }
        if self.gathered() >= ENOUGH { self.flush() } else { Ok(()) }
    }

    /// Says something beside the messages.
    pub(crate) fn note(&mut self, what: &str) -> io::Result<()> {
        match self {
            Self::Terminal { text, .. } => {
                text.extend([format!("{FAINT}{what}{FAINT:#}"), "\n".into()]);
                Ok(())
            }
            Self::Pipe { .. } => {
                self.flush()?;
                anstream::eprintln!("{FAINT}{what}{FAINT:#}");
                Ok(())
            }
            Self::Off => Ok(()),
        }
    }

    /// Says what went wrong.
    pub(crate) fn complain(&mut self, what: &str) -> io::Result<()> {
        match self {
            Self::Terminal { text, .. } => {
                text.extend([&format!("{ERROR}error:{ERROR:#} "), what, "\n"]);
                Ok(())
            }
            Self::Pipe { .. } => {
                self.flush()?;
                complain(what);
                Ok(())
            }
            Self::Off => Ok(()),
        }
    }

    /// Writes what was gathered.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Terminal { prompt, text, colour, .. } if !text.is_empty() => {
                let text = mem::take(text);
                if *colour { prompt.print(&text) } else { prompt.print(&strip_str(&text).to_string()) }
            }
            Self::Pipe { bytes, .. } if !bytes.is_empty() => {
                let mut stdout = stdout().lock();
                let result = stdout.write_all(bytes).and_then(|()| stdout.flush());
                bytes.clear();
                result
            }
            _ => Ok(()),
        }
    }

    /// Writes what was gathered, and takes the prompt away.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        if let Self::Terminal { prompt, .. } = self {
            prompt.end()?;
        }
        self.flush()
    }

    fn gathered(&self) -> usize {
        match self {
            Self::Terminal { text, .. } => text.len(),
            Self::Pipe { bytes, .. } => bytes.len(),
            Self::Off => 0,
        }
    }
}

/// A message behind its mark; further lines are indented as far.
fn for_a_person(message: &Message, binary: Binary) -> String {
    let shown = match message {
        Message::Text(text) => printable(text).replace('\n', "\n  "),
        Message::Binary(payload) => {
            let shown =
                digits(payload, binary).unwrap_or_else(|| printable(&String::from_utf8_lossy(payload)).into_owned());
            format!("{FAINT}binary, {}:{FAINT:#} {shown}", bytes(payload.len()))
        }
    };
    format!("{INCOMING}<{INCOMING:#} {shown}\n")
}

fn bytes(count: usize) -> String {
    if count == 1 { "1 byte".into() } else { format!("{count} bytes") }
}
