//! A handler with a state of its own type for each connection: it counts messages. Handlers are the fastest style.
//!
//! ```text
//! cargo run -p ropeway --example handler
//! ```

use std::env;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use ropeway::{Closed, Connection, Handler, Handshake, MessageRef, Server};

/// Shared by all connections.
struct Counter {
    /// The messages of all clients.
    total: AtomicU64,
}

/// Kept for each connection.
struct Client {
    path: String,
    messages: u64,
}

impl Handler for Counter {
    type State = Client;

    fn on_open(&self, _ws: &mut Connection<'_>, handshake: Handshake) -> Client {
        Client { path: handshake.path().to_owned(), messages: 0 }
    }

    fn on_message(&self, ws: &mut Connection<'_>, client: &mut Client, _message: MessageRef<'_>) {
        client.messages += 1;
        let total = self.total.fetch_add(1, Ordering::Relaxed) + 1;
        if let Err(error) = ws.send(format!("{} of {total}", client.messages)) {
            eprintln!("not sent: {error}");
        }
    }

    fn on_close(&self, _ws: &mut Connection<'_>, client: Client, closed: &Closed) {
        println!("{:?} sent {} messages: {closed}", client.path, client.messages);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8005".to_owned());
    let server = Server::bind(addr).await?;
    server.handle_with(Counter { total: AtomicU64::new(0) });

    if let Some(addr) = server.local_addr() {
        println!("listening on ws://{addr}/");
    }
    server.run().await?;
    Ok(())
}
