//! Running the program.

use std::net::SocketAddr;
use std::process::{ExitStatus, Output, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::soon::soon;

/// The program. It is ended with the test.
fn ropeway(command: &str, args: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_ropeway"));
    program.arg(command).args(args).kill_on_drop(true);
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

/// A running `ropeway serve`.
pub(crate) struct Serve {
    /// The URL that it printed, such as `http://127.0.0.1:8005/`.
    pub(crate) announced: String,
    pub(crate) child: Child,
}

impl Serve {
    /// Starts it on a free port, and waits until it listens. Its log is dropped.
    pub(crate) async fn start(args: &[&str]) -> Self {
        Self::start_with(args, Stdio::null()).await
    }

    /// The same with another stderr.
    pub(crate) async fn start_with(args: &[&str], stderr: impl Into<Stdio>) -> Self {
        let listen: &[&str] = if args.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
        let args = [listen, args].concat();
        let mut command = ropeway("serve", &args);
        command.stderr(stderr);
        Self::spawn(command).await
    }

    /// Starts a command that becomes the program, and waits until it listens.
    pub(crate) async fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        soon("word that it listens", stdout.read_line(&mut line)).await.unwrap();
        let announced = line.trim_end().strip_prefix("ropeway is listening on ");
        let announced = announced.unwrap_or_else(|| panic!("it says where it listens: {line:?}")).to_owned();
        Self { announced, child }
    }

    /// The same under a limit of open files.
    #[cfg(unix)]
    pub(crate) async fn start_under_a_limit(open_files: usize, args: &[&str], stderr: impl Into<Stdio>) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {open_files} && exec \"$0\" serve --listen 127.0.0.1:0 \"$@\"")]);
        command.arg(env!("CARGO_BIN_EXE_ropeway")).args(args).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        Self::spawn(command).await
    }

    /// The same server, reached by another of its addresses.
    pub(crate) fn reached_at(mut self, addr: &str) -> Self {
        self.announced = format!("http://{addr}/");
        self
    }

    /// Returns the address that it listens on.
    pub(crate) fn addr(&self) -> SocketAddr {
        let (_, rest) = self.announced.split_once("://").unwrap();
        rest.trim_end_matches('/').parse().unwrap()
    }

    /// The URL of its echo.
    pub(crate) fn echo(&self) -> String {
        self.url("echo")
    }

    /// The URL of one of its WebSockets.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.announced.replacen("http", "ws", 1))
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = i32::try_from(self.child.id().expect("it runs")).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        soon("the end of the server", self.child.wait()).await.unwrap()
    }
}

/// Runs a `ropeway serve` that cannot start. Returns its exit code and its complaint.
pub(crate) async fn fails(args: &[&str]) -> (Option<i32>, String) {
    let output = end(ropeway("serve", args).spawn().unwrap()).await;
    assert_eq!(&*output.stdout, b"", "{output:?}");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Runs `ropeway serve` with invalid options. Returns its complaint.
pub(crate) async fn refused(args: &[&str]) -> String {
    let (code, said) = fails(args).await;
    assert_eq!(code, Some(64), "{said}");
    said
}

/// Sends "hello" with `ropeway connect`. Returns its exit code and the reply.
pub(crate) async fn hello(args: &[&str]) -> (Option<i32>, String) {
    let mut child = ropeway("connect", args).spawn().unwrap();
    // It may end without reading its input.
    child.stdin.take().unwrap().write_all(b"hello\n").await.ok();
    let output = end(child).await;
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// The result of [`hello`] if all is well.
pub(crate) fn echoed() -> (Option<i32>, String) {
    (Some(0), "hello\n".to_owned())
}

async fn end(child: Child) -> Output {
    soon("the end of the program", child.wait_with_output()).await.unwrap()
}
