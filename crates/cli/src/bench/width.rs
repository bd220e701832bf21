//! How wide the terminal is.

use terminal_size::Width;

/// Where no terminal says otherwise, and the most that reads well.
const USUAL: usize = 80;
const MOST: usize = 110;

/// For what goes to stderr.
pub(super) fn of_stderr() -> usize {
    terminal_size::terminal_size_of(std::io::stderr()).map_or(USUAL, |(Width(width), _)| usize::from(width))
}

/// For what goes to stdout, where lines may be shorter than the terminal.
pub(super) fn of_stdout() -> usize {
    terminal_size::terminal_size_of(std::io::stdout()).map_or(USUAL, |(Width(width), _)| usize::from(width).min(MOST))
}
