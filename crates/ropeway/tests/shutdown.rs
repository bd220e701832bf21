//! A program that is told to end, closes its connections and returns from `main`: its handlers finish first. This test
//! starts itself again as that program, since only a runtime that ends with its program cuts off tasks that are still
//! running.

use std::process::Stdio;
use std::time::Duration;

use ropeway::{Server, WebSocket};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

/// Variables that turn this into the program that serves: the way of serving, and the kind of runtime.
const WAY: &str = "SHUTDOWN_WAY";
const FLAVOUR: &str = "SHUTDOWN_FLAVOUR";

/// The number of attempts for each way.
const TIMES: usize = 5;

const CLEANED_UP: &str = "cleaned up";

fn main() {
    if let Ok(way) = std::env::var(WAY) {
        let flavour = std::env::var(FLAVOUR).expect("a flavour");
        let mut runtime =
            if flavour == "current_thread" { Builder::new_current_thread() } else { Builder::new_multi_thread() };
        return runtime.enable_all().build().expect("a runtime").block_on(serve(&way));
    }
    Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(async {
        let mut failures = Vec::new();
        for way in WAYS {
            for flavour in ["current_thread", "multi_thread"] {
                let mut finished = 0;
                for _ in 0..TIMES {
                    let tried = timeout(Duration::from_secs(30), try_once(way, flavour)).await;
                    finished += usize::from(tried.expect("the program ends"));
                }
                if finished < TIMES {
                    failures
                        .push(format!("{way}, {flavour}: {finished} of {TIMES} handlers finished before `main` ended"));
                }
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    });
    println!("test handlers_finish_before_the_program_that_shuts_down_ends ... ok");
}

#[cfg(feature = "axum")]
const WAYS: &[&str] = &["a port of its own", "two threads", "axum"];
#[cfg(not(feature = "axum"))]
const WAYS: &[&str] = &["a port of its own", "two threads"];

/// Serves until a line arrives on standard input.
async fn serve(way: &str) {
    let server = Server::bind("127.0.0.1:0").await.expect("a port");
    server.spawn_each(|ws, _| talk(ws));
    let port = server.local_addr().expect("it is bound");
    match way {
        "a port of its own" => {
            println!("{port}");
            tokio::spawn(server.shutdown_on(told()));
            server.run().await.expect("a port");
        }
        "two threads" => {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            println!("{}", listener.local_addr().expect("it is bound"));
            listener.set_nonblocking(true).expect("a socket");
            let serving = std::thread::spawn({
                let server = server.clone();
                move || {
                    Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
                        server.serve(tokio::net::TcpListener::from_std(listener).expect("a listener")).await;
                    });
                }
            });
            server.shutdown_on(told()).await;
            tokio::task::spawn_blocking(|| serving.join()).await.expect("no panic").expect("no panic");
        }
        #[cfg(feature = "axum")]
        "axum" => {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            println!("{}", listener.local_addr().expect("it is bound"));
            let app = axum::Router::new().layer(server.layer());
            axum::serve(listener, app).with_graceful_shutdown(server.shutdown_on(told())).await.expect("it serves");
        }
        other => panic!("{other} is no way"),
    }
}

/// Waits for a line on standard input.
async fn told() {
    BufReader::new(tokio::io::stdin()).read_line(&mut String::new()).await.expect("standard input is there");
}

/// A handler that has work to do after its connection has ended.
async fn talk(mut ws: WebSocket) {
    ws.send("hello").await.expect("it is open");
    while let Ok(Some(_)) = ws.recv().await {}
    // Long enough that a `main` that does not wait has ended by then. A longer or shorter time lets no good one fail.
    sleep(Duration::from_millis(300)).await;
    println!("{CLEANED_UP}");
}

/// Starts the program, connects, and tells it to end. Returns whether the connection was closed with 1001 and the
/// handler finished.
async fn try_once(way: &str, flavour: &str) -> bool {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.env(WAY, way).env(FLAVOUR, flavour).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("it starts");
    let mut printed = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut addr = String::new();
    printed.read_line(&mut addr).await.expect("its address");
    let mut ws = ropeway::connect(&format!("ws://{}/", addr.trim())).await.expect("it serves");
    assert_eq!(ws.recv().await.expect("it is open"), Some("hello".into()));
    child.stdin.take().expect("it is piped").write_all(b"end\n").await.expect("it reads");
    // An end without a close frame would be an error.
    let is_closed = ws.recv().await.is_ok() && ws.outcome().is_some_and(|closed| closed.code.as_u16() == 1001);
    let mut rest = String::new();
    printed.read_to_string(&mut rest).await.expect("text");
    assert!(child.wait().await.expect("it ends").success(), "{way}: it failed");
    is_closed && rest.trim() == CLEANED_UP
}
