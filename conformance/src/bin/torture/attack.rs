//! The attacks: publishing as fast as one client can, and messages that take long to compress.

use std::fmt;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use testkit::deflate::Deflater;
use testkit::wire::{BINARY, Frame, KEY, RSV1};

use crate::good::connect;

/// The number of frames that a publisher writes at once.
const AT_ONCE: usize = 4096;

pub(crate) enum Attack {
    /// One client publishes as fast as it can, and reads all that it gets.
    Publish { subscribers: usize, size: usize },
    /// Clients send large messages that take long to compress, and read their echoes.
    Compress { clients: usize },
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish { subscribers, size } => {
                write!(f, "one publisher of {size} bytes, {subscribers} subscribers")
            }
            Self::Compress { clients } => write!(f, "{clients} clients with 16 MiB that compress slowly"),
        }
    }
}

impl Attack {
    /// Attacks for this long. Returns how many bytes were sent.
    pub(crate) fn run(&self, address: &Arc<String>, lasts: Duration) -> usize {
        match *self {
            Self::Publish { subscribers, size } => {
                let readers = Subscribers::start(address, subscribers);
                let frames = Frame::new(BINARY, vec![7; size]).with_mask(Some(KEY)).encode();
                let publisher = Sending::start(connect(address, "/broadcast", ""), frames.repeat(AT_ONCE));
                std::thread::sleep(lasts);
                let sent = publisher.stop();
                readers.stop();
                sent
            }
            Self::Compress { clients } => {
                let message = compressed();
                let headers = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
                let sending: Vec<_> = (0..clients)
                    .map(|_| Sending::start(connect(address, "/deflate", headers), message.clone()))
                    .collect();
                std::thread::sleep(lasts);
                sending.into_iter().map(Sending::stop).sum()
            }
        }
    }
}

/// A message that inflates to 16 MiB: a random text of 30,000 letters a and b, repeated. A compressor looks at many
/// places to find each repetition.
fn compressed() -> Vec<u8> {
    let mut state = 1_u32;
    let text: Vec<u8> = (0..30_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if state >> 31 == 0 { b'a' } else { b'b' }
        })
        .collect();
    let message: Vec<u8> = text.iter().copied().cycle().take(16 << 20).collect();
    Frame::new(BINARY, Deflater::new().deflate(&message)).with_rsv(RSV1).with_mask(Some(KEY)).encode()
}

/// A client that writes the same bytes again and again, and throws away all that it gets.
struct Sending {
    tcp: TcpStream,
    sent: Arc<AtomicUsize>,
    threads: [JoinHandle<()>; 2],
}

impl Sending {
    fn start(tcp: TcpStream, bytes: Vec<u8>) -> Self {
        let sent = Arc::new(AtomicUsize::new(0));
        let (mut writer, mut reader) = (tcp.try_clone().expect("a handle"), tcp.try_clone().expect("a handle"));
        let writing = std::thread::spawn({
            let sent = Arc::clone(&sent);
            move || {
                while writer.write_all(&bytes).is_ok() {
                    sent.fetch_add(bytes.len(), Ordering::Relaxed);
                }
            }
        });
        let reading = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while reader.read(&mut buffer).is_ok_and(|count| count > 0) {}
        });
        Self { tcp, sent, threads: [writing, reading] }
    }

    fn stop(self) -> usize {
        // This fails if the server has ended the connection.
        let _ = self.tcp.shutdown(Shutdown::Both);
        for thread in self.threads {
            thread.join().expect("no panic");
        }
        self.sent.load(Ordering::Relaxed)
    }
}

/// Clients that read all that they get, on one thread.
struct Subscribers {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Subscribers {
    fn start(address: &str, count: usize) -> Self {
        let clients: Vec<_> = (0..count).map(|_| connect(address, "/broadcast", "")).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || read_all(clients, &stop)
        });
        Self { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic");
    }
}

fn read_all(clients: Vec<TcpStream>, stop: &AtomicBool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for tcp in clients {
            tcp.set_nonblocking(true).expect("a socket's option");
            let tcp = tokio::net::TcpStream::from_std(tcp).expect("a runtime");
            tokio::spawn(async move {
                let mut buffer = vec![0; 1 << 14];
                while tcp.readable().await.is_ok() {
                    match tcp.try_read(&mut buffer) {
                        Ok(0) => return,
                        Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
                        _ => {}
                    }
                }
            });
        }
        while !stop.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}
