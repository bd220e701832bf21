//! Two nodes share topics through Redis. In practice each node is a server of its own; here both are in one program.
//!
//! ```text
//! redis-server
//! cargo run -p ropeway-redis --example redis_nodes -- redis://127.0.0.1:6379
//! ```

use std::error::Error;

use ropeway::{Heard, History, Reach, Topics};
use ropeway_redis::Redis;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let (one, two) = (node(&url).await?, node(&url).await?);

    // A server would subscribe a connection: `ws.subscribe(&room)`.
    let room = two.topic("room:42")?;
    let mut heard = room.listen();
    if room.reach().await != Reach::AllNodes {
        return Err("the topic is not subscribed at Redis".into());
    }
    for text in ["Hello", "from the other node"] {
        one.topic("room:42")?.publish(text)?;
        if let Some(Heard::Message { message, position: Some(position) }) = heard.next().await {
            println!("{message} (at {position})");
        }
    }
    Ok(())
}

async fn node(url: &str) -> Result<Topics, Box<dyn Error>> {
    let engine = Redis::connect_to(url).prefix("example");
    Ok(Topics::builder().history(History::last(100)).connect(engine).await?)
}
