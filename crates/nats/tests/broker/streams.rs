//! The settings that the streams of histories must have, and administrators that change or remove them.

use async_nats::jetstream;
use ropeway::engine::{EngineFault, Position};
use testkit::broker::{Broker, NATS};

use crate::{KEPT, assert_says, connected, engine, name, publish, within};

const STREAM: &str = "rw-history-100-60000";

async fn administrator(broker: &Broker) -> jetstream::Context {
    jetstream::new(async_nats::connect(broker.address()).await.expect("it can connect"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cannot_be_purged_in_part_so_that_nothing_is_missed_unseen() {
    let broker = Broker::start(NATS);
    let (session, _arrivals) = connected(&engine(&broker.address())).await;
    for number in 1..=3 {
        publish(&session, "room", &number.to_string(), Some(KEPT)).await.expect("it is stored");
    }
    let stream = administrator(&broker).await.get_stream(STREAM).await.expect("it is there");
    stream.purge().await.expect_err("purging is denied");
    stream.delete_message(2).await.expect_err("deleting is denied");
    let end = within("a replay", session.replay(&name("room"), KEPT, None)).await.expect("it can be read").end;
    let first = Position::new(end.epoch, 1);
    let replay = within("a replay", session.replay(&name("room"), KEPT, Some(first))).await.expect("it can be read");
    assert_eq!((replay.is_complete, replay.messages.len()), (true, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_removed_and_made_again_has_another_epoch() {
    let broker = Broker::start(NATS);
    let (session, _arrivals) = connected(&engine(&broker.address())).await;
    for number in 1..=3 {
        publish(&session, "room", &number.to_string(), Some(KEPT)).await.expect("it is stored");
    }
    let room = name("room");
    let end = within("a replay", session.replay(&room, KEPT, None)).await.expect("it can be read").end;
    administrator(&broker).await.delete_stream(STREAM).await.expect("it can be removed");
    let lost = publish(&session, "room", "lost", Some(KEPT)).await.expect_err("there is no stream");
    assert_eq!(lost.fault(), EngineFault::Refused, "{lost}");
    assert_says(&lost, &["removed", "the next one makes it again"]);
    for number in 1..=4 {
        publish(&session, "room", &number.to_string(), Some(KEPT)).await.expect("it is stored");
    }
    let replay = within("a replay", session.replay(&room, KEPT, Some(end))).await.expect("it can be read");
    assert!(!replay.is_complete && replay.messages.is_empty(), "{replay:?}");
    assert_ne!(replay.end.epoch, end.epoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_other_settings_is_refused() {
    let broker = Broker::start(NATS);
    let settings = jetstream::stream::Config { name: STREAM.into(), subjects: vec!["x".into()], ..Default::default() };
    administrator(&broker).await.create_stream(settings).await.expect("it can be made");
    let (session, _arrivals) = connected(&engine(&broker.address())).await;
    let error = publish(&session, "room", "x", Some(KEPT)).await.expect_err("it is another stream");
    assert_eq!(error.fault(), EngineFault::Refused, "{error}");
    assert_says(&error, &[STREAM, "nats stream rm"]);
    publish(&session, "room", "x", None).await.expect("messages without history go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_jetstream_there_is_no_history_and_the_rest_works() {
    // The settings file counts after the arguments, so the folder of JetStream is all that can be taken from it.
    let broker = Broker::with_settings(NATS, "accounts { A: { users: [{ user: a, password: a }] } }\nno_auth_user: a");
    let (session, _arrivals) = connected(&engine(&broker.address())).await;
    let error = publish(&session, "room", "x", Some(KEPT)).await.expect_err("there is no JetStream");
    assert_eq!(error.fault(), EngineFault::Refused, "{error}");
    assert_says(&error, &["JetStream"]);
    let error = within("a replay", session.replay(&name("room"), KEPT, None)).await.expect_err("there is no JetStream");
    assert_eq!(error.fault(), EngineFault::Refused, "{error}");
    publish(&session, "room", "x", None).await.expect("messages without history go on");
}
