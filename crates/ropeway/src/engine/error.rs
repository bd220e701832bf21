//! The errors of an engine.

use std::error::Error;
use std::fmt;

/// An error of an engine: what happened, and what to do about it.
#[derive(Debug)]
pub struct EngineError {
    fault: EngineFault,
    text: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kind of an [`EngineError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineFault {
    /// The broker's address or the settings cannot be used. Trying again does not help.
    Settings,
    /// The broker cannot be reached.
    Unreachable,
    /// The broker refused the credentials, or TLS failed.
    Access,
    /// The peer is not a broker of this kind, or is too old.
    WrongBroker,
    /// The session has ended.
    Lost,
    /// The broker refused this call. The session goes on.
    Refused,
    /// The engine does not have this part of the contract.
    Unsupported,
}

impl EngineError {
    /// An error with a text that says what happened and what to do.
    pub fn new(fault: EngineFault, text: impl Into<String>) -> Self {
        Self { fault, text: text.into(), source: None }
    }

    /// Adds the error that caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The engine does not have this part of the contract.
    pub fn unsupported(part: &str) -> Self {
        Self::new(
            EngineFault::Unsupported,
            format!("this engine has no {part}; use an engine that has it, or topics without {part}"),
        )
    }

    /// The kind of the error.
    pub fn fault(&self) -> EngineFault {
        self.fault
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
