//! A client that writes bytes and reads bytes: for requests that a proper client does not send, and for clients that
//! stay silent.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::soon::soon;

/// A whole opening handshake. Its other headers, such as `Host`, are in `more`, each with its line end.
pub(crate) fn handshake(target: &str, more: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

/// Sends a request. Returns the connection and the answer's head.
pub(crate) async fn send(addr: SocketAddr, request: &str) -> (TcpStream, String) {
    let mut tcp = soon("a connection", TcpStream::connect(addr)).await.unwrap();
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match soon("an answer", tcp.read_u8()).await {
            Ok(byte) => head.push(byte),
            Err(error) => panic!("{error} behind {:?}", String::from_utf8_lossy(&head)),
        }
    }
    (tcp, String::from_utf8(head).unwrap())
}

/// Opens a WebSocket.
pub(crate) async fn open(addr: SocketAddr) -> TcpStream {
    let (tcp, head) = send(addr, &handshake("/echo", &format!("Host: {addr}\r\n"))).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    tcp
}

/// Sends a request. Returns the status and the whole body of the answer.
pub(crate) async fn ask(addr: SocketAddr, request: &str) -> (u16, String) {
    let (mut tcp, head) = send(addr, request).await;
    let status = head[9..12].parse().unwrap();
    let mut body = String::new();
    if status != 101 {
        soon("the end of the answer", tcp.read_to_string(&mut body)).await.unwrap();
    }
    (status, body)
}

/// Reads the close frame that comes next. Returns its code.
pub(crate) async fn close_code(tcp: &mut TcpStream) -> u16 {
    let mut header = [0; 2];
    soon("a close frame", tcp.read_exact(&mut header)).await.unwrap();
    assert_eq!(header[0], 0x88, "a close frame");
    let mut payload = vec![0; usize::from(header[1])];
    soon("the whole close frame", tcp.read_exact(&mut payload)).await.unwrap();
    u16::from_be_bytes([payload[0], payload[1]])
}
