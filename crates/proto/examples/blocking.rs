//! An echo server that drives the core by hand over `std::net`: a thread a connection, no runtime.
//!
//! ```text
//! cargo run -p ropeway-proto --example blocking 127.0.0.1:8006
//! ```

#![expect(clippy::disallowed_methods, reason = "a driver has a clock")]

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ropeway_proto::handshake::{HeadReader, Limits, Refusal, ServerOptions, accept, encode_response};
use ropeway_proto::{Config, Connection, Event, Input, Role};

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8006".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("echoing on ws://{}/", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || {
            if let Err(error) = serve(stream) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = HeadReader::new(Limits::server());
    let (accepted, leftover) = loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let head = reader.handle_request(&buffer[..count]).map_err(Refusal::from).and_then(|head| {
            head.map(|(request, used)| Ok((accept(&request, &ServerOptions::default())?, used..count))).transpose()
        });
        match head {
            Ok(Some(done)) => break done,
            Ok(None) => {}
            Err(refusal) => return stream.write_all(&encode_response(&refusal.to_response())),
        }
    };
    stream.write_all(&accepted.response_bytes())?;

    let mut connection = Connection::new(Role::Server, Arc::new(Config::server()), Instant::now());
    echo(&mut connection, &mut buffer[leftover]);
    loop {
        let mut slices = [IoSlice::new(&[]); 16];
        while let count @ 1.. = connection.poll_transmit(&mut slices) {
            let written = stream.write_vectored(&slices[..count])?;
            connection.handle_transmitted(written);
            slices = [IoSlice::new(&[]); 16];
        }
        if connection.poll_shutdown() {
            stream.shutdown(Shutdown::Write)?;
            connection.handle_shutdown();
        }
        if let Some(outcome) = connection.outcome() {
            println!("closed: {outcome}");
            return Ok(());
        }
        let wait = connection.poll_timeout().map(|at| at.saturating_duration_since(Instant::now()));
        stream.set_read_timeout(wait.map(|wait| wait.max(Duration::from_millis(1))))?;
        match stream.read(&mut buffer) {
            Ok(0) => connection.handle_eof(Instant::now()),
            Ok(count) => echo(&mut connection, &mut buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                connection.handle_timeout(Instant::now());
            }
            Err(_) => connection.handle_reset(),
        }
    }
}

fn echo(connection: &mut Connection, bytes: &mut [u8]) {
    let mut input = Input::new(bytes);
    while let Some(event) = connection.handle_input(&mut input, Instant::now()) {
        if let Event::Message(message) = event {
            // There is room: the queue is written before the next read. This fails once the connection closes.
            let _ = connection.send_promised(message);
        }
    }
}
