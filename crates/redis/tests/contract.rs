//! The contract of engines, with a real redis-server.
#![cfg(unix)]

use std::sync::Arc;
use std::time::Duration;

use ropeway::engine::Engine;
use ropeway_redis::Redis;
use testkit::broker::{Broker, REDIS};
use testkit::engines::Rig;

fn rig() -> Rig {
    Rig { broker: Broker::start(REDIS), engine }
}

fn engine(address: &str) -> Arc<dyn Engine> {
    // The broker writes to its file before it answers, and the file outlives its process.
    Arc::new(Redis::connect_to(format!("redis://{address}")).timeout(Duration::from_secs(1)).durable())
}

testkit::engine_suite!(crate::rig: pubsub, history, presence, topics);
