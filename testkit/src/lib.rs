//! Shared by the tests of several crates: the protocol cases of `testdata/*.toml` ([`case`]), a reference encoder and
//! decoder that is independent of the core ([`wire`], [`deflate`]), and the comparison of the two.
//!
//! Each layer runs the same rows. [`run_core`] runs one through `ropeway_proto::Connection`. Other layers drive a
//! transport of their own with the [`Step`]s, collect an [`Outcome`], and have it checked by [`Case::check`].
//!
//! The tests of engines start real brokers ([`broker`]).

#[cfg(unix)]
pub mod broker;
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
