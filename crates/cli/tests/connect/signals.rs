//! Ctrl-C and SIGTERM.

use std::fs::File;
use std::io::{PipeReader, Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::program::{command, end};
use crate::server::{open, start};
use crate::soon::soon;

fn send(signal: Signal, child: &Child) {
    let id = child.id().expect("it runs").try_into().unwrap();
    kill(Pid::from_raw(id), signal).unwrap();
}

/// Waits until the program has shown a message, which means that it is connected.
async fn connected(child: &mut Child) {
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.as_mut().unwrap());
    soon("a message", stdout.read_line(&mut line)).await.unwrap();
    assert_eq!(line, "hi\n");
}

#[tokio::test]
async fn a_signal_closes_with_1001_and_is_success() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (tell, mut told) = mpsc::unbounded_channel();
        let url = start(move |mut ws, _| {
            let tell = tell.clone();
            async move {
                ws.send("hi").await.unwrap();
                assert_eq!(ws.recv().await.unwrap(), None);
                tell.send(ws.outcome().unwrap().code.as_u16()).unwrap();
            }
        });
        let mut child = command(&[&url.await]).spawn().unwrap();
        let _stdin = child.stdin.take();
        connected(&mut child).await;
        send(signal, &child);
        assert_eq!(soon("the server's word of the end", told.recv()).await, Some(1001));
        assert_eq!(end(child).await.output(), "");
    }
}

#[tokio::test]
async fn a_second_ctrl_c_does_not_wait_for_the_server() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let url = open(move |mut tcp| async move {
        tcp.write_all(b"\x81\x02hi").await.unwrap();
        // The close frame: two bytes, a mask, a code. It is not answered.
        tcp.read_exact(&mut [0; 8]).await.unwrap();
        tell.send(()).unwrap();
        assert_eq!(tcp.read(&mut [0; 8]).await.unwrap_or(0), 0);
    });
    let mut child = command(&[&url.await, "--timeout", "86400"]).spawn().unwrap();
    let _stdin = child.stdin.take();
    connected(&mut child).await;
    send(Signal::SIGINT, &child);
    soon("the server's word of what it has", told.recv()).await.unwrap();
    send(Signal::SIGINT, &child);
    assert_eq!(end(child).await.failure(130), "");
}

/// Waits until the program has noticed that it is connected. From then on it handles signals.
async fn noticed(child: &mut Child) {
    let mut line = String::new();
    let mut stderr = BufReader::with_capacity(1, child.stderr.as_mut().unwrap());
    soon("the note of the request", stderr.read_line(&mut line)).await.unwrap();
    assert!(line.starts_with("> GET"), "{line}");
}

/// A pipe that is full, and whose other end nobody reads.
fn stalled() -> (PipeReader, Stdio) {
    let (reader, writer) = pipe().unwrap();
    let mut writer = File::from(OwnedFd::from(writer));
    let mode = OFlag::from_bits_retain(fcntl(&writer, FcntlArg::F_GETFL).unwrap());
    fcntl(&writer, FcntlArg::F_SETFL(mode | OFlag::O_NONBLOCK)).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    while writer.write(b"x").is_ok() {}
    fcntl(&writer, FcntlArg::F_SETFL(mode)).unwrap();
    (reader, writer.into())
}

/// A server that sends more than the program gathers for any output, and reports when all of it has arrived. It answers
/// close frames if `answers_close` is set.
async fn busy(answers_close: bool) -> (String, mpsc::UnboundedReceiver<()>) {
    let (tell, told) = mpsc::unbounded_channel();
    let url = open(move |mut tcp| async move {
        let message = [&b"\x82\x7e\x40\x00"[..], &[b'x'; 1 << 14]].concat();
        tcp.write_all(&message.repeat(12)).await.unwrap();
        tcp.write_all(b"\x89\x00").await.unwrap();
        // The pong: two bytes and a mask. The messages before the ping have been received.
        tcp.read_exact(&mut [0; 6]).await.unwrap();
        tell.send(()).unwrap();
        // The close frame: two bytes, a mask, a code.
        tcp.read_exact(&mut [0; 8]).await.unwrap();
        tell.send(()).unwrap();
        if answers_close {
            return tcp.write_all(b"\x88\x02\x03\xe9").await.unwrap();
        }
        assert_eq!(tcp.read(&mut [0; 8]).await.unwrap_or(0), 0);
    });
    (url.await, told)
}

#[tokio::test]
async fn a_reader_that_stalls_does_not_make_it_deaf() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (url, mut told) = busy(true).await;
        let (_reader, writer) = stalled();
        let mut child = command(&[&url, "--wait", "forever", "-v"]).stdout(writer).spawn().unwrap();
        let _stdin = child.stdin.take();
        noticed(&mut child).await;
        soon("the server's word of what it has", told.recv()).await.unwrap();
        send(signal, &child);
        let said = end(child).await.failure(130);
        assert!(said.contains("bytes of received messages were not written: nobody read the output"), "{said}");
    }
}

#[tokio::test]
async fn a_second_signal_waits_neither_for_a_reader_that_stalls_nor_for_the_server() {
    let (url, mut told) = busy(false).await;
    let (_reader, writer) = stalled();
    let args = [&url, "--wait", "forever", "--close-timeout", "86400", "-v"];
    let mut child = command(&args).stdout(writer).spawn().unwrap();
    let _stdin = child.stdin.take();
    noticed(&mut child).await;
    soon("the server's word of what it has", told.recv()).await.unwrap();
    send(Signal::SIGTERM, &child);
    soon("the server's word of what it has", told.recv()).await.unwrap();
    send(Signal::SIGINT, &child);
    end(child).await.failure(130);
}

/// A program that shares the other end of a pipe may have made it non-blocking, and with it this end.
#[tokio::test]
async fn an_output_that_does_not_block_is_waited_for() {
    let (url, mut told) = busy(true).await;
    let (mut reader, writer) = pipe().unwrap();
    let mode = OFlag::from_bits_retain(fcntl(&writer, FcntlArg::F_GETFL).unwrap());
    fcntl(&writer, FcntlArg::F_SETFL(mode | OFlag::O_NONBLOCK)).unwrap();
    let mut child = command(&[&url, "--no-wait", "--binary", "raw"]).stdout(writer).spawn().unwrap();
    // The end of the input closes the connection, at once or after all has come.
    soon("the server's word of what it has", told.recv()).await.unwrap();
    drop(child.stdin.take());
    soon("the server's word of what it has", told.recv()).await.unwrap();
    let read = spawn_blocking(move || {
        let mut output = Vec::new();
        reader.read_to_end(&mut output).unwrap();
        output
    });
    end(child).await.output();
    assert_eq!(soon("the end of the output", read).await.unwrap().len(), 12 << 14);
}
