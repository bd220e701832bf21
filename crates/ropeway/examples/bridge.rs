//! A bridge: each client is connected to another WebSocket server, and messages and ends are passed on in both
//! directions. Start the example `echo` first.
//!
//! ```text
//! cargo run -p ropeway --example bridge -- 127.0.0.1:8006 ws://127.0.0.1:8005/
//! ```

use std::env;
use std::error::Error;

use ropeway::{Accept, Client, CloseCode, Closed, Handle, Refusal, SendError, Server, WebSocket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8006".to_owned());
    let upstream = env::args().nth(2).unwrap_or_else(|| "ws://127.0.0.1:8005/".to_owned());
    let server = Server::bind(addr).await?;

    // The upstream is connected first. If it cannot be, the client is refused and opens nothing.
    server
        .authorize(move |_request| {
            let upstream = upstream.clone();
            async move { connect(&upstream).await.map(Accept::with) }
        })
        .spawn_each(|client, handshake| pass_both(client, handshake.value));

    println!("listening on ws://{}/", server.local_addr()?);
    server.run().await?;
    Ok(())
}

async fn connect(upstream: &str) -> Result<WebSocket, Refusal> {
    Client::new().connect(upstream).await.map_err(|error| {
        eprintln!("error: {error}");
        Refusal::new(502, "The server behind this one cannot be reached.\n")
    })
}

async fn pass_both(mut client: WebSocket, mut upstream: WebSocket) {
    let (to_client, to_upstream) = (client.handle(), upstream.handle());
    tokio::join!(pass(&mut client, &to_upstream), pass(&mut upstream, &to_client));
}

/// Passes on what comes from one side, and then its end.
async fn pass(from: &mut WebSocket, to: &Handle) {
    while let Ok(Some(message)) = from.recv().await {
        // While the other side reads slowly this waits, and so nothing more is read from here.
        if to.send_wait(message).await.is_err() {
            break; // The other side is closing, and its end is passed on to here.
        }
    }
    // Messages that nothing can be done with any more. The close frame of this side is behind them.
    while let Ok(Some(_)) = from.recv().await {}
    let closed = from.closed().await;
    println!("closed: {closed}");
    if let Err(error) = pass_end(&closed, to) {
        eprintln!("error: {error}");
    }
}

fn pass_end(closed: &Closed, to: &Handle) -> Result<(), SendError> {
    match closed.code {
        // 1005 and 1006 stand for an end without a code and without a close frame. They cannot be sent.
        CloseCode::NONE => to.close_without_code(),
        CloseCode::ABNORMAL => to.close(CloseCode::BAD_GATEWAY, "the other side was lost")?,
        code => to.close(code, closed.reason.clone())?,
    }
    Ok(())
}
