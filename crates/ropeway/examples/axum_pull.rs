//! An axum handler that upgrades to a WebSocket, with the pull API. The extractor stands beside `State` and `Path`.
//!
//! ```text
//! cargo run -p ropeway --example axum_pull --features axum
//! ```

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{Html, Response};
use axum::routing::{any, get};
use ropeway::axum::Upgrade;
use ropeway::{Server, WebSocket};

/// The state that all handlers share.
struct App {
    visitors: AtomicU64,
}

async fn enter(ws: Upgrade, State(app): State<Arc<App>>, Path(room): Path<String>) -> Response {
    // An app may ask its database here, and answer with something else.
    ws.max_payload(64 * 1024).on_upgrade(move |mut ws, handshake| async move {
        if let Some(ip) = handshake.client_ip() {
            println!("client {ip}");
        }
        let number = app.visitors.fetch_add(1, Ordering::Relaxed) + 1;
        if let Err(error) = talk(&mut ws, number, &room).await {
            println!("error: {error}");
        }
        println!("closed: {}", ws.closed().await);
    })
}

async fn talk(ws: &mut WebSocket, number: u64, room: &str) -> Result<(), ropeway::Error> {
    ws.send(format!("you are visitor {number}")).await?;
    let mut every = tokio::time::interval(Duration::from_secs(3));
    loop {
        tokio::select! {
            received = ws.recv() => match received? {
                // A stranger's text. Unescaped it could move your terminal's cursor, or reverse the text that follows.
                Some(message) => println!("message: {}", message.to_string().escape_debug()),
                None => return Ok(()),
            },
            _ = every.tick() => {
                // If the connection is closing, `recv` says so next.
                if let Err(error) = ws.send(format!("hello from the server, {room}")).await {
                    println!("not sent: {error}");
                }
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8005".to_owned());
    // A proxy on this machine may name its client in X-Forwarded-For, and is believed.
    let server = Server::builder().trusted_proxies(["127.0.0.1".parse()?, "::1".parse()?]).build();

    let page = get(|| async { Html(include_str!("page.html")) });
    let app = Router::new()
        .route("/", page)
        .route("/ws/{room}", any(enter))
        .with_state(Arc::new(App { visitors: AtomicU64::new(0) }))
        .layer(server.layer());

    let listener = tokio::net::TcpListener::bind(addr).await?;
    println!("open http://{}/", listener.local_addr()?);
    let ctrl_c = tokio::signal::ctrl_c();
    // A proxy is known by its address, which axum tells only if the app is served like this.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).with_graceful_shutdown(server.shutdown_on(ctrl_c)).await?;
    Ok(())
}
