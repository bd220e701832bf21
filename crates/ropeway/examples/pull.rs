//! A server with the pull API: one async function talks to one client from beginning to end.
//!
//! ```text
//! cargo run -p ropeway --example pull
//! ```

use std::env;
use std::error::Error;

use ropeway::{Server, WebSocket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8005".to_owned());
    let server = Server::bind(addr).await?;

    // A task for each connection.
    server.spawn_each(|ws, _handshake| async move {
        if let Err(error) = talk(ws).await {
            eprintln!("error: {error}");
        }
    });

    println!("listening on ws://{}/", server.local_addr()?);
    server.run().await?;
    Ok(())
}

async fn talk(mut ws: WebSocket) -> Result<(), ropeway::Error> {
    ws.send("What is your name?").await?;
    // `None`: the client has closed.
    let Some(name) = ws.recv().await? else { return Ok(()) };

    ws.send(format!("Hello, {name}! What shall I repeat?")).await?;
    let Some(text) = ws.recv().await? else { return Ok(()) };

    for _ in 0..3 {
        // This waits while the client does not read.
        ws.send(text.clone()).await?;
    }
    let closed = ws.close(1000, "bye").await?;
    println!("closed: {closed}");
    Ok(())
}
