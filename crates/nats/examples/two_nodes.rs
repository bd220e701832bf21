//! Two nodes share topics through NATS: what is published on one is heard on the other. Here both are in one program; as a
//! rule each is a server of its own.
//!
//! ```text
//! nats-server --jetstream
//! cargo run -p ropeway-nats --example two_nodes -- nats://127.0.0.1:4222
//! ```

use std::error::Error;
use std::time::Duration;

use ropeway::{Heard, History, Reach, Topics};
use ropeway_nats::Nats;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "nats://127.0.0.1:4222".into());
    let first = node(&url).await?;
    let second = node(&url).await?;

    // A server would subscribe connections: `ws.subscribe(&room)`.
    let room = second.topic("room 42")?;
    let mut heard = room.listen();
    let reach = room.reach().await;
    println!("subscribed: {reach:?}");
    assert_eq!(reach, Reach::AllNodes);

    for number in 1..=3 {
        let published = first.topic("room 42")?.publish(format!("message {number}"))?;
        println!("published: {:?}", published.engine);
    }
    for _ in 1..=3 {
        match heard.next().await {
            // A client that keeps the position can come back with `subscribe_from`, and misses nothing.
            Some(Heard::Message { message, position: Some(position) }) => println!("heard {message:?} at {position}"),
            other => println!("unexpected: {other:?}"),
        }
    }
    Ok(())
}

async fn node(url: &str) -> Result<Topics, Box<dyn Error>> {
    let history = History::last(100).for_at_most(Duration::from_secs(300));
    Ok(Topics::builder().history(history).connect(Nats::connect_to(url)).await?)
}
