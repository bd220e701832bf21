//! A server that has no file descriptors left: a client that gets none is dropped rather than left waiting, other
//! clients are not affected, and the server recovers. The limit is one of a process, so the server is a process of its
//! own: this program, started with `serve`.

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("serve") => server::serve(),
        Some("serve-and-panic") => {
            // There are many panics, and nobody needs to read them.
            std::panic::set_hook(Box::new(|_| {}));
            tracing::subscriber::set_global_default(server::Panicking).unwrap();
            server::serve();
        }
        _ => {
            a_server_without_file_descriptors_lets_go_of_some_and_recovers("serve");
            // The same if each logged line panics.
            a_server_without_file_descriptors_lets_go_of_some_and_recovers("serve-and-panic");
        }
    }
}

#[cfg(unix)]
use client::a_server_without_file_descriptors_lets_go_of_some_and_recovers;

#[cfg(unix)]
mod server {
    use ropeway::Server;
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    /// A subscriber that panics at each line, like one whose file cannot be written.
    pub(super) struct Panicking;

    impl Subscriber for Panicking {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target().starts_with("ropeway")
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            panic!("this is meant to panic: {}", event.metadata().target());
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    /// Echoes, and prints its address.
    #[tokio::main(flavor = "current_thread")]
    pub(super) async fn serve() {
        let server = Server::bind("127.0.0.1:0").await.unwrap();
        server.on_connection(|ws, _| {
            ws.on_message(|ws, message| ws.send(message).unwrap());
        });
        println!("{}", server.local_addr().unwrap());
        server.run().await.unwrap();
    }
}

#[cfg(unix)]
mod client {
    use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::process::{Child, Command, Stdio};
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::{Duration, Instant};

    use testkit::wire::{Frame, KEY, TEXT};

    const LIMIT: usize = 32;
    const CLIENTS: usize = 64;

    /// Longer than anything takes on the slowest machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    pub(super) fn a_server_without_file_descriptors_lets_go_of_some_and_recovers(how: &str) {
        let (_server, addr) = start(how);
        let knocking: Vec<_> = (0..CLIENTS).map(|_| knock(addr)).collect();
        // Each client gets some answer: none waits for ever.
        let answers = knocking.into_iter().map(|tcp| tcp.and_then(answer));
        let (mut open, shed): (Vec<_>, Vec<_>) = answers.partition(Result::is_ok);
        println!(
            "{how}: of {CLIENTS} clients and {LIMIT} descriptors, {} are open and {} let go",
            open.len(),
            shed.len()
        );
        assert!(open.len() >= 10 && open.len() < LIMIT);
        for tcp in &mut open {
            echo(tcp.as_mut().unwrap()).unwrap();
        }
        drop(open);
        // The server learns of their end some time later. Until then it may drop others.
        let start = Instant::now();
        while knock(addr).and_then(answer).and_then(|mut tcp| echo(&mut tcp)).is_err() {
            assert!(start.elapsed() < PATIENCE, "{PATIENCE:?} have passed and the server has not recovered");
        }
        assert_eq!(refused(addr).unwrap(), "HTTP/1.1 400 ");
    }

    /// Ends the server with the test, even if the test fails.
    struct Server(Child);

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn start(how: &str) -> (Server, SocketAddr) {
        let child = Command::new("sh")
            .args(["-c", &format!("ulimit -n {LIMIT} && exec \"$0\" {how}")])
            .arg(std::env::current_exe().unwrap())
            .stdout(Stdio::piped())
            .spawn();
        let mut server = Server(child.unwrap());
        let (tell, told) = channel();
        let mut printed = BufReader::new(server.0.stdout.take().unwrap());
        thread::spawn(move || {
            let mut line = String::new();
            tell.send(printed.read_line(&mut line).map(|_| line))
        });
        let line = told.recv_timeout(PATIENCE).expect("the server prints its address").unwrap();
        (server, line.trim().parse().unwrap())
    }

    fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
        let tcp = TcpStream::connect_timeout(&addr, PATIENCE)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        Ok(tcp)
    }

    /// Fills the buffer. A client that was let go gets an error, and one that is kept waiting fails the test.
    fn read(tcp: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
        let result = tcp.read_exact(buffer);
        if let Err(error) = &result {
            // The kind differs from system to system.
            let timed_out = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            assert!(!timed_out, "a client has waited {PATIENCE:?} and was neither served nor let go");
        }
        result
    }

    fn knock(addr: SocketAddr) -> io::Result<TcpStream> {
        let mut tcp = connect(addr)?;
        tcp.write_all(
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        )?;
        Ok(tcp)
    }

    /// Asks for a WebSocket without a key. Returns the beginning of the answer.
    fn refused(addr: SocketAddr) -> io::Result<String> {
        let mut tcp = connect(addr)?;
        tcp.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")?;
        let mut status = [0; 13];
        read(&mut tcp, &mut status)?;
        Ok(String::from_utf8_lossy(&status).into_owned())
    }

    fn answer(mut tcp: TcpStream) -> io::Result<TcpStream> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            read(&mut tcp, &mut byte)?;
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        Ok(tcp)
    }

    fn echo(tcp: &mut TcpStream) -> io::Result<()> {
        tcp.write_all(&Frame::new(TEXT, "hello").with_mask(Some(KEY)).encode())?;
        let expected = Frame::new(TEXT, "hello").encode();
        let mut reply = vec![0; expected.len()];
        read(tcp, &mut reply)?;
        assert_eq!(reply, expected);
        Ok(())
    }
}
