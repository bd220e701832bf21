//! What a run is made of: threads that put load on a server, what they measure, and the conductor that leads them. What each
//! kind of load sends is not known here.

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
