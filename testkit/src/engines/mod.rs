//! The contract of an engine as tests that every engine passes. [`engine_suite!`](crate::engine_suite) makes the tests of a
//! crate out of them, for its engine and its real broker.

mod history;
mod presence;
mod pubsub;
mod rig;
mod topics;

pub use history::*;
pub use presence::*;
pub use pubsub::*;
pub use rig::Rig;
pub use topics::*;
