//! The parts of a run: threads that put load on a server, their measurements, and the conductor that leads them.
//! Nothing here depends on the kind of load.

pub(super) mod conduct;
pub(super) mod memory;
pub(super) mod pace;
pub(super) mod payload;
mod progress;
pub(super) mod run;
pub(super) mod tally;
pub(super) mod timer;
pub(super) mod worker;

pub(super) use progress::Unit;
