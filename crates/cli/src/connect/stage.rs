//! The stage of the editor. Text may be shown at any time, except while the prompt is being drawn.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The editor's stage. Clones share it.
///
/// ```text
///            begin             draw              end
///  Between ────────▶ Starting ──────▶ Editing ────────▶ Between
/// ```
///
/// The editor's printer checks whether a line is being edited, and if not, writes to the terminal itself. While a line
/// is being started, the result of that check may be out of date at the time of the write, and the text would be drawn
/// into the prompt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stage(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Now {
    /// No line is edited, or there is no editor any more.
    #[default]
    Between,
    /// The terminal is being prepared for a line. Nothing may be shown.
    Starting,
    /// The editor shows the texts that it gets above its line.
    Editing,
}

impl Stage {
    /// Notes that a line is about to be edited. Waits for a text that is being shown.
    pub(crate) fn begin(&self) {
        *self.lock() = Now::Starting;
    }

    /// Notes that the editor draws its line.
    pub(crate) fn draw(&self) {
        let mut now = self.lock();
        if *now == Now::Starting {
            *now = Now::Editing;
            self.0.changed.notify_all();
        }
    }

    /// Notes that the line is finished, or the editor has ended.
    pub(crate) fn end(&self) {
        *self.lock() = Now::Between;
        self.0.changed.notify_all();
    }

    /// Shows a text as soon as that is safe. Between two lines, no line begins while `show` runs.
    pub(crate) fn show<T>(&self, show: impl FnOnce() -> T) -> T {
        let now = self.0.changed.wait_while(self.lock(), |now| *now == Now::Starting);
        let now = now.unwrap_or_else(PoisonError::into_inner);
        if *now == Now::Editing {
            // The printer may wait for the editor, which must be able to end its line meanwhile.
            drop(now);
        }
        show()
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::TryLockError;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::thread;
    use std::time::Duration;

    use super::*;

    const TOO_LONG: Duration = Duration::from_mins(1);

    #[test]
    fn nothing_is_shown_while_a_line_is_being_started() {
        let (stage, (tell, told)) = (Stage::default(), channel());
        stage.begin();
        let (other, tell_of_text) = (stage.clone(), tell.clone());
        let printer = thread::spawn(move || {
            tell_of_text.send("about to show").unwrap();
            other.show(|| tell_of_text.send("text").unwrap());
        });
        assert_eq!(told.recv_timeout(TOO_LONG), Ok("about to show"));
        // Time for a printer that does not wait. One that waits passes however long this is.
        assert_eq!(told.recv_timeout(Duration::from_millis(50)), Err(RecvTimeoutError::Timeout));
        tell.send("prompt").unwrap();
        stage.draw();
        printer.join().unwrap();
        assert_eq!([told.recv(), told.recv()], [Ok("prompt"), Ok("text")]);
    }

    #[test]
    fn a_line_begins_behind_the_text_that_is_being_shown() {
        let stage = Stage::default();
        let begins = stage.clone();
        let editor = stage.show(|| {
            // The line begins with this lock.
            assert!(matches!(stage.0.now.try_lock(), Err(TryLockError::WouldBlock)));
            let editor = thread::spawn(move || begins.begin());
            assert!(!editor.is_finished());
            editor
        });
        editor.join().unwrap();
        assert_eq!(*stage.lock(), Now::Starting);
    }

    #[test]
    fn a_text_that_waits_for_the_editor_lets_the_line_end() {
        let stage = Stage::default();
        stage.begin();
        stage.draw();
        stage.show(|| stage.end());
        stage.show(|| {});
    }
}
