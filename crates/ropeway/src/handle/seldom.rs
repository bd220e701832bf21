//! State that few connections have, and only for a short while. It is in a box of its own beside the commands.

use ropeway_proto::{Broken, Closed};

use super::ping::Pings;
use super::waiting::Waiting;

/// State that few connections have.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    /// The error with which the transport broke, until the end is reported.
    pub(super) broken: Option<Broken>,
    /// The pings that are awaited.
    pub(super) pings: Pings,
    /// How the connection ended, from its close event on.
    pub(super) outcome: Option<Closed>,
    /// Messages of topics that wait for room.
    pub(super) waiting: Option<Box<Waiting>>,
}

impl Seldom {
    pub(super) fn is_idle(&self) -> bool {
        self.broken.is_none() && self.pings.is_empty() && self.outcome.is_none() && self.waiting.is_none()
    }
}
