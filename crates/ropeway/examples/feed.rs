//! A feed of prices for many clients. A slow reader gets only the latest price of each symbol, and does not delay the
//! others.
//!
//! ```text
//! cargo run -p ropeway --example feed
//! ```

use std::env;
use std::error::Error;
use std::time::Duration;

use ropeway::{Overflow, Server, Topic};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8005".to_owned());
    // 64 KiB may wait for a client. By default a subscriber with more than that is closed with 1013. Here it misses
    // prices that are no longer the latest.
    let server = Server::builder().max_buffered(64 * 1024).bind(addr).await?;
    let prices = Topic::with_overflow(Overflow::Conflate);

    server.on_connection({
        let prices = prices.clone();
        move |ws, _handshake| {
            ws.subscribe(&prices);
            ws.on_close(|ws, closed| println!("missed {} messages: {closed}", ws.dropped()));
        }
    });

    tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        for (number, symbol) in (0_u64..).zip(["ACME", "BOLT", "CORN"].into_iter().cycle()) {
            tick.tick().await;
            // Made once for all subscribers. This waits only if the server itself cannot keep up.
            let _subscribers = prices.publish_keyed_wait(symbol, format!("{symbol} {number}")).await;
        }
    });

    println!("listening on ws://{}/", server.local_addr()?);
    server.run().await?;
    Ok(())
}
