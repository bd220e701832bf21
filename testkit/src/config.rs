//! The configuration of a case, and what follows from it for both directions of a compressed connection.

use std::time::Duration;

use serde::Deserialize;

use crate::role::Role;

/// The differences from the default configuration. The names are those of `ropeway_proto::Config`.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "ropeway_proto::Config documents them")]
pub struct Config {
    pub max_payload: Option<usize>,
    pub max_fragments: Option<u32>,
    pub max_control_rate: Option<u32>,
    pub max_buffered: Option<usize>,
    pub message_timeout_ms: Option<Time>,
    pub ping_interval_ms: Option<Time>,
    pub ping_timeout_ms: Option<Time>,
    pub close_timeout_ms: Option<Time>,
    pub end_timeout_ms: Option<Time>,
    pub auto_pong: Option<bool>,
    pub control_first: Option<bool>,
    pub auto_close: Option<bool>,
    pub auto_fail: Option<bool>,
    pub check_utf8: Option<bool>,
    pub reserve_ahead: Option<usize>,
    /// The agreed parameters of permessage-deflate. Absent if it was not negotiated.
    pub deflate: Option<Deflate>,
}

/// A time of a configuration: a number of milliseconds, or `"never"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "Number")]
pub enum Time {
    /// Milliseconds.
    Ms(u64),
    /// The time never comes.
    Never,
}

impl Time {
    /// Returns the time, or `None` if it never comes.
    pub(crate) fn into_duration(self) -> Option<Duration> {
        match self {
            Self::Ms(ms) => Some(Duration::from_millis(ms)),
            Self::Never => None,
        }
    }

    /// Returns the time, or one that no clock reaches.
    pub(crate) fn or_longest(self) -> Duration {
        self.into_duration().unwrap_or(Duration::MAX)
    }
}

/// A [`Time`] in the form that TOML has.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Ms(u64),
    Word(String),
}

impl TryFrom<Number> for Time {
    type Error = String;

    fn try_from(number: Number) -> Result<Self, String> {
        match number {
            Number::Ms(ms) => Ok(Self::Ms(ms)),
            Number::Word(word) if word == "never" => Ok(Self::Never),
            Number::Word(word) => Err(format!("a time is a number of ms or \"never\", not {word:?}")),
        }
    }
}

/// The negotiated parameters of permessage-deflate (RFC 7692 section 7.1), and the shortest message that we compress.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "RFC 7692 documents them")]
pub struct Deflate {
    pub server_no_context_takeover: bool,
    pub client_no_context_takeover: bool,
    pub server_max_window_bits: Option<u8>,
    pub client_max_window_bits: Option<u8>,
    pub threshold: Option<usize>,
}

impl Config {
    /// Whether the peer begins each compressed message with an empty window.
    pub(crate) fn peer_restarts(&self, role: Role) -> bool {
        self.deflate.as_ref().is_some_and(|deflate| match role {
            Role::Server => deflate.client_no_context_takeover,
            Role::Client => deflate.server_no_context_takeover,
        })
    }

    /// Whether we begin each compressed message with an empty window.
    pub(crate) fn we_restart(&self, role: Role) -> bool {
        self.deflate.as_ref().is_some_and(|deflate| match role {
            Role::Server => deflate.server_no_context_takeover,
            Role::Client => deflate.client_no_context_takeover,
        })
    }

    /// The size of the window that we may refer back to, as a power of two.
    pub(crate) fn our_window_bits(&self, role: Role) -> u8 {
        let bits = self.deflate.as_ref().and_then(|deflate| match role {
            Role::Server => deflate.server_max_window_bits,
            Role::Client => deflate.client_max_window_bits,
        });
        bits.unwrap_or(15)
    }
}
