//! Running the program.

use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::process::Command;

use crate::soon::soon;

/// `ropeway bench`, without a terminal.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ropeway"));
    command.arg("bench").args(args).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The result of a run: its exit code and its output.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Returns the output of a run that succeeded and printed no complaint.
    #[track_caller]
    pub(crate) fn output(self) -> String {
        assert_eq!((self.code, &*self.stderr), (Some(0), ""), "{self:?}");
        self.stdout
    }

    /// Returns the complaint of a run that failed.
    #[track_caller]
    pub(crate) fn failure(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        self.stderr
    }

    /// Returns the result that `--json` printed, whatever the exit code is.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs `ropeway bench` to its end.
pub(crate) async fn run(args: &[&str]) -> Outcome {
    finish(command(args).output()).await
}

/// Waits for the end.
pub(crate) async fn finish(output: impl Future<Output = std::io::Result<Output>>) -> Outcome {
    let output = soon("the end of the program", output).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Lets tasks run until the condition holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) -> impl Future<Output = ()> {
    soon(what, async move {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    })
}

/// Runs `ropeway bench` to its end and returns the result. The run must succeed.
pub(crate) async fn result(args: &[&str]) -> Value {
    let args = [args, &["--json"]].concat();
    serde_json::from_str(&run(&args).await.output()).unwrap()
}

/// The number of errors of this kind.
#[track_caller]
pub(crate) fn errors(result: &Value, kind: &str) -> u64 {
    let kinds = result["errors"]["kinds"].as_array().unwrap();
    let found = kinds.iter().find(|entry| entry["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {result}"))["count"].as_u64().unwrap()
}
