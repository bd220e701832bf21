//! The option for compression that `serve` and `bench` have.

use clap::ValueEnum;
use ropeway::deflate::Options;

/// Which compression is offered, or agreed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compression {
    #[default]
    Off,
    /// Each message by itself
    On,
    /// Messages refer to those before them
    Takeover,
}

impl Compression {
    /// The library's options for it; `None` without compression.
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
