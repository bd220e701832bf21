//! What few connections have, and those for a short while: beside what waits, in a box of its own.

use ropeway_proto::{Broken, Closed};

use super::ping::Pings;

/// What few connections have.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    /// The error with which the transport broke, until the end is told.
    pub(super) broken: Option<Broken>,
    /// The pings that somebody awaits.
    pub(super) pings: Pings,
    /// How the connection ended, from its close event on.
    pub(super) outcome: Option<Closed>,
}

impl Seldom {
    pub(super) fn is_idle(&self) -> bool {
        self.broken.is_none() && self.pings.is_empty() && self.outcome.is_none()
    }
}
