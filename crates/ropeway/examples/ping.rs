//! A client that measures the round-trip time to a server, once a second. Start the example `echo` first.
//!
//! ```text
//! cargo run -p ropeway --example ping -- ws://127.0.0.1:8005/ 5
//! ```
//!
//! The second argument is the number of pings, 5 by default.

use std::env;
use std::error::Error;
use std::time::Duration;

use tokio::time::{interval, timeout};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:8005/".to_owned());
    let count: u32 = env::args().nth(2).map_or(Ok(5), |count| count.parse())?;
    let mut ws = ropeway::connect(&url).await?;

    let mut second = interval(Duration::from_secs(1));
    for number in 1..=count {
        second.tick().await;
        // A server that takes no notice of pings would be waited for as long as the connection lasts.
        let Ok(round_trip) = timeout(Duration::from_secs(5), ws.ping(number.to_be_bytes())).await else {
            ws.terminate();
            return Err("no answer for 5 seconds".into());
        };
        println!("{number}: {:?}", round_trip?);
    }
    ws.close(1000, "").await?;
    Ok(())
}
