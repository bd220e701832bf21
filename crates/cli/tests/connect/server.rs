//! Servers to connect to: ropeway's own, and one that follows a test's script after the opening handshake.

use std::future::Future;

use ropeway::{Handshake, Server, ServerBuilder, WebSocket};
use ropeway_proto::handshake::{HeadReader, Limits, ServerOptions, accept, encode_response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that echoes each message before it reads the next one.
pub(crate) async fn echo() -> String {
    let server = builder().bind("127.0.0.1:0").await.unwrap();
    server.on_connection(|ws, _| {
        ws.on_message(|ws, message| ws.send(message).unwrap());
    });
    run(server)
}

fn builder() -> ServerBuilder {
    Server::builder().max_payload(32 << 20)
}

/// A server that calls `serve` for each connection. Returns its URL.
pub(crate) async fn start<F, Fut>(serve: F) -> String
where
    F: Fn(WebSocket, Handshake) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let server = builder().bind("127.0.0.1:0").await.unwrap();
    server.spawn_each(serve);
    run(server)
}

/// Runs a server. Returns its URL.
pub(crate) fn run(server: Server) -> String {
    let url = format!("ws://{}/echo?q=1", server.local_addr().unwrap());
    tokio::spawn(async move { server.run().await });
    url
}

/// A server that calls `serve` with the first TCP connection, before any handshake.
pub(crate) async fn raw<F, Fut>(serve: F) -> String
where
    F: FnOnce(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { serve(listener.accept().await.unwrap().0).await });
    url
}

/// A server that calls `serve` with the first connection once the handshake is done.
pub(crate) async fn open<F, Fut>(serve: F) -> String
where
    F: FnOnce(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    raw(|mut tcp| async {
        shake_hands(&mut tcp).await;
        serve(tcp).await;
    })
    .await
}

async fn shake_hands(tcp: &mut TcpStream) {
    let mut reader = HeadReader::new(Limits::server());
    let mut buffer = [0; 4096];
    let request = loop {
        let count = tcp.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the request ended too soon");
        if let Some((request, _)) = reader.handle_request(&buffer[..count]).unwrap() {
            break request;
        }
    };
    let response = accept(&request, &ServerOptions::default()).unwrap().response;
    tcp.write_all(&encode_response(&response.map(|()| ""))).await.unwrap();
}
