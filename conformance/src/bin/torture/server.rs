//! A server to attack, in a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A running server. Dropping it kills it.
pub(crate) struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Starts `ropeway serve` and waits until it prints its address.
    pub(crate) fn start(ropeway: &str, threads: usize) -> Self {
        let child = Command::new(ropeway)
            .args(["serve", "--listen", "127.0.0.1:0", "--threads", &threads.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        // From here on it is killed, even if it never says where it listens.
        let mut server = Self { child, address: String::new() };
        let (tell, told) = std::sync::mpsc::channel();
        let (stdout, stderr) =
            (server.child.stdout.take().expect("a pipe"), server.child.stderr.take().expect("a pipe"));
        // Both are read to their end, so that the server never waits for a reader.
        for output in [Box::new(stdout) as Box<dyn std::io::Read + Send>, Box::new(stderr)] {
            let tell = tell.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if let Some((_, rest)) = line.split_once("http://") {
                        let _ = tell.send(rest.split('/').next().unwrap_or_default().to_owned());
                    }
                }
            });
        }
        drop(tell);
        server.address = told.recv_timeout(std::time::Duration::from_secs(30)).expect("it says where it listens");
        server
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The most memory that it has used, in bytes.
    pub(crate) fn most_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
        kilobytes.map_or(usize::MAX, |kilobytes| kilobytes * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
