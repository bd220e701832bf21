//! A server that is told to shut down gently.

use std::process::Command;

use ropeway::engine::EngineFault;
use testkit::broker::{Broker, NATS};

use crate::{assert_says, connected, engine, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_that_it_shuts_down_ends_the_session_at_once() {
    let broker = Broker::start(NATS);
    // So that another server can be used before this one closes its connections, 10 s later at the earliest.
    let (session, _arrivals) = connected(&engine(&broker.address())).await;
    let told = Command::new("kill").args(["-USR2", &broker.pid().to_string()]).status().expect("`kill` is there");
    assert!(told.success());
    let Err(error) = within("the end of the session", session.ended()).await;
    assert_eq!(error.fault(), EngineFault::Lost, "{error}");
    assert_says(&error, &["shutting down"]);
}
