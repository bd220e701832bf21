//! Tests of an application: connections in memory, and an hour that passes in a millisecond.
//!
//! ```text
//! cargo test -p ropeway --example testing
//! ```

use std::env;
use std::error::Error;
use std::time::Duration;

use ropeway::{Server, WebSocket};
use tokio::time::timeout;

/// The application: it repeats each message, and says goodbye to clients that say nothing for an hour.
fn app() -> Server {
    let server = Server::builder().path("/echo").build();
    server.spawn_each(|ws, _handshake| async move {
        if let Err(error) = talk(ws).await {
            eprintln!("error: {error}");
        }
    });
    server
}

async fn talk(mut ws: WebSocket) -> Result<(), ropeway::Error> {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    loop {
        match timeout(HOUR, ws.recv()).await {
            Ok(Ok(Some(message))) => ws.send(message).await?,
            Ok(ended) => return ended.map(|_| ()),
            Err(_nothing_came) => {
                ws.close(4000, "idle").await?;
                return Ok(());
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8005".to_owned());
    let listener = tokio::net::TcpListener::bind(addr).await?;
    println!("listening on ws://{}/echo", listener.local_addr()?);
    app().serve(listener).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use ropeway::{Client, Error, Transport};
    use tokio::time::Instant;

    use super::*;

    /// Connects to the application by a pipe in memory. There is no port, but the whole opening handshake takes place.
    async fn connect(url: &str) -> Result<WebSocket, Error> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move { app().serve_stream(Transport::other(far), None).await });
        Client::new().connect(url).over(Transport::other(near)).await
    }

    #[tokio::test]
    async fn it_repeats_what_it_is_told() -> Result<(), Error> {
        let mut ws = connect("ws://test/echo").await?;
        ws.send("hello").await?;
        assert_eq!(ws.recv().await?, Some("hello".into()));
        Ok(())
    }

    #[tokio::test]
    async fn other_paths_are_refused() {
        let error = connect("ws://test/elsewhere").await.unwrap_err();
        assert_eq!(error.response().unwrap().status(), 404);
    }

    // The clock stands still while there is something to do. Then it jumps to the next deadline, whatever waits for it.
    #[tokio::test(start_paused = true)]
    async fn silent_clients_are_closed_after_an_hour() -> Result<(), Error> {
        let mut ws = connect("ws://test/echo").await?;
        let begun = Instant::now();
        assert_eq!(ws.recv().await?, None);
        let closed = ws.closed().await;
        assert_eq!((closed.code.as_u16(), &*closed.reason), (4000, "idle"));
        assert_eq!(begun.elapsed().as_secs(), 60 * 60);
        Ok(())
    }
}
