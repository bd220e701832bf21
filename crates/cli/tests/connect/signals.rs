//! Ctrl-C and SIGTERM.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Child;
use tokio::sync::mpsc;

use crate::program::{command, end};
use crate::server::{open, start};

fn send(signal: Signal, child: &Child) {
    let id = child.id().expect("it runs").try_into().unwrap();
    kill(Pid::from_raw(id), signal).unwrap();
}

/// Waits until the program has shown a message: then it is connected.
async fn connected(child: &mut Child) {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).await.unwrap();
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
                tell.send(ws.closed().unwrap().code.as_u16()).unwrap();
            }
        });
        let mut child = command(&[&url.await]).spawn().unwrap();
        let _stdin = child.stdin.take();
        connected(&mut child).await;
        send(signal, &child);
        assert_eq!(told.recv().await, Some(1001));
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
    told.recv().await.unwrap();
    send(Signal::SIGINT, &child);
    assert_eq!(end(child).await.failure(130), "");
}
