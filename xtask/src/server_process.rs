//! A server that a step starts. It prints its address when it is ready, and is ended with the step.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::program::{self, Program};

/// Starting takes milliseconds, or seconds for Python on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A running server. Dropping it kills it.
pub(crate) struct ServerProcess {
    child: Child,
    /// The address that it printed, `127.0.0.1:PORT`.
    address: String,
}

impl ServerProcess {
    /// Starts `program` and waits until it prints a URL. Its output goes to `log`.
    pub(crate) fn start(program: Program, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut child = program.spawn()?;
        let (announce, announced) = channel();
        let stdout = child.stdout.take().context("its output is in a pipe")?;
        let stderr = child.stderr.take().context("its errors are in a pipe")?;
        follow(stdout, file.try_clone()?, announce.clone());
        follow(stderr, file, announce);
        // Made before the wait, so that the child is ended if the wait fails.
        let mut server = Self { child, address: String::new() };
        server.address = address(&announced)
            .with_context(|| format!("the server announced no URL; its output is in {}", log.display()))?;
        Ok(server)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Waits until it ends by itself. After `deadline` it is killed, and there is no status.
    pub(crate) fn wait(&mut self, deadline: Duration) -> Result<Option<ExitStatus>> {
        program::wait(&mut self.child, deadline)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // This fails if the child has ended already; then nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Copies `output` to the log until it ends, so that the server never waits for a reader. Reports each URL.
fn follow(output: impl Read + Send + 'static, mut log: File, announce: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // If the disk is full or the step no longer listens, reading goes on all the same.
            let _ = writeln!(log, "{line}");
            if let Some(address) = address_in(&line) {
                let _ = announce.send(address.to_owned());
            }
        }
    });
}

fn address(announced: &Receiver<String>) -> Result<String> {
    Ok(announced.recv_timeout(READY_WITHIN)?)
}

/// The `host:port` of the first URL in a line.
fn address_in(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("://")?;
    let end = rest.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(rest.len());
    rest[..end].contains(':').then_some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_line_that_announces_it() {
        assert_eq!(address_in("ropeway is listening on http://127.0.0.1:41234/"), Some("127.0.0.1:41234"));
        assert_eq!(address_in("listening on ws://127.0.0.1:9001 now"), Some("127.0.0.1:9001"));
        assert_eq!(address_in("see https://example.org/help"), None);
        assert_eq!(address_in("starting"), None);
    }
}
