//! The application calls the server from each place where the server calls the application. No lock is held there.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

use http::Response;
use ropeway::{Accept, Bytes, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::eventually::PATIENCE;
use super::script::{Log, request};

/// Runs `work` on a thread and a runtime of its own. A deadlock would block the thread for ever; it is then given up.
fn within<F: Future<Output = ()>>(waited_for: &str, work: impl FnOnce() -> F + Send + 'static) {
    let (done, wait) = channel();
    let thread = thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work());
        let _ = done.send(());
    });
    match wait.recv_timeout(PATIENCE) {
        Err(RecvTimeoutError::Timeout) => panic!("{waited_for} hangs"),
        // This shows the panic.
        _ => thread.join().unwrap(),
    }
}

/// The status line of the answer from a server on an event loop.
async fn answer(server: &Server, request: String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn({
        let server = server.clone();
        async move { server.serve(listener).await }
    });
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(tcp.read_u8().await.expect("an answer"));
    }
    serving.abort();
    String::from_utf8(line).unwrap()
}

/// Everything that can be done with a server.
fn use_it(server: &Server) {
    server.authorize(async |_| Ok(Accept::new())).handle_with(Log::default());
    server.on_http(|_| Response::new(Bytes::new()));
    server.handle_with(Log::default());
    server.at("/other").handle_with(Log::default());
    assert!(server.clients().len() < 2);
}

/// Uses the server when it is dropped: values that a callback owns are dropped when the callback is replaced.
struct UsesItWhenDropped(Server);

impl Drop for UsesItWhenDropped {
    fn drop(&mut self) {
        use_it(&self.0);
    }
}

#[test]
fn a_server_can_be_used_from_within_its_own_callbacks() {
    within("a server that is used in its own callback", || async {
        let (server, log) = (Server::builder().build(), Log::default());
        let authorize = {
            let server = server.clone();
            move |_| {
                use_it(&server);
                let server = server.clone();
                async move {
                    use_it(&server);
                    Ok(Accept::new())
                }
            }
        };
        server.authorize(authorize).handle_with(log.clone());
        assert!(answer(&server, request("")).await.starts_with("HTTP/1.1 101 "));

        let server = Server::builder().build();
        server.on_http({
            let server = server.clone();
            move |_| {
                use_it(&server);
                Response::new(Bytes::new())
            }
        });
        assert!(answer(&server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n".into()).await.starts_with("HTTP/1.1 200 "));

        let server = Server::builder().build();
        server.on_connection({
            let server = server.clone();
            move |_, _| use_it(&server)
        });
        assert!(answer(&server, request("")).await.starts_with("HTTP/1.1 101 "));
    });
}

#[test]
fn callbacks_that_are_replaced_are_dropped_outside_of_all_locks() {
    within("a callback's captured value that uses the server as it is dropped", || async {
        let server = Server::builder().build();
        let captured = || UsesItWhenDropped(server.clone());
        for _ in 0..2 {
            let value = captured();
            let authorize = move |_| {
                let _value = &value;
                async { Ok(Accept::new()) }
            };
            server.authorize(authorize).on_connection(|_, _| ());
            let value = captured();
            server.on_http(move |_| {
                let _value = &value;
                Response::new(Bytes::new())
            });
            let value = captured();
            server.on_connection(move |_, _| {
                let _value = &value;
            });
            let value = captured();
            server.at("/path").on_connection(move |_, _| {
                let _value = &value;
            });
        }
        server.on_connection(|_, _| ());
        server.at("/path").on_connection(|_, _| ());
        assert!(answer(&server, request("")).await.starts_with("HTTP/1.1 101 "));
    });
}
