//! A server on a Unix socket, as it stands behind nginx on one machine, and a client that connects to it.
//!
//! ```text
//! cargo run -p ropeway --example unix_socket -- /tmp/ropeway.sock
//! ```

use std::error::Error;

#[cfg(unix)]
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "/tmp/ropeway.sock".to_owned());
    let listener = tokio::net::UnixListener::bind(&path)?;
    println!("listening on {path}");
    // If a signal ends the program the file stays, and `bind` fails next time. A real server removes it first.
    tokio::try_join!(serve(listener), talk(&path))?;
    Ok(())
}

#[cfg(unix)]
async fn serve(listener: tokio::net::UnixListener) -> Result<(), Box<dyn Error>> {
    use ropeway::{Server, Transport};

    let server = Server::builder().path("/ws").build();
    server.on_connection(|ws, _handshake| {
        ws.on_message(|ws, message| {
            if let Err(error) = ws.send(message) {
                eprintln!("not sent: {error}");
            }
        });
    });
    loop {
        // A server takes streams from wherever they come. Those of a Unix socket have no address.
        let (stream, _) = listener.accept().await?;
        let server = server.clone();
        tokio::spawn(async move { server.serve_stream(Transport::other(stream), None).await });
    }
}

#[cfg(unix)]
async fn talk(path: &str) -> Result<(), Box<dyn Error>> {
    use ropeway::{Client, Transport};

    let stream = tokio::net::UnixStream::connect(path).await?;
    // `localhost` is what the server sees as its name. Nothing is resolved.
    let mut ws = Client::new().connect("ws://localhost/ws").over(Transport::other(stream)).await?;
    ws.send("hello").await?;
    if let Some(message) = ws.recv().await? {
        println!("received: {message:?}");
    }
    ws.close(1000, "").await?;
    Ok(())
}

#[cfg(not(unix))]
fn main() -> Result<(), Box<dyn Error>> {
    Err("this example needs Unix sockets".into())
}
