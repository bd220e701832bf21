//! How far the editor is with its line: text may be shown at any time but while the prompt is on its way.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The editor's stage. Clones are the same one.
///
/// ```text
///            begin             draw              end
///  Between ────────▶ Starting ──────▶ Editing ────────▶ Between
/// ```
///
/// The editor's printer looks whether a line is edited, and writes to the terminal itself if none is. While a line is being
/// started its answer may be old by the time it writes, and the text would land within the prompt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stage(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Now {
    /// No line is edited, or no editor is there any more.
    #[default]
    Between,
    /// The terminal is being prepared for a line. Nothing may be shown.
    Starting,
    /// The editor shows what it is given above its line.
    Editing,
}

impl Stage {
    /// A line is about to be edited. Waits for a text that is being shown.
    pub(crate) fn begin(&self) {
        *self.lock() = Now::Starting;
    }

    /// The editor draws its line.
    pub(crate) fn draw(&self) {
        let mut now = self.lock();
        if *now == Now::Starting {
            *now = Now::Editing;
            self.0.changed.notify_all();
        }
    }

    /// The line is done, or the editor is.
    pub(crate) fn end(&self) {
        *self.lock() = Now::Between;
        self.0.changed.notify_all();
    }

    /// Shows a text as soon as that is safe: between two lines no line begins meanwhile.
    pub(crate) fn show<T>(&self, show: impl FnOnce() -> T) -> T {
        let now = self.0.changed.wait_while(self.lock(), |now| *now == Now::Starting);
        let now = now.unwrap_or_else(PoisonError::into_inner);
        if *now == Now::Editing {
            // The printer may wait for the editor, which must be able to end its line.
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
    use std::sync::mpsc::{channel, sync_channel};
    use std::thread;
    use std::time::Duration;

    use super::*;

    const TOO_LONG: Duration = Duration::from_mins(1);

    #[test]
    fn nothing_is_shown_while_a_line_is_being_started() {
        let (stage, (tell, told)) = (Stage::default(), channel());
        stage.begin();
        let (other, tell_of_text) = (stage.clone(), tell.clone());
        let printer = thread::spawn(move || other.show(|| tell_of_text.send("text").unwrap()));
        tell.send("prompt").unwrap();
        stage.draw();
        printer.join().unwrap();
        assert_eq!([told.recv(), told.recv()], [Ok("prompt"), Ok("text")]);
    }

    #[test]
    fn a_line_begins_behind_the_text_that_is_being_shown() {
        let (stage, (tell, told)) = (Stage::default(), channel());
        let (go_on, wait) = sync_channel(0);
        let (shown_by, tell_of_text) = (stage.clone(), tell.clone());
        let (is_showing, showing) = channel();
        let printer = thread::spawn(move || {
            shown_by.show(|| {
                is_showing.send(()).unwrap();
                wait.recv_timeout(TOO_LONG).unwrap();
                tell_of_text.send("text").unwrap();
            });
        });
        showing.recv_timeout(TOO_LONG).unwrap();
        let begins = stage.clone();
        let editor = thread::spawn(move || {
            begins.begin();
            tell.send("prompt").unwrap();
        });
        go_on.send(()).unwrap();
        printer.join().unwrap();
        editor.join().unwrap();
        assert_eq!([told.recv(), told.recv()], [Ok("text"), Ok("prompt")]);
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
