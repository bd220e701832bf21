//! The width of the terminal.

use terminal_size::Width;

/// The width if there is no terminal, and the most that is easy to read.
const USUAL: usize = 80;
const MOST: usize = 110;

/// For lines on stderr.
pub(super) fn of_stderr() -> usize {
    terminal_size::terminal_size_of(std::io::stderr()).map_or(USUAL, |(Width(width), _)| usize::from(width))
}

/// For lines on stdout, which may be shorter than the terminal is wide.
pub(super) fn of_stdout() -> usize {
    terminal_size::terminal_size_of(std::io::stdout()).map_or(USUAL, |(Width(width), _)| usize::from(width).min(MOST))
}
