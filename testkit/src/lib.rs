//! Shared by the tests of several crates: the protocol cases of `testdata/*.toml` ([`case`]), a reference encoder and
//! decoder that is independent of the core ([`wire`], [`deflate`]), and the comparison of the two.
//!
//! Each layer runs the same rows. [`run_core`] runs one through `ropeway_proto::Connection`. Other layers drive a
//! transport of their own with the [`Step`]s, collect an [`Outcome`], and have it checked by [`Case::check`].
//!
//! The tests of engines start real brokers ([`broker`]), and share one suite (`engines`, behind the feature of that name).

#[cfg(unix)]
pub mod broker;
pub mod case;
mod config;
pub mod deflate;
mod driver;
#[cfg(all(unix, feature = "engines"))]
pub mod engines;
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

/// Makes the tests of an engine: one for each sentence of the contract. `$rig` is a function that starts a broker, and returns a
/// [`Rig`](crate::engines::Rig). The parts that the engine has are named after it.
///
/// ```text
/// testkit::engine_suite!(rig: pubsub);
/// ```
#[cfg(all(unix, feature = "engines"))]
#[macro_export]
macro_rules! engine_suite {
    ($rig:path: $($part:ident),+) => { $( $crate::engine_suite!(@$part $rig); )+ };
    (@pubsub $rig:path) => {
        $crate::engine_suite! { @tests $rig, pubsub:
            a_message_reaches_all_sessions_and_its_own,
            messages_of_a_topic_stay_in_order,
            what_is_published_after_subscribing_is_heard,
            each_name_is_a_topic_of_its_own,
            nothing_is_heard_after_unsubscribing,
            subscribing_again_hears_each_message_once,
            any_bytes_pass_unchanged,
            a_message_that_is_too_long_is_refused_and_the_session_goes_on,
            a_node_that_does_not_listen_stops_nobody_else,
            a_killed_broker_ends_the_session,
            a_stopped_broker_holds_up_no_call_for_long,
            a_restarted_broker_takes_new_sessions,
            an_ended_session_delivers_nothing_more,
            a_broker_that_is_not_there_is_unreachable,
            a_silent_peer_is_told_within_the_time_limit,
            a_peer_that_speaks_http_is_the_wrong_broker,
        }
    };
    (@tests $rig:path, $part:ident: $($name:ident),+ $(,)?) => {
        mod $part {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    $crate::engines::$name($rig()).await;
                }
            )+
        }
    };
}
