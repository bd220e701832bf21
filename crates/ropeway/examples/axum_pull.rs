//! An axum app and a WebSocket server on one port, in the pull style: a task for each connection awaits its messages.
//!
//! ```text
//! cargo run -p ropeway --example axum_pull --features axum
//! ```

use std::env;
use std::error::Error;
use std::time::Duration;

use axum::{Router, response::Html, routing::get};
use ropeway::{Handshake, Server, WebSocket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8005".to_owned());
    // A proxy on this machine may name its client in X-Forwarded-For, and is believed.
    let server = Server::builder().path("/ws/{room}").trusted_proxies(["127.0.0.1".parse()?, "::1".parse()?]).build();
    server.spawn_each(talk);

    let app = Router::new().route("/", get(|| async { Html(include_str!("page.html")) })).layer(server.layer());

    let listener = tokio::net::TcpListener::bind(addr).await?;
    println!("open http://{}/", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn talk(mut ws: WebSocket, handshake: Handshake) {
    if let Some(ip) = handshake.client_ip() {
        println!("client {ip}");
    }
    let hello = format!("hello from the server, {}", handshake.param("room").unwrap_or_default());
    let mut every = tokio::time::interval(Duration::from_secs(3));
    loop {
        tokio::select! {
            received = ws.recv() => match received {
                // A stranger's text. Unescaped it could move your terminal's cursor, or reverse the text that follows.
                Ok(Some(message)) => println!("message: {}", message.to_string().escape_debug()),
                Ok(None) => break,
                Err(error) => println!("error: {error}"),
            },
            _ = every.tick() => {
                // If the connection is closing, `recv` reports it.
                let _ = ws.send(&hello).await;
            }
        }
    }
    if let Some(closed) = ws.outcome() {
        println!("closed: {closed}");
    }
}
