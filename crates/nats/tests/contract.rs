//! The contract of engines, with a real nats-server.
#![cfg(unix)]

use std::sync::Arc;
use std::time::Duration;

use ropeway::engine::Engine;
use ropeway_nats::Nats;
use testkit::broker::{Broker, NATS};
use testkit::engines::Rig;

fn rig() -> Rig {
    Rig { broker: Broker::start(NATS), engine }
}

fn engine(address: &str) -> Arc<dyn Engine> {
    let limit = Duration::from_secs(2);
    Arc::new(Nats::connect_to(format!("nats://{address}")).timeout(limit).ping_interval(Duration::from_secs(1)))
}

testkit::engine_suite!(crate::rig: pubsub, history, presence, topics);
