//! The trait of a kind of load: everything in which they differ. The rest is in the parent module.

use std::time::Duration;

use crate::bench::args::{Common, Shape};
use crate::bench::measure::Unit;
use crate::bench::measure::conduct::{Outcome, Terms};
use crate::bench::measure::worker::Worker;
use crate::bench::show::report::Report;

/// A kind of load. The options of each mode implement this.
pub(super) trait Mode {
    /// Its name in the report.
    const NAME: &'static str;
    /// The unit of its count.
    const UNIT: Unit;
    /// Whether its latencies are the times of opening connections.
    const MEASURES_OPENING: bool = false;

    /// The state that all its threads share.
    type Plan: Sync;

    fn common(&self) -> &Common;

    /// The number of connections that are opened before measuring. `None` if opening is what is measured.
    fn connections(&self) -> Option<u64>;

    /// The shape of the messages, if their size matters.
    fn shape(&self) -> Option<&Shape> {
        None
    }

    /// The warm-up, and the time to measure after it. `None` to measure until all is done.
    fn span(&self) -> (Duration, Option<Duration>) {
        (Duration::ZERO, None)
    }

    /// The bytes that must find room on a connection.
    fn in_flight(&self) -> usize {
        0
    }

    /// Checks the options against each other, and prepares the run.
    fn plan(&self, terms: &Terms) -> Result<Self::Plan, Failure>;

    /// One thread's part of the load.
    async fn work(worker: Worker, plan: &Self::Plan);

    /// Adds the figures of this mode to the report.
    fn complete(&self, plan: &Self::Plan, outcome: &Outcome, report: &mut Report) -> Ending;
}

/// Facts about the end of a run that only its mode knows.
#[derive(Default)]
pub(crate) struct Ending {
    /// Whether a number of things was asked for, and all of them were done.
    pub(crate) is_complete: bool,
    /// Why the run is a failure.
    pub(crate) trouble: Option<String>,
}

/// Why there was no run.
pub(crate) enum Failure {
    Usage(String),
    Io(std::io::Error),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}
