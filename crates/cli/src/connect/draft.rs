//! The unfinished line at the prompt. Files other than the editor need two facts of it: the text, which would be lost
//! if the session ended, and the position of its rows after a change of the terminal's width.

use std::cell::Cell;
use std::io::{Write, stdout};
use std::sync::{Arc, Mutex, PoisonError};

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, GraphemeClusterMode, Helper};

use super::stage::Stage;

/// The distance between tab stops.
const TAB_STOP: usize = 8;

/// The unfinished line. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft(Arc<Mutex<String>>);

impl Draft {
    /// Takes the line out.
    pub(crate) fn take(&self) -> String {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a line back in.
    pub(crate) fn keep(&self, line: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }

    /// Stores a line, and returns the previous one if it was different.
    fn replace(&self, line: &str) -> Option<String> {
        let mut draft = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (*draft != line).then(|| std::mem::replace(&mut *draft, line.to_owned()))
    }
}

/// Watches a line being edited. The editor asks it for hints before it draws the line, and never gets any.
#[derive(Debug)]
pub(crate) struct Watcher {
    draft: Draft,
    stage: Stage,
    prompt: &'static str,
    /// The terminal's width as the editor knows it, or 0 before it has drawn the line. The editor asks for the width
    /// when it is told of a change, and then draws the line again if it has more than one row.
    columns: Cell<usize>,
}

impl Watcher {
    pub(crate) fn new(draft: Draft, stage: Stage, prompt: &'static str) -> Self {
        Self { draft, stage, prompt, columns: Cell::new(0) }
    }

    /// Starts another line.
    pub(crate) fn begin(&self) {
        self.draft.take();
        self.columns.set(0);
        self.stage.begin();
    }

    /// The line is done.
    pub(crate) fn end(&self) {
        self.stage.end();
    }

    /// Terminals join the rows of a line when they become wider. The editor then clears as many rows as the line had
    /// before, counted upwards, and with them rows of other text above. To prevent that, this adds the missing rows
    /// below the line.
    ///
    /// On a terminal that does not join rows, some old rows stay visible above the line, which does no harm.
    fn make_up_for_rows(&self, line: &str, pos: usize, before: usize, now: usize) {
        let place = |columns: usize| {
            let cursor = row(self.prompt, &line[..pos], columns);
            (cursor, row(self.prompt, line, columns) - cursor)
        };
        let ((old_cursor, old_below), (cursor, below)) = (place(before), place(now));
        let (old_rows, rows) = (old_cursor + old_below, cursor + below);
        if rows >= old_rows {
            return;
        }
        let down = if below > 0 { format!("\x1b[{below}B") } else { String::new() };
        let up = if old_below > 0 { format!("\x1b[{old_below}A") } else { String::new() };
        let missing = "\n".repeat(old_rows - rows);
        let mut stdout = stdout().lock();
        // If this fails, the editor's own write fails next, and it reports that.
        let _ = write!(stdout, "{down}{missing}{up}").and_then(|()| stdout.flush());
    }
}

/// Returns the row in which a text behind the prompt ends, counted from 0 as the editor does.
fn row(prompt: &str, text: &str, columns: usize) -> usize {
    let mode = GraphemeClusterMode::from_env();
    let (mut row, mut column) = (0, 0);
    for c in prompt.chars().chain(text.chars()) {
        let width = match c {
            '\n' => {
                (row, column) = (row + 1, 0);
                continue;
            }
            '\t' => TAB_STOP - column % TAB_STOP,
            c => usize::from(mode.width(c.encode_utf8(&mut [0; 4]))),
        };
        column += width;
        if column > columns {
            (row, column) = (row + 1, width);
        }
    }
    if column == columns { row + 1 } else { row }
}

impl Hinter for Watcher {
    type Hint = String;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<String> {
        self.stage.draw();
        let now = terminal_size::terminal_size().map_or(0, |(terminal_size::Width(columns), _)| usize::from(columns));
        let believed = self.columns.get();
        let changed = self.draft.replace(line);
        if believed == now {
            return None;
        }
        match changed {
            _ if believed == 0 => {}
            // The editor has not been told of the width yet, or it would have drawn the previous text of the line
            // again.
            Some(before) if row(self.prompt, &before, believed) > 0 => return None,
            Some(_) => {}
            None => self.make_up_for_rows(line, pos, believed, now),
        }
        self.columns.set(now);
        None
    }
}

impl Completer for Watcher {
    type Candidate = String;
}

impl Highlighter for Watcher {}

impl Validator for Watcher {}

impl Helper for Watcher {}

/// The editor is gone, by a panic too.
impl Drop for Watcher {
    fn drop(&mut self) {
        self.stage.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_as_a_terminal_fills_them() {
        for (text, columns, expected) in [
            ("", 10, 0),
            ("1234567", 10, 0),
            // When a row is full, the cursor is in the next one at once.
            ("12345678", 10, 1),
            ("123456789", 10, 1),
            ("a\nb", 10, 1),
            // A wide character that does not fit goes to the next row as a whole.
            ("1234567\u{d55c}", 10, 1),
            ("123456\u{d55c}", 10, 1),
            ("12345\u{d55c}", 10, 0),
            ("1\t2", 10, 0),
            ("1\t23", 10, 1),
        ] {
            assert_eq!(row("> ", text, columns), expected, "{text:?}");
        }
    }
}
