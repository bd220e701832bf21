//! The trait of a kind of load: all that differs between them. The rest is the same for all, in the parent module.

use std::time::Duration;

use crate::bench::args::{Common, Shape};
use crate::bench::measure::Unit;
use crate::bench::measure::conduct::{Outcome, Terms};
use crate::bench::measure::worker::Worker;
use crate::bench::show::report::Report;

/// A kind of load. The options of each are one.
pub(super) trait Mode {
    /// Its name in the report.
    const NAME: &'static str;
    /// The things that it counts.
    const UNIT: Unit;
    /// Whether its latencies are the times that connections took to open.
    const MEASURES_OPENING: bool = false;

    /// The state that all its threads share.
    type Plan: Sync;

    fn common(&self) -> &Common;

    /// How many connections are opened before anything is measured; `None` if opening is what is measured.
    fn connections(&self) -> Option<u64>;

    /// The messages, if their bytes count.
    fn shape(&self) -> Option<&Shape> {
        None
    }

    /// How long the warm-up is, and how long it counts then; `None` until all is done.
    fn span(&self) -> (Duration, Option<Duration>) {
        (Duration::ZERO, None)
    }

    /// The bytes that have to find room on a connection.
    fn in_flight(&self) -> usize {
        0
    }

    /// Checks the options against each other, and does what has to be done before the run.
    fn plan(&self, terms: &Terms) -> Result<Self::Plan, Failure>;

    /// One thread's part of the load.
    async fn work(worker: Worker, plan: &Self::Plan);

    /// Completes the report with the figures of this mode alone.
    fn complete(&self, plan: &Self::Plan, outcome: &Outcome, report: &mut Report) -> Ending;
}

/// How a run ended, as far as only its mode knows.
#[derive(Default)]
pub(crate) struct Ending {
    /// Whether a number of things was asked for, and all were done.
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
