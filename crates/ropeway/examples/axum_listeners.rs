//! An axum app and a WebSocket server on one port, by a layer around the app, with listeners.
//!
//! ```text
//! cargo run -p ropeway --example axum_listeners --features axum
//! ```

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::{Router, response::Html, routing::get};
use ropeway::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8005".to_owned());
    // A proxy on this machine may name its client in X-Forwarded-For, and is believed.
    let server = Server::builder().path("/ws/{room}").trusted_proxies(["127.0.0.1".parse()?, "::1".parse()?]).build();

    server.on_connection(|ws, handshake| {
        if let Some(ip) = handshake.client_ip() {
            println!("client {ip}");
        }

        let hello = format!("hello from the server, {}", handshake.param("room").unwrap_or_default());
        let handle = ws.handle();
        let timer = tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_secs(3));
            loop {
                every.tick().await;
                // If the connection is closing, this timer is about to be stopped.
                if let Err(error) = handle.send(&hello) {
                    println!("not sent: {error}");
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

    let listener = tokio::net::TcpListener::bind(addr).await?;
    println!("open http://{}/", listener.local_addr()?);
    let ctrl_c = tokio::signal::ctrl_c();
    // A proxy is known by its address, which axum tells only if the app is served like this.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).with_graceful_shutdown(server.shutdown_on(ctrl_c)).await?;
    Ok(())
}
