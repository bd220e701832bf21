//! The log, on stderr. Logging never blocks and never ends the program: a thread writes the lines. Lines that it cannot
//! write, and lines for which there is no room, are dropped and counted.

use std::io::{self, IsTerminal, Stderr, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// The most lines that may wait to be written: about 2 MB of the longest usual ones.
const WAITING: usize = 4096;

/// The lines that are logged unless `RUST_LOG` says otherwise. The client of NATS tells of each connection, as the library
/// does.
const USUAL: &str = "info,async_nats=warn";

/// How long to wait for the last lines at the end of the program.
const LAST: Duration = Duration::from_secs(1);

/// The log of the program.
pub(super) struct Log {
    lines: NonBlocking,
    flushed: Receiver<()>,
    /// Never dropped: if the last lines cannot be written, its `drop` would complain on stdout.
    _thread: std::mem::ManuallyDrop<WorkerGuard>,
}

impl Log {
    pub(super) fn start() -> Self {
        let lost = Arc::new(OnceLock::new());
        // Room for one: the thread may report more than once that it is done.
        let (flush, flushed) = sync_channel(1);
        let writer = Writer { stderr: io::stderr(), lost: Arc::clone(&lost), unwritten: 0, told: 0, flush };
        let (lines, thread) =
            NonBlockingBuilder::default().buffered_lines_limit(WAITING).lossy(true).thread_name("log").finish(writer);
        // Only this line sets it.
        let _ = lost.set(lines.error_counter());
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(USUAL));
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_target(false)
            .with_ansi(io::stderr().is_terminal())
            .with_writer(lines.clone())
            // Internal errors would be written with `eprintln!`, which panics if nothing can be written.
            .log_internal_errors(false)
            .init();
        Self { lines, flushed, _thread: std::mem::ManuallyDrop::new(thread) }
    }

    /// Waits until all lines are written, but not for long.
    pub(super) fn finish(mut self) {
        let start = Instant::now();
        while start.elapsed() < LAST {
            // An empty line writes nothing. It only makes the thread report that it has come this far. It is dropped if
            // there is no room.
            let _ = self.lines.write(&[]);
            if self.flushed.recv_timeout(LAST / 20).is_ok() {
                return;
            }
        }
    }
}

/// The thread's writer.
struct Writer {
    stderr: Stderr,
    /// The lines for which there was no room.
    lost: Arc<OnceLock<ErrorCounter>>,
    /// The lines that could not be written.
    unwritten: usize,
    /// The number of dropped lines that the log has reported.
    told: usize,
    flush: SyncSender<()>,
}

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_all(line).map(|()| line.len())
    }

    /// Writes a line. It never returns an error, since nobody could be told.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        let lost = self.unwritten + self.lost.get().map_or(0, ErrorCounter::dropped_lines);
        if lost > self.told && writeln!(self.stderr, "{} lines of this log were lost", lost - self.told).is_ok() {
            self.told = lost;
        }
        if line.is_empty() {
            // If a report is waiting already, this one is not needed.
            let _ = self.flush.try_send(());
        } else if self.stderr.write_all(line).is_err() {
            self.unwritten += 1;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
