//! Publishing at full speed into a broker that is stopped: memory stays within a bound, and local subscribers hear each
//! message at once.

use std::time::{Duration, Instant};

use ropeway::{Delivery, Heard, Topics};
use testkit::broker::Broker;
use tokio::task::{block_in_place, yield_now};
use tokio::time::timeout;

use crate::Kind;

/// The most memory that may be added: the outbox has 16 MiB while the engine counts as up, and as much is in flight in the
/// engine's client. The rest is the allocator's.
const MOST_MEMORY: usize = 64 << 20;

/// The bytes of a message.
const LENGTH: usize = 256;

/// Returns the number of failures.
pub(crate) async fn run(kind: Kind, time: Duration) -> usize {
    let broker = block_in_place(|| Broker::start(kind.broker()));
    let connecting = match kind {
        Kind::Nats => Topics::builder().connect(crate::nats(&broker.address())).await,
        Kind::Redis => Topics::builder().connect(crate::redis(&broker.address())).await,
    };
    let topics = connecting.expect("the broker runs");
    let topic = topics.topic("topic").expect("a short name");
    let mut heard = topic.listen();
    let message = "x".repeat(LENGTH);
    let (before, began) = (memory(), Instant::now());
    let (mut most, mut late, mut offline, mut full, mut count) = (0, 0, 0_u64, 0_u64, 0_u64);
    broker.stop();
    while began.elapsed() < time {
        for _ in 0..100 {
            match topic.publish(message.as_str()).expect("room").engine {
                Some(Delivery::Offline) => offline += 1,
                Some(Delivery::Full) => full += 1,
                _ => {}
            }
            count += 1;
            // It is there when `publish` returns.
            match timeout(Duration::ZERO, heard.next()).await {
                Ok(Some(Heard::Message { .. })) => {}
                _ => late += 1,
            }
        }
        most = most.max(memory().saturating_sub(before));
        yield_now().await;
    }
    broker.go_on();
    let is_right = late == 0 && most <= MOST_MEMORY && offline + full > 0 && count > 10_000;
    println!(
        "{} {kind:?} stopped for {} s: {count} published ({offline} offline, {full} full), {} dropped, {late} not heard at \
         once, {:.1} MB more memory (at most {})",
        if is_right { "ok    " } else { "FAILED" },
        time.as_secs(),
        topics.dropped(),
        f64::from(most.div_ceil(100_000) as u32) / 10.0,
        MOST_MEMORY / 1_000_000,
    );
    usize::from(!is_right)
}

/// The resident memory of this process.
fn memory() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages * 4096
}
