//! How the program speaks on stderr: its colours, and the words before what went wrong.

use anstyle::{AnsiColor, Style};

/// The word before what went wrong.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();

/// The word before what the user should think twice about.
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// What is beside the point.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// Says what went wrong.
pub(crate) fn complain(what: &str) {
    anstream::eprintln!("{ERROR}error:{ERROR:#} {what}");
}

/// Says what the user should think twice about.
pub(crate) fn warn(what: &str) {
    anstream::eprintln!("{WARNING}warning:{WARNING:#} {what}");
}
