//! A server that shuts down on Ctrl-C or SIGTERM: clients are closed with 1012, one after the other, and handlers
//! finish.
//!
//! ```text
//! cargo run -p ropeway --example shutdown
//! ```

use std::env;
use std::error::Error;
use std::io;
use std::time::Duration;

use ropeway::{Server, WebSocket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8005".to_owned());
    let server = Server::bind(addr).await?;
    server.spawn_each(|ws, _handshake| talk(ws));

    let signal = stop_signal()?;
    println!("listening on ws://{}/", server.local_addr()?);
    let stop = async {
        signal.await;
        println!("shutting down");
        let second = Duration::from_secs(1);
        // 1012 tells clients to come back. They do so over a second, and not all at once.
        server.shutdown().code(1012, "restart").spread(second).timeout(5 * second).await
    };
    // `run` returns when the shutdown is done.
    let (run, remaining) = tokio::join!(server.run(), stop);
    run?;
    if remaining.is_none() {
        println!("done");
    } else {
        println!("{remaining}");
    }
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
