//! A client's side of a conversation. Nothing waits without a bound.

use std::time::Duration;

use ropeway::{CloseCode, Message, WebSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Nothing here takes a second on an idle machine. A test that waits this long has found a hang.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) async fn within<F: IntoFuture>(what: &str, future: F) -> F::Output {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited {DEADLINE:?} for {what}"))
}

pub(crate) async fn connect(url: &str) -> WebSocket {
    within("a connection", ropeway::connect(url)).await.unwrap_or_else(|error| panic!("{url}: {error}"))
}

pub(crate) async fn send(ws: &WebSocket, message: impl Into<Message>) {
    within("room to send", ws.send(message)).await.expect("it is open");
}

async fn receive(ws: &mut WebSocket) -> Message {
    within("a message", ws.recv()).await.expect("it is open").expect("it is open")
}

pub(crate) async fn text(ws: &mut WebSocket) -> String {
    receive(ws).await.as_text().expect("a text").to_owned()
}

pub(crate) async fn ask(ws: &mut WebSocket, message: impl Into<Message>) -> Message {
    send(ws, message).await;
    receive(ws).await
}

/// The code and reason of the peer's close frame, which has to be the next thing that comes.
pub(crate) async fn end(ws: &mut WebSocket) -> (CloseCode, String) {
    let next = within("a close frame", ws.recv()).await;
    assert!(matches!(next, Ok(None)), "{next:?}");
    let closed = within("the end", ws.closed()).await;
    assert!(closed.clean, "{closed}");
    (closed.code, closed.reason.to_string())
}

/// The answer to a plain HTTP request, head and body.
pub(crate) async fn get(addr: &str, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    within("the answer", async {
        let mut stream = TcpStream::connect(addr).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        stream.read_to_string(&mut answer).await.expect("it answers with text");
    })
    .await;
    answer
}
