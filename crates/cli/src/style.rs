//! How the program speaks on stderr: its colours, and the words before what went wrong.

use std::io::Write as _;

use anstyle::{AnsiColor, Style};

/// The word before what went wrong.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();

/// The word before what the user should think twice about.
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// What is beside the point.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// Says something on a line of stderr. Where that cannot be written there is nobody to tell.
pub(crate) fn say(line: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// Says what went wrong.
pub(crate) fn complain(what: &str) {
    say(&error(what));
}

/// What went wrong, behind the word for it.
pub(crate) fn error(what: &str) -> String {
    format!("{ERROR}error:{ERROR:#} {what}")
}

/// What is beside the point.
pub(crate) fn faint(what: &str) -> String {
    format!("{FAINT}{what}{FAINT:#}")
}

/// Says what the user should think twice about.
pub(crate) fn warn(what: &str) {
    say(&format!("{WARNING}warning:{WARNING:#} {what}"));
}
