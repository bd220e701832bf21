//! Where a client's request is read: on an event loop, in a task, or by another HTTP server. Clients of all three, and
//! readers of their answers.

use std::net::SocketAddr;

use http::Response;
use ropeway::{Client, Error, Handshake, Io, Server, Transport, WebSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::eventually::within;
use super::handshake_rows::read_response;

/// Where a client's request is read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum House {
    /// On an event loop: plain TCP.
    Loop,
    /// In a task: a stream in memory.
    Task,
    /// By axum, and so by hyper.
    #[cfg(feature = "axum")]
    Hyper,
}

pub(crate) const HOUSES: &[House] = &[
    House::Loop,
    House::Task,
    #[cfg(feature = "axum")]
    House::Hyper,
];

/// The way in to a server.
pub(crate) struct Door {
    house: House,
    server: Server,
    pub(crate) addr: SocketAddr,
}

impl House {
    pub(crate) async fn open(self, server: &Server) -> Door {
        let addr = match self {
            Self::Loop => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let addr = listener.local_addr().unwrap();
                let server = server.clone();
                tokio::spawn(async move { server.serve(listener).await });
                addr
            }
            // A host for the URL. Nothing listens there.
            Self::Task => ([127, 0, 0, 1], 9).into(),
            #[cfg(feature = "axum")]
            Self::Hyper => serve_app(axum::Router::new().layer(server.layer())).await,
        };
        Door { house: self, server: server.clone(), addr }
    }
}

impl Door {
    pub(crate) async fn knock(&self) -> Box<dyn Io> {
        if !matches!(self.house, House::Task) {
            return Box::new(TcpStream::connect(self.addr).await.unwrap());
        }
        let (near, far) = tokio::io::duplex(256 << 10);
        let server = self.server.clone();
        tokio::spawn(async move { server.serve_stream(Transport::other(far), None).await });
        Box::new(near)
    }

    pub(crate) async fn send(&self, request: &str) -> Box<dyn Io> {
        let mut io = self.knock().await;
        io.write_all(request.as_bytes()).await.unwrap();
        io
    }

    /// A refusal, whole.
    pub(crate) async fn ask(&self, request: &str) -> (Response<()>, String) {
        let io = self.send(request).await;
        rest(io).await
    }

    /// A client of our own.
    pub(crate) async fn connect(&self, client: &Client, path: &str) -> Result<(WebSocket, Handshake), Error> {
        let transport = Transport::other(self.knock().await);
        client.connect(&format!("ws://{}{path}", self.addr)).over(transport).with_handshake().await
    }
}

pub(crate) async fn rest(mut io: Box<dyn Io>) -> (Response<()>, String) {
    let mut answer = Vec::new();
    within("an answer and the end", io.read_to_end(&mut answer)).await.unwrap();
    read_response(&answer)
}

/// The 101, and nothing behind it.
pub(crate) async fn head(io: &mut Box<dyn Io>) -> Response<()> {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(within("an answer", io.read_u8()).await.expect("a whole head"));
    }
    read_response(&answer).0
}

/// The text of the next message.
pub(crate) async fn heard(ws: &mut WebSocket) -> String {
    let message = within("a message", ws.recv()).await.expect("and no error");
    message.expect("and no end").as_text().expect("a text").to_owned()
}

/// The code that the server closes with.
pub(crate) async fn code(ws: &mut WebSocket) -> u16 {
    assert_eq!(within("an end", ws.recv()).await.expect("a close frame"), None);
    within("the end", ws.closed()).await.code.as_u16()
}

/// Serves an app of axum's on a port of its own.
#[cfg(feature = "axum")]
pub(crate) async fn serve_app(app: axum::Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    addr
}

/// Returns all that is sent in answer to a request, until the server ends the connection.
#[cfg(feature = "axum")]
pub(crate) async fn ask(addr: SocketAddr, request: &str) -> (Response<()>, String) {
    let mut tcp = within("a connection", TcpStream::connect(addr)).await.unwrap();
    tcp.write_all(request.as_bytes()).await.unwrap();
    rest(Box::new(tcp)).await
}
