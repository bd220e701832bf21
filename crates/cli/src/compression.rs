//! The compression option of `serve` and `bench`.

use clap::ValueEnum;
use ropeway::deflate::Options;

/// The compression that is offered, or agreed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compression {
    #[default]
    Off,
    /// Compress each message by itself
    On,
    /// Compress messages with references to earlier ones
    Takeover,
}

impl Compression {
    /// The library's options for it. `None` for no compression.
    pub(crate) fn options(self) -> Option<Options> {
        match self {
            Self::Off => None,
            Self::On => Some(Options::no_context_takeover()),
            Self::Takeover => Some(Options::context_takeover()),
        }
    }

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Takeover => "takeover",
        }
    }
}
