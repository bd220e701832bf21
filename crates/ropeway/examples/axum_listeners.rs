//! An axum app and a WebSocket server on one port, with listeners.
//!
//! ```text
//! cargo run -p ropeway --example axum_listeners --features axum
//! ```

use std::time::Duration;

use axum::{Router, response::Html, routing::get};
use ropeway::{ReadyState, Server};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A proxy on this machine may name its client in X-Forwarded-For, and is believed.
    let server = Server::builder().path("/ws").trusted_proxies(["127.0.0.1".parse()?, "::1".parse()?]).build();

    server.on_connection(|ws, handshake| {
        if let Some(ip) = handshake.client_ip() {
            println!("client {ip}");
        }

        let handle = ws.handle();
        let timer = tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_secs(3));
            loop {
                every.tick().await;
                if handle.ready_state() == ReadyState::Open {
                    // The queue is full, or the connection has just closed: the next message will do.
                    let _ = handle.send("hello from the server");
                }
            }
        });

        // The message is a stranger's text. Unescaped it could move your terminal's cursor, or reverse the text that
        // follows.
        ws.on_message(|_, message| println!("message: {}", message.to_string().escape_debug()));
        ws.on_error(|_, error| println!("error: {error}"));
        ws.on_close(move |_, closed| {
            println!("closed: {closed}");
            timer.abort();
        });
    });

    let app = Router::new().route("/", get(|| async { Html(include_str!("page.html")) })).layer(server.layer());

    let port = std::env::var("PORT").unwrap_or_else(|_| "8005".into());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("open http://{}/", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
