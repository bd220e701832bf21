//! Well-behaved clients: each sends a message a hundred times a second and waits for its echo. Each has a thread and a
//! socket of its own, so that the attackers in this process slow it down little.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use testkit::wire::{BINARY, Frame, KEY};

const CLIENTS: usize = 4;
const EVERY: Duration = Duration::from_millis(10);

/// A client that waits longer stops waiting, and this is recorded as its time.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Good {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Duration>>>,
}

impl Good {
    pub(crate) fn start(address: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..CLIENTS).map(|_| {
            let (mut tcp, stop) = (connect(address, "/echo", ""), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut trips = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let trip = trip(&mut tcp);
                    trips.push(trip);
                    if trip >= PATIENCE {
                        break;
                    }
                    std::thread::sleep(EVERY.saturating_sub(trip));
                }
                trips
            })
        });
        Self { clients: clients.collect(), stop }
    }

    /// Returns the times of all round trips.
    pub(crate) fn stop(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().flat_map(|client| client.join().expect("no panic")).collect()
    }
}

/// Returns how long a new client waits for its first echo, handshake included.
pub(crate) fn one_trip(address: &str) -> Duration {
    let start = Instant::now();
    trip(&mut connect(address, "/echo", ""));
    start.elapsed()
}

/// Opens a connection by hand.
pub(crate) fn connect(address: &str, path: &str, headers: &str) -> TcpStream {
    let mut tcp = TcpStream::connect(address).expect("it accepts");
    tcp.set_read_timeout(Some(PATIENCE)).expect("a time");
    tcp.set_nodelay(true).expect("a socket's option");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
    );
    tcp.write_all(request.as_bytes()).expect("it takes a request");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tcp.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    tcp
}

fn trip(tcp: &mut TcpStream) -> Duration {
    let start = Instant::now();
    let frame = Frame::new(BINARY, [7; 20]).with_mask(Some(KEY)).encode();
    let mut echo = [0; 22];
    match tcp.write_all(&frame).and_then(|()| tcp.read_exact(&mut echo)) {
        Ok(()) => start.elapsed(),
        Err(_) => PATIENCE,
    }
}
