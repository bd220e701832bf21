//! Why serving failed, and the exit code for it.

use std::process::ExitCode;

use crate::exit::USAGE;
use crate::style::complain;

/// Why serving failed.
pub(super) enum Failure {
    /// The options cannot be used.
    Usage(String),
    /// The system, or the broker.
    Other(String),
}

impl Failure {
    /// Prints it. Returns the exit code.
    pub(super) fn report(&self) -> ExitCode {
        let (Self::Usage(text) | Self::Other(text)) = self;
        complain(text);
        if matches!(self, Self::Usage(_)) { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Other(text)
    }
}
