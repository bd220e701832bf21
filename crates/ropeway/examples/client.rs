//! A client: it connects, sends a message, receives one, and closes. Start the example `echo` first.
//!
//! ```text
//! cargo run -p ropeway --example client -- ws://127.0.0.1:8005/
//! ```

use std::env;
use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:8005/".to_owned());
    let mut ws = ropeway::connect(&url).await?;

    ws.send("hello").await?;
    match ws.recv().await? {
        Some(message) => println!("received: {message:?}"),
        None => println!("the server closed the connection"),
    }

    // Both sides send a close frame. This waits for the server's.
    let closed = ws.close(1000, "that was all").await?;
    println!("closed: {closed}");
    Ok(())
}
