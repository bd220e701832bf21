//! An example as a program that runs: what it prints, and how it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::speaking::within;

/// An example that runs. It is killed at the end of its test in any case.
pub(crate) struct Program {
    name: String,
    child: Child,
    printed: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
}

impl Program {
    pub(crate) fn start(name: &str, args: &[&str]) -> Self {
        let mut command = Command::new(built(name));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let printed = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { name: name.to_owned(), child, printed, seen: Vec::new() }
    }

    /// Waits for a line that begins with this text, and returns it.
    pub(crate) async fn line(&mut self, beginning: &str) -> String {
        let what = format!("{} to print {beginning:?}", self.name);
        within(&what, async {
            loop {
                match self.printed.next_line().await.expect("it prints text") {
                    Some(line) if line.starts_with(beginning) => return line,
                    Some(line) => self.seen.push(line),
                    None => panic!("{} ended before it printed {beginning:?}; it printed {:?}", self.name, self.seen),
                }
            }
        })
        .await
    }

    /// Waits for the URL that it serves.
    pub(crate) async fn url(&mut self) -> String {
        let what = format!("{} to print its URL", self.name);
        within(&what, async {
            loop {
                let line =
                    self.printed.next_line().await.expect("it prints text").expect("it prints its URL and runs on");
                if let Some((_, url)) = line.rsplit_once(' ').filter(|(_, url)| url.contains("://")) {
                    return url.to_owned();
                }
            }
        })
        .await
    }

    /// Waits for the URL that it serves, and returns the host and port.
    pub(crate) async fn addr(&mut self) -> String {
        let url = self.url().await;
        url.split('/').nth(2).expect("a URL has a host").to_owned()
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).expect("it runs");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), signal).expect("it can be told");
    }

    /// Ends a program that would run on. If it has ended by itself, it has failed.
    pub(crate) async fn end(mut self) {
        let status = self.child.try_wait().expect("its state is known");
        assert!(status.is_none(), "{} ended by itself: {status:?}", self.name);
        within("its end", self.child.kill()).await.expect("it can be killed");
    }

    /// Waits for the end of a program that ends by itself, without an error.
    pub(crate) async fn ends_well(mut self) {
        let status = within(&format!("the end of {}", self.name), self.child.wait()).await.expect("its state is known");
        assert!(status.success(), "{}: {status}", self.name);
    }
}

/// The program of an example, beside the folder of this test's own program.
fn built(name: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("this program has a file");
    let profile = tests.ancestors().nth(2).expect("it is in target/<profile>/deps");
    let program = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let how =
        "`cargo test -p ropeway --all-features` builds it; with `--test examples` or a test's name cargo does not";
    // Cargo lists the files that a program was made of behind a colon. A blank in a name has a backslash before it.
    let made_of =
        fs::read_to_string(program.with_extension("d")).unwrap_or_else(|_| panic!("{name} is not built: {how}"));
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let (_, sources) = made_of.split_once(": ").expect("a list of files");
    for source in sources.replace("\\ ", "\0").split_whitespace().map(|source| source.replace('\0', " ")) {
        let is_old = changed(Path::new(&source)) > changed(&program);
        assert!(!is_old, "{name} is older than {source}: {how}");
    }
    program
}

/// A file of one test, removed at its end.
#[cfg(any(unix, feature = "tls"))]
pub(crate) struct TemporaryFile(PathBuf);

#[cfg(any(unix, feature = "tls"))]
impl TemporaryFile {
    pub(crate) fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("ropeway-{}-{name}", std::process::id())))
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("its name is text")
    }
}

#[cfg(any(unix, feature = "tls"))]
impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = fs::remove_file(&self.0);
    }
}
