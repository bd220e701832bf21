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
use ropeway_proto::{Closed, Config, Connection, Event, Input, Role};

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

    let connection = Connection::new(Role::Server, Arc::new(Config::server()), Instant::now());
    let closed = drive(connection, stream, &mut buffer[leftover], |connection, event| {
        if let Event::Message(message) = event {
            // There is room: what is queued is written before the next read. It fails once the connection closes.
            let _ = connection.send_promised(message);
        }
    })?;
    println!("closed: {closed}");
    Ok(())
}

/// Drives a connection until it is closed. `leftover` came right behind the opening handshake.
fn drive(
    mut connection: Connection,
    mut stream: TcpStream,
    leftover: &mut [u8],
    mut on_event: impl FnMut(&mut Connection, Event<'_>),
) -> io::Result<Closed> {
    let mut buffer = vec![0; 64 * 1024];
    receive(&mut connection, leftover, &mut on_event);
    loop {
        while connection.has_work() {
            connection.handle_work(true);
        }
        loop {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = connection.poll_transmit(&mut slices);
            if count == 0 {
                break;
            }
            match stream.write_vectored(&slices[..count]) {
                Ok(written @ 1..) => connection.handle_transmitted(written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => connection.handle_broken_pipe(Instant::now()),
            }
        }
        if connection.poll_shutdown() {
            // If the peer is gone already, that is as good.
            let _ = stream.shutdown(Shutdown::Write);
            connection.handle_shutdown();
        }
        if let Some(outcome) = connection.outcome() {
            return Ok(outcome.clone());
        }
        let wait = connection.poll_timeout().map(|at| at.saturating_duration_since(Instant::now()));
        stream.set_read_timeout(wait.map(|wait| wait.max(Duration::from_millis(1))))?;
        match stream.read(&mut buffer) {
            Ok(0) => connection.handle_eof(Instant::now()),
            Ok(count) => receive(&mut connection, &mut buffer[..count], &mut on_event),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if let Some(event) = connection.handle_timeout(Instant::now()) {
                    on_event(&mut connection, event);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => connection.handle_reset(),
        }
    }
}

/// Passes bytes that were read to the connection, and its events on.
fn receive(connection: &mut Connection, bytes: &mut [u8], on_event: &mut impl FnMut(&mut Connection, Event<'_>)) {
    let mut input = Input::new(bytes);
    while !input.is_empty() {
        while let Some(event) = connection.handle_input(&mut input, Instant::now()) {
            on_event(connection, event);
        }
    }
}
