//! Running the program.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use crate::soon::soon;

/// The result of a run: its exit code and its output.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Returns the output of a run that succeeded and printed nothing on stderr.
    #[track_caller]
    pub(crate) fn output(self) -> String {
        assert_eq!((self.code, &*self.stderr), (Some(0), ""), "{self:?}");
        String::from_utf8(self.stdout).unwrap()
    }

    /// Returns the complaint of a run that failed.
    #[track_caller]
    pub(crate) fn failure(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        self.stderr
    }
}

/// `ropeway connect`, with pipes for all three streams.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ropeway"));
    command.arg("connect").args(args).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs `ropeway connect` with this input to its end.
pub(crate) async fn run(args: &[&str], input: impl AsRef<[u8]>) -> Outcome {
    let mut child = command(args).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.as_ref().to_vec();
    // It may end without reading all of its input.
    let feed = tokio::spawn(async move { stdin.write_all(&input).await.ok() });
    let outcome = end(child).await;
    feed.await.unwrap();
    outcome
}

/// Waits for the end.
pub(crate) async fn end(child: Child) -> Outcome {
    let output = soon("the end of the program", child.wait_with_output()).await.unwrap();
    Outcome { code: output.status.code(), stdout: output.stdout, stderr: String::from_utf8(output.stderr).unwrap() }
}
