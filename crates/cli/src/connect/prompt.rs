//! The prompt: lines are edited on a thread of its own, and other text is shown above it.

use std::fs;
use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
#[cfg(unix)]
use std::time::Duration;

use anstyle::{AnsiColor, Style};
#[cfg(unix)]
use nix::sys::signal;
use ropeway::CloseFrame;
use rustyline::config::Config;
use rustyline::history::DefaultHistory;
use rustyline::{
    Cmd, ConditionalEventHandler, EventContext, EventHandler, ExternalPrinter, KeyEvent, Movement, RepeatCount,
    error::ReadlineError,
};
use tokio::sync::mpsc::UnboundedSender;

use super::command::Command;
use super::draft::{Draft, Watcher};
use super::events::Event;
use super::stage::Stage;
use crate::signals::Signal;
use crate::visible::escaped;

/// The text before the line that is edited. The editor leaves out colours if they are not wanted.
const PROMPT: &str = "> ";
const PROMPT_STYLE: Style = AnsiColor::Cyan.on_default().bold();

/// The number of lines that the history keeps.
const HISTORY_SIZE: usize = 1000;

/// Moves the cursor up and down again.
const NOTHING_TO_SEE: &str = "\x1bM\n";

/// Clears the line above the cursor, and goes there.
const CLEAR_LAST_LINE: &str = "\x1b[A\x1b[2K";

/// The prompt, while it is shown.
pub(crate) struct Prompt {
    /// `None` on a terminal that cannot move its cursor.
    printer: Option<Box<dyn ExternalPrinter + Send>>,
    editor: JoinHandle<()>,
    draft: Draft,
    stage: Stage,
}

type Editor = rustyline::Editor<Watcher, DefaultHistory>;

impl Prompt {
    /// Shows the prompt, and reports typed lines and Ctrl-C. Without `keep_history`, no line is kept after the program
    /// ends.
    pub(crate) fn start(
        events: UnboundedSender<Event>,
        stops: UnboundedSender<Signal>,
        keep_history: bool,
    ) -> rustyline::Result<Self> {
        let config = Config::builder()
            .auto_add_history(true)
            // In many shells, too, a line that begins with a blank is not kept.
            .history_ignore_space(true)
            .max_history_size(HISTORY_SIZE)?
            .build();
        let mut editor = Editor::with_config(config)?;
        let draft = Draft::default();
        let stage = Stage::default();
        editor.set_helper(Some(Watcher::new(draft.clone(), stage.clone(), PROMPT)));
        editor.bind_sequence(KeyEvent::ctrl('C'), EventHandler::Conditional(Box::new(ClearLine)));
        let printer = editor.create_external_printer().ok();
        let printer = printer.map(|printer| Box::new(printer) as Box<dyn ExternalPrinter + Send>);
        let history = if keep_history { history_file() } else { None };
        if let Some(file) = &history {
            // The first time there is no such file.
            let _ = editor.load_history(file);
        }
        let unfinished = draft.clone();
        let editor = thread::Builder::new()
            .name("prompt".into())
            .spawn(move || read(editor, history.as_deref(), &unfinished, &events, &stops))?;
        Ok(Self { printer, editor, draft, stage })
    }

    /// Shows text above the prompt. It waits while the user searches the history, but never for a line to be finished.
    pub(crate) fn print(&mut self, text: &str) -> io::Result<()> {
        if let Some(printer) = &mut self.printer
            && self.stage.show(|| printer.print(text.to_owned())).is_ok()
        {
            return Ok(());
        }
        // The editor is gone, or there was none.
        let mut stdout = stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    /// Removes the prompt, and restores the mode of the terminal. The caller prints the last text after this.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        let Some(mut printer) = self.printer.take() else { return Ok(()) };
        if self.editor.is_finished() {
            return Ok(());
        }
        // The printer has room for one text that waits for the editor. Once it accepts a third, the first has been
        // shown.
        for _ in 0..2 {
            // If there is no editor, nothing waits.
            let _ = printer.print(NOTHING_TO_SEE.to_owned());
        }
        interrupt(&self.editor);
        let mut stdout = stdout().lock();
        stdout.write_all(CLEAR_LAST_LINE.as_bytes())?;
        let unfinished = self.draft.take();
        if !unfinished.is_empty() {
            writeln!(stdout, "not sent: {}", escaped(&unfinished))?;
        }
        stdout.flush()
    }
}

/// Ends the editor. The only way to leave a line that nobody finishes is the signal that a user could send, and the
/// editor accepts it only while a line is edited.
#[cfg(unix)]
fn interrupt(editor: &JoinHandle<()>) {
    while !editor.is_finished() && signal::raise(signal::Signal::SIGINT).is_ok() {
        // Between two lines the signal would not be for the editor, so it is sent again.
        thread::sleep(Duration::from_millis(2));
    }
}

/// The editor ends with the program. On Windows, shells set the mode of their console themselves.
#[cfg(windows)]
fn interrupt(_editor: &JoinHandle<()>) {}

/// Reads lines until the last one. A line that the session's end interrupts stays in `draft`.
fn read(
    mut editor: Editor,
    history: Option<&Path>,
    draft: &Draft,
    events: &UnboundedSender<Event>,
    stops: &UnboundedSender<Signal>,
) {
    let prompt = (PROMPT, format!("{PROMPT_STYLE}{PROMPT}{PROMPT_STYLE:#}"));
    loop {
        if let Some(watcher) = editor.helper() {
            watcher.begin();
        }
        let read = editor.readline(&prompt);
        if let Some(watcher) = editor.helper() {
            watcher.end();
        }
        let unfinished = draft.take();
        let (event, is_last) = match read {
            Ok(line) => {
                remember(&mut editor, history);
                let Some(command) = Command::parse(&line).transpose() else { continue };
                let is_last = matches!(command, Ok(Command::Close(_)));
                (Event::Typed(command), is_last)
            }
            Err(ReadlineError::Eof) => (Event::Typed(Ok(Command::Close(CloseFrame::new(1000, "")))), true),
            Err(ReadlineError::Interrupted) => {
                // The user's Ctrl-C first removes a line before it ends anything. So this one comes from the end of the
                // session.
                if !unfinished.is_empty() && editor.add_history_entry(&*unfinished).is_ok_and(|is_new| is_new) {
                    remember(&mut editor, history);
                }
                draft.keep(unfinished);
                // After the end of the session nobody receives it.
                let _ = stops.send(Signal::Interrupt);
                return;
            }
            Err(ReadlineError::Io(error)) => (Event::InputFailed(error), true),
            Err(error) => (Event::InputFailed(io::Error::other(error)), true),
        };
        if events.send(event).is_err() || is_last {
            return;
        }
    }
}

/// Appends the new lines of the history to its file, which only the user may read.
fn remember(editor: &mut Editor, history: Option<&Path>) {
    let Some(file) = history else { return };
    // The line was sent, and the user could not do anything about the error now.
    let _ = fs::create_dir_all(file.parent().unwrap_or(file)).map(|()| editor.append_history(file));
}

/// Ctrl-C removes an unfinished line. On an empty line it has its usual meaning.
struct ClearLine;

impl ConditionalEventHandler for ClearLine {
    fn handle(&self, _: &rustyline::Event, _: RepeatCount, _: bool, line: &EventContext<'_>) -> Option<Cmd> {
        (!line.line().is_empty()).then_some(Cmd::Kill(Movement::WholeBuffer))
    }
}

/// The place that the XDG base directory specification names for files that a program keeps between its runs.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(std::env::home_dir()?.join(".local/state")))?;
    Some(state.join("ropeway/history"))
}
