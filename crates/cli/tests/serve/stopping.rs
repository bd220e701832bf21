//! Ctrl-C and SIGTERM: connections are closed within a time limit, and a second signal ends the program at once.

use nix::sys::signal::Signal::{SIGINT, SIGTERM};

use crate::program::Serve;
use crate::raw;

#[tokio::test]
async fn either_signal_closes_with_1001_and_ends_with_0() {
    for signal in [SIGINT, SIGTERM] {
        let mut server = Serve::start(&["--threads", "2"]).await;
        let mut clients = [raw::open(server.addr()).await, raw::open(server.addr()).await];
        server.signal(signal);
        for client in &mut clients {
            assert_eq!(raw::close_code(client).await, 1001);
        }
        drop(clients);
        assert_eq!(server.end().await.code(), Some(0), "{signal}");
    }
}

#[tokio::test]
async fn a_client_that_never_answers_is_waited_for_no_longer_than_asked() {
    let mut server = Serve::start(&["--drain", "0.1"]).await;
    let mut silent = raw::open(server.addr()).await;
    server.signal(SIGTERM);
    assert_eq!(raw::close_code(&mut silent).await, 1001);
    // It keeps its side open until the program has gone.
    assert_eq!(server.end().await.code(), Some(0));
    drop(silent);
}

#[tokio::test]
async fn a_second_ctrl_c_ends_it_at_once_with_130() {
    for first in [SIGINT, SIGTERM] {
        // The drain is longer than the test waits, so it is the second signal that ends the server.
        let mut server = Serve::start(&["--drain", "3600"]).await;
        let mut silent = raw::open(server.addr()).await;
        server.signal(first);
        assert_eq!(raw::close_code(&mut silent).await, 1001);
        server.signal(SIGINT);
        assert_eq!(server.end().await.code(), Some(130), "{first}");
        drop(silent);
    }
}
