//! How the program speaks on stderr: its colours, and the words before what went wrong.

use std::io::Write as _;

use anstyle::{AnsiColor, Style};

/// The word before what went wrong.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();

/// The word before what the user should think twice about.
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// What is beside the point.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// Says what went wrong.
pub(crate) fn complain(what: &str) {
    say(format_args!("{ERROR}error:{ERROR:#} {what}"));
}

/// Says what the user should think twice about.
pub(crate) fn warn(what: &str) {
    say(format_args!("{WARNING}warning:{WARNING:#} {what}"));
}

/// Writes a line to stderr. Where that cannot be written there is nobody to tell: the exit code has to say it.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(anstream::stderr(), "{line}");
}
