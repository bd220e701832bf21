//! The contract of engines, with a real redis-server.

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
    Arc::new(Redis::connect_to(format!("redis://{address}")).timeout(Duration::from_secs(1)))
}

testkit::engine_suite!(crate::rig: pubsub, topics);
