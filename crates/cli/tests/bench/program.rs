//! Running the program.

use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

/// After how long a test fails rather than hang. Nothing is decided by it.
const TOO_LONG: Duration = Duration::from_mins(2);

/// `ropeway bench`, without a terminal.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ropeway"));
    command.arg("bench").args(args).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a run left behind: its exit code, and what it said.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// What a run printed that ended well and had nothing to complain about.
    #[track_caller]
    pub(crate) fn output(self) -> String {
        assert_eq!((self.code, &*self.stderr), (Some(0), ""), "{self:?}");
        self.stdout
    }

    /// What was said of a failure.
    #[track_caller]
    pub(crate) fn failure(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        self.stderr
    }

    /// The result that `--json` prints, whatever the exit code.
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
    let output = timeout(TOO_LONG, output).await.expect("the program should have ended").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs `ropeway bench` to its end, and gives the result; it has to end well.
pub(crate) async fn result(args: &[&str]) -> Value {
    let args = [args, &["--json"]].concat();
    serde_json::from_str(&run(&args).await.output()).unwrap()
}

/// How often there was an error of this kind.
#[track_caller]
pub(crate) fn errors(result: &Value, kind: &str) -> u64 {
    let kinds = result["errors"]["kinds"].as_array().unwrap();
    let found = kinds.iter().find(|entry| entry["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {result}"))["count"].as_u64().unwrap()
}
