//! Clients are served even if the log cannot be written, or nobody reads it.

use std::fs::File;
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::process::Stdio;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::program::{Serve, echoed, hello};
use crate::raw;
use crate::soon::soon;

/// A stderr that cannot be written, since its device is full.
fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// A stderr that is full and that nobody reads: a write to it never returns.
fn stuck() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let blocking = |is_blocking| {
        let flags = if is_blocking { OFlag::empty() } else { OFlag::O_NONBLOCK };
        fcntl(writer.as_fd(), FcntlArg::F_SETFL(flags)).unwrap();
    };
    blocking(false);
    loop {
        match (&writer).write(&[b'\n'; 4096]).map_err(|error| error.kind()) {
            Ok(_) => {}
            Err(ErrorKind::WouldBlock) => break,
            Err(error) => panic!("{error}"),
        }
    }
    blocking(true);
    writer.flush().unwrap();
    (reader, writer)
}

/// Checks the answer to a request without a key.
async fn is_refused(server: &Serve) {
    let request = "GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let (status, body) = raw::ask(server.addr(), request).await;
    assert!(status == 400 && body.contains("Sec-WebSocket-Key"), "{status} {body}");
}

/// Checks that SIGTERM closes a client with 1001, and ends the program with 0.
async fn ends_well(mut server: Serve) {
    let mut client = raw::open(server.addr()).await;
    // An empty text and its echo: the 101 alone does not show that the server counts the connection already.
    client.write_all(&[0x81, 0x80, 0, 0, 0, 0]).await.unwrap();
    let mut echo = [0; 2];
    soon("the echo", client.read_exact(&mut echo)).await.unwrap();
    assert_eq!(echo, [0x81, 0]);
    server.signal(Signal::SIGTERM);
    assert_eq!(raw::close_code(&mut client).await, 1001);
    drop(client);
    assert_eq!(server.end().await.code(), Some(0));
}

#[tokio::test]
async fn clients_are_served_though_the_log_cannot_be_written() {
    let server = Serve::start_with(&["--threads", "2"], full()).await;
    for _ in 0..4 {
        is_refused(&server).await;
    }
    assert_eq!(hello(&[&server.echo()]).await, echoed());
    ends_well(server).await;
}

#[tokio::test]
async fn a_log_that_is_not_read_delays_no_client() {
    let (_reader, stderr) = stuck();
    let server = Serve::start_with(&["--threads", "1"], stderr).await;
    for _ in 0..4 {
        is_refused(&server).await;
    }
    assert_eq!(hello(&[&server.echo()]).await, echoed());
    ends_well(server).await;
}

#[tokio::test]
async fn clients_are_served_though_the_reader_of_the_log_has_gone() {
    let (reader, stderr) = std::io::pipe().unwrap();
    let server = Serve::start_with(&[], stderr).await;
    drop(reader);
    is_refused(&server).await;
    ends_well(server).await;
}

#[tokio::test]
async fn clients_are_served_though_stderr_is_closed() {
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", "exec \"$0\" serve --listen 127.0.0.1:0 2>&-", env!("CARGO_BIN_EXE_ropeway")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let server = Serve::spawn(command).await;
    is_refused(&server).await;
    ends_well(server).await;
}

#[tokio::test]
async fn descriptors_used_up_and_a_full_disk_do_not_end_the_server() {
    let server = Serve::start_under_a_limit(40, &["--threads", "2"], full()).await;
    let mut clients = Vec::new();
    for _ in 0..80 {
        let mut tcp = TcpStream::connect(server.addr()).await.unwrap();
        let request = raw::handshake("/echo", "Host: localhost\r\n");
        // The server may have closed it already.
        let _ = tcp.write_all(request.as_bytes()).await;
        clients.push(tcp);
    }
    let mut shed = 0;
    for tcp in &mut clients {
        shed += u32::from(!matches!(soon("an answer, or the end", tcp.read_u8()).await, Ok(b'H')));
    }
    assert!(shed > 0, "there were descriptors for all");
    drop(clients);
    // Two threads accept connections, and one may take the descriptor that the other gave up. It hears of their end in
    // its own time; until then it may close others.
    let again = async { while hello(&[&server.echo()]).await != echoed() {} };
    soon("an echo", again).await;
    let mut server = server;
    server.signal(Signal::SIGTERM);
    assert_eq!(server.end().await.code(), Some(0));
}

#[tokio::test]
async fn a_log_that_is_read_says_what_was_refused_and_what_was_left_out() {
    const REFUSALS: usize = 300;

    let (mut reader, stderr) = std::io::pipe().unwrap();
    let server = Serve::start_with(&["--threads", "1"], stderr).await;
    for _ in 0..REFUSALS {
        is_refused(&server).await;
    }
    ends_well(server).await;
    let mut log = String::new();
    reader.read_to_string(&mut log).unwrap();
    let logged = log.lines().filter(|line| line.contains("Sec-WebSocket-Key")).count();
    // However long that took, only a limited number a second is logged, and the others are counted.
    let left_out = log
        .lines()
        .filter_map(|line| line.split_once(" more refusals"))
        .filter_map(|(before, _)| before.split(' ').next_back()?.parse::<usize>().ok());
    assert!(logged >= 1, "{log}");
    let told = logged + left_out.sum::<usize>();
    let is_announced = log.contains("are counted");
    assert!(told == REFUSALS || (told < REFUSALS && is_announced), "{told} of {REFUSALS}: {log}");
    assert!(log.contains("closing 1 connections"), "{log}");
}

#[tokio::test]
async fn a_line_of_the_log_is_short_whatever_the_client_sent() {
    let (mut reader, stderr) = std::io::pipe().unwrap();
    let server = Serve::start_with(&[], stderr).await;
    let long = "x".repeat(12_000);
    for request in [
        raw::handshake("/echo", &format!("Host: {long}.example\r\nOrigin: http://{long}.example\r\n")),
        raw::handshake(&format!("/{long}"), "Host: localhost\r\n"),
        raw::handshake("/echo", &format!("Host: localhost\r\nOrigin: http://{long}\r\n")),
    ] {
        let (status, _) = raw::ask(server.addr(), &request).await;
        assert!((400..500).contains(&status), "{status}");
    }
    ends_well(server).await;
    let mut log = String::new();
    reader.read_to_string(&mut log).unwrap();
    let longest = log.lines().map(str::len).max().unwrap();
    assert!(log.contains("xxx") && longest < 700, "{longest}");
}

#[tokio::test]
async fn an_announcement_that_cannot_be_written_is_logged_and_serving_goes_on() {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_ropeway"));
    command.args(["serve", "--listen", "127.0.0.1:0"]).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(full()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    soon("a line of the log", log.read_line(&mut line)).await.unwrap();
    let (_, rest) = line.split_once("listening on ").unwrap_or_else(|| panic!("{line}"));
    let announced = rest.split_once(',').unwrap().0.to_owned();
    ends_well(Serve { announced, child }).await;
}
