//! A program that a step runs: its command line, its deadline, and the error if it fails.

use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::missing::Missing;

/// Far longer than any single program of a healthy run: a cold build of everything takes a few minutes on two cores.
const DEADLINE: Duration = Duration::from_secs(30 * 60);

/// One command line, with the settings for running it.
pub(crate) struct Program {
    command: Command,
    deadline: Duration,
}

impl Program {
    pub(crate) fn new(name: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(name);
        command.stdin(Stdio::null());
        Self { command, deadline: DEADLINE }
    }

    /// A program of the nightly toolchain. `rustup run` finds it even if `cargo` on the PATH is not rustup's, as inside
    /// `cargo run`.
    pub(crate) fn nightly(name: &str) -> Self {
        Self::new("rustup").args(["run", "nightly", name])
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn dir(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Ends the program and fails the step if it runs for longer than this.
    pub(crate) fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs it visibly: its line is printed, and its output goes where ours goes.
    pub(crate) fn run(mut self) -> Result<()> {
        self.announce();
        let status = self.finish()?;
        self.expect_success(status)
    }

    /// Runs it silently, for installers: the output goes to `log`, which is shown only if the program failed.
    pub(crate) fn run_into(mut self, log: &Path) -> Result<()> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        self.announce();
        self.command.stdout(file.try_clone()?).stderr(file);
        let status = self.finish()?;
        if !status.success() {
            print!("{}", std::fs::read_to_string(log).unwrap_or_default());
        }
        self.expect_success(status)
    }

    /// Runs it silently and returns what it printed on its standard output.
    pub(crate) fn output(mut self) -> Result<String> {
        let output = self.command.stderr(Stdio::inherit()).output().map_err(|error| self.not_started(&error))?;
        self.expect_success(output.status)?;
        String::from_utf8(output.stdout).with_context(|| format!("`{}` printed no UTF-8", self.line()))
    }

    /// Returns whether it can be started and succeeds. Its output is not shown.
    pub(crate) fn succeeds(mut self) -> bool {
        self.command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// Starts it and leaves it running, with its output in pipes. The caller has to end it.
    pub(crate) fn spawn(mut self) -> Result<Child> {
        self.announce();
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.spawn().map_err(|error| self.not_started(&error))
    }

    fn finish(&mut self) -> Result<ExitStatus> {
        let mut child = self.command.spawn().map_err(|error| self.not_started(&error))?;
        match wait(&mut child, self.deadline)? {
            Some(status) => Ok(status),
            None => bail!("`{}` was still running after {} s and was ended", self.line(), self.deadline.as_secs()),
        }
    }

    fn expect_success(&self, status: ExitStatus) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        bail!("`{}` failed: {status}", self.line());
    }

    /// If the program does not exist, it is a tool to install. Any other reason is returned as it is.
    fn not_started(&self, error: &std::io::Error) -> anyhow::Error {
        let name = self.command.get_program().to_string_lossy();
        if error.kind() == ErrorKind::NotFound {
            return Missing::new(&name, &format!("put `{name}` on the PATH")).into();
        }
        anyhow::anyhow!("cannot start `{}`: {error}", self.line())
    }

    /// Prints the line. If it has several hundred arguments, only the first are printed.
    fn announce(&self) {
        const SHOWN: usize = 240;
        let line = self.line();
        match line.char_indices().nth(SHOWN) {
            Some((end, _)) => println!("$ {} …", &line[..end]),
            None => println!("$ {line}"),
        }
    }

    /// The line as one would type it, close enough to be copied.
    fn line(&self) -> String {
        let mut line = self.command.get_program().to_string_lossy().into_owned();
        for argument in self.command.get_args() {
            let argument = argument.to_string_lossy();
            let plain = argument.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,+@".contains(c));
            line.push(' ');
            line.push_str(&if plain { argument } else { format!("'{argument}'").into() });
        }
        line
    }
}

/// Waits until `child` has ended. After `deadline` it is killed, and there is no status.
pub(crate) fn wait(child: &mut Child, deadline: Duration) -> Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a child")? {
            return Ok(Some(status));
        }
        if started.elapsed() > deadline {
            child.kill().context("cannot end a child")?;
            child.wait().context("cannot wait for a child")?;
            return Ok(None);
        }
        // The standard library has no wait with a deadline. The children run for seconds, so 20 ms do not matter.
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_a_missing_tool() {
        let error = Program::new("no-such-tool-of-ropeway").output().unwrap_err();
        assert!(error.is::<Missing>(), "{error:#}");
    }

    #[test]
    fn a_failure_names_the_line_and_the_status() {
        let error = Program::new("cargo").arg("no-such-subcommand").dir(Path::new("/")).output().unwrap_err();
        assert!(error.to_string().starts_with("`cargo no-such-subcommand` failed: exit status: 101"), "{error:#}");
    }

    #[test]
    fn arguments_with_special_characters_are_quoted_in_the_line() {
        assert_eq!(Program::new("kosoku").args(["-i", "12.*"]).line(), "kosoku -i '12.*'");
    }
}
