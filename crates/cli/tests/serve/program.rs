//! Running the program.

use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// After how long a test fails rather than hang. Nothing is decided by it.
const TOO_LONG: Duration = Duration::from_mins(2);

/// The program, which ends with the test at the latest.
fn ropeway(command: &str, args: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_ropeway"));
    program.arg(command).args(args).kill_on_drop(true);
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

/// A running `ropeway serve`.
pub(crate) struct Serve {
    /// What it calls itself, like `http://127.0.0.1:8005/`.
    pub(crate) announced: String,
    _child: Child,
}

impl Serve {
    /// Starts it on a free port, and waits until it listens.
    pub(crate) async fn start(args: &[&str]) -> Self {
        let args = [&["--listen", "127.0.0.1:0"], args].concat();
        // What it logs is of no interest, and nobody would read it.
        let mut child = ropeway("serve", &args).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        timeout(TOO_LONG, stdout.read_line(&mut line)).await.expect("the server should listen by now").unwrap();
        let announced =
            line.trim_end().strip_prefix("ropeway is listening on ").expect("it says where it listens").to_owned();
        Self { announced, _child: child }
    }

    /// The URL of its echo.
    pub(crate) fn echo(&self) -> String {
        self.url("echo")
    }

    /// The URL of one of its WebSockets.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.announced.replacen("http", "ws", 1))
    }
}

/// Runs `ropeway serve` that cannot start; gives what it says.
pub(crate) async fn refused(args: &[&str]) -> String {
    let output = end(ropeway("serve", args).spawn().unwrap()).await;
    assert_eq!((output.status.code(), &*output.stdout), (Some(64), &b""[..]), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Sends "hello" with `ropeway connect`; gives its exit code, and what came back.
pub(crate) async fn hello(args: &[&str]) -> (Option<i32>, String) {
    let mut child = ropeway("connect", args).spawn().unwrap();
    // It may end without reading its input.
    child.stdin.take().unwrap().write_all(b"hello\n").await.ok();
    let output = end(child).await;
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

async fn end(child: Child) -> Output {
    timeout(TOO_LONG, child.wait_with_output()).await.expect("the program should have ended").unwrap()
}
