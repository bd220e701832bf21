//! A server that sends each message back to the client it came from, with listeners.
//!
//! ```text
//! cargo run -p ropeway --example echo
//! ```

use std::env;
use std::error::Error;

use ropeway::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8005".to_owned());
    let server = Server::bind(addr).await?;

    // This is called with each connection that opens.
    server.on_connection(|ws, _handshake| {
        ws.on_message(|ws, message| {
            if let Err(error) = ws.send(message) {
                eprintln!("not sent: {error}");
            }
        });
        // The client broke the protocol, or is gone without a close frame. `on_close` follows.
        ws.on_error(|_, error| eprintln!("error: {error}"));
        ws.on_close(|_, closed| println!("closed: {closed}"));
    });

    if let Some(addr) = server.local_addr() {
        println!("listening on ws://{addr}/");
    }
    server.run().await?;
    Ok(())
}
