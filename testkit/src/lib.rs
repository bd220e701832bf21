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
#[cfg(all(unix, feature = "engines"))]
pub mod link;
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
/// testkit::engine_suite!(rig: pubsub, history, presence);
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
    (@history $rig:path) => {
        $crate::engine_suite! { @tests $rig, history:
            each_message_names_the_one_before_it,
            all_nodes_hear_a_topic_in_one_order,
            a_replay_has_exactly_the_messages_after_a_position,
            the_end_of_a_topic_is_a_position_to_come_back_to,
            the_count_is_exact_at_its_edge,
            a_message_that_is_too_old_is_forgotten,
            a_position_of_another_epoch_is_not_complete,
            a_restart_with_data_loses_nothing,
            a_restart_without_data_is_another_epoch,
            hard_names_have_histories_of_their_own,
            a_busy_neighbour_forgets_nothing_of_a_quiet_topic,
        }
    };
    (@presence $rig:path) => {
        $crate::engine_suite! { @tests $rig, presence:
            members_join_and_leave,
            a_member_that_is_not_renewed_disappears,
            a_renewed_member_stays,
            members_of_a_topic_are_those_of_no_other,
            a_thousand_members_are_all_listed,
        }
    };
    (@topics $rig:path) => {
        $crate::engine_suite! { @tests $rig, topics:
            a_message_that_is_sent_twice_is_heard_once,
            a_node_hears_its_own_message_once,
            messages_of_one_publisher_are_heard_in_order_everywhere,
            with_history_all_nodes_hear_one_order_without_holes,
            once_subscribed_a_node_hears_all,
            while_the_engine_is_down_local_subscribers_go_on,
            the_outbox_keeps_the_newest_and_tells_of_the_others,
            without_an_outbox_others_are_told,
            a_node_that_was_away_is_told_of_a_gap,
            history_fills_in_what_a_node_missed,
            history_that_forgot_something_is_a_gap,
            a_broker_that_lost_its_data_is_a_gap,
            a_stopped_broker_costs_drops_that_are_told,
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
