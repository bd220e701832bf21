//! The form of the program's texts on stderr: colours, and the word before an error or a warning.

use std::io::Write as _;

use anstyle::{AnsiColor, Style};

/// The style of the word before an error.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();

/// The style of the word before a warning.
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// The style of minor remarks.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// Prints a line on stderr. If that fails, the failure cannot be reported anywhere.
pub(crate) fn say(line: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// Prints an error.
pub(crate) fn complain(what: &str) {
    say(&error(what));
}

/// The text of an error, with the word before it.
pub(crate) fn error(what: &str) -> String {
    format!("{ERROR}error:{ERROR:#} {what}")
}

/// A text in the style of minor remarks.
pub(crate) fn faint(what: &str) -> String {
    format!("{FAINT}{what}{FAINT:#}")
}

/// Prints a warning.
pub(crate) fn warn(what: &str) {
    say(&format!("{WARNING}warning:{WARNING:#} {what}"));
}
