//! More clients than places for opening handshakes: clients that have sent nothing make room for others.

use std::time::Duration;

use ropeway::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::eventually::within;
use super::script::{Log, request};

/// A handshake may take longer than these tests, so that no client is dropped because of the time.
const HOUR: Duration = Duration::from_secs(3600);

/// A server with this many places, on two ports.
fn serve(places: usize) -> [std::net::SocketAddr; 2] {
    let server = Server::builder().max_handshakes(places).handshake_timeout(HOUR).build();
    server.handle_with(Log::default());
    let listeners = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| {
        let addr = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (server, listener) = (server.clone(), TcpListener::from_std(listener).unwrap());
        tokio::spawn(async move { server.serve(listener).await });
        addr
    })
}

async fn connect(addr: std::net::SocketAddr) -> TcpStream {
    TcpStream::connect(addr).await.unwrap()
}

/// Waits until the server has dropped a client without an answer.
async fn is_dropped(tcp: &mut TcpStream) {
    let read = within("the server drops the oldest that has sent nothing", tcp.read_u8()).await;
    assert!(read.is_err(), "nothing is said to it");
}

/// Opens a connection.
async fn open(tcp: &mut TcpStream) {
    tcp.write_all(request("").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let read = within("an answer", tcp.read_u8()).await;
        head.push(read.expect("the server answers"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
}

#[tokio::test]
async fn silent_clients_make_room_for_others_on_all_ports_of_a_server() {
    let [one, other] = serve(2);
    let (mut first, mut second) = (connect(one).await, connect(one).await);
    let mut third = connect(one).await;
    // That shows that the third was accepted.
    is_dropped(&mut first).await;
    let mut fourth = connect(other).await;
    is_dropped(&mut second).await;
    // A client that has sent something stays.
    fourth.write_all(b"GET ").await.unwrap();
    let mut fifth = connect(other).await;
    open(&mut fifth).await;
    is_dropped(&mut third).await;
    let rest = request("");
    fourth.write_all(&rest.as_bytes()[4..]).await.unwrap();
    assert_eq!(within("an answer", fourth.read_u8()).await.unwrap(), b'H');
}

#[tokio::test]
async fn a_crowd_of_silent_clients_does_not_delay_others() {
    let [one, other] = serve(8);
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(connect(one).await);
    }
    for addr in [one, other, one] {
        open(&mut connect(addr).await).await;
    }
    // The oldest have gone.
    for tcp in &mut silent[..40] {
        is_dropped(tcp).await;
    }
}
