//! Two nodes on one Redis, without any WebSocket: what an engine does for topics.
//!
//! Start `redis-server`, then `cargo run -p ropeway-redis --example two_nodes`.

use std::error::Error;

use ropeway::History;
use ropeway::engine::{Arrival, Engine, Inlet, Name, Outgoing, Wanted};
use ropeway_redis::Redis;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let engine = Redis::connect_to(url).prefix("example");
    let (inlet, mut arrivals) = Inlet::new(16);
    let (listener, publisher) = (engine.connect(inlet).await?, engine.connect(Inlet::new(1).0).await?);

    let topic = Name::new("room:42")?;
    let history = Some(History::last(10));
    listener.subscribe(&[Wanted { topic: topic.clone(), history }]).await?;
    publisher.publish(&[Outgoing { topic, body: "hello".into(), history }]).await?;
    if let Some(Arrival::Message { topic, body, place: Some((position, _)) }) = arrivals.recv().await {
        println!("{topic} at {position}: {}", String::from_utf8_lossy(&body));
    }
    Ok(())
}
