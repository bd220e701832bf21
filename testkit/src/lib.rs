//! What the tests of several crates share: the protocol cases of `testdata/*.toml` ([`case`]), a reference encoder and
//! decoder that is independent of the core ([`wire`], [`deflate`]), and what holds the one against the other.
//!
//! A row is run by whoever can: [`run_core`] runs it through `ropeway_proto::Connection`; other layers drive their own
//! transport with the [`Step`]s, collect an [`Outcome`], and have it judged by [`Case::check`] all the same.

pub mod case;
mod config;
pub mod deflate;
mod driver;
mod notation;
mod outcome;
mod role;
mod shorthand;
pub mod wire;

pub use case::{Case, Closed, Command, Event, Sent, State, Step, load};
pub use config::{Config, Deflate, Time};
pub use driver::{Driver, configure, run_core, variant};
pub use outcome::{Cut, Outcome, sent_frames};
pub use role::Role;
