//! An axum app that shuts down on Ctrl-C or SIGTERM: its WebSockets are closed with 1012, one after the other, and then
//! axum ends.
//!
//! ```text
//! cargo run -p ropeway --example axum_shutdown --features axum
//! ```

use std::env;
use std::error::Error;
use std::io;
use std::time::Duration;

use axum::{Router, routing::get};
use ropeway::{Server, WebSocket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8005".to_owned());
    let listener = tokio::net::TcpListener::bind(addr).await?;

    let server = Server::builder().path("/ws").build();
    server.spawn_each(|ws, _handshake| talk(ws));
    let app = Router::new().route("/", get(|| async { "the WebSocket is at /ws\n" })).layer(server.layer());

    let signal = stop_signal()?;
    println!("open http://{}/", listener.local_addr()?);
    let second = Duration::from_secs(1);
    let shutdown = server.shutdown().code(1012, "restart").spread(second).timeout(5 * second);
    // Until the shutdown is done axum answers ordinary requests, and handshakes get 503.
    axum::serve(listener, app).with_graceful_shutdown(shutdown.on(signal)).await?;
    println!("done");
    Ok(())
}

async fn talk(mut ws: WebSocket) {
    while let Ok(Some(message)) = ws.recv().await {
        if ws.send(message).await.is_err() {
            break;
        }
    }
    // A shutdown waits for this, as it does for all that a handler does at its end.
    println!("saved");
}

/// Resolves at Ctrl-C, or at the SIGTERM by which systemd, Docker and Kubernetes end a program. From this call on,
/// neither ends the program by itself.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(windows)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}
