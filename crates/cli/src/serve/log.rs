//! The log, on stderr: writing it keeps nobody waiting and ends nothing. Lines go to a thread that writes them; what it cannot write,
//! and what there is no room for, is lost and counted.

use std::io::{self, IsTerminal, Stderr, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// How many lines may wait to be written: about 2 MB of the longest that are usual.
const WAITING: usize = 4096;

/// How long the last lines may take once the program is over.
const LAST: Duration = Duration::from_secs(1);

/// The log of the program, from now on.
pub(super) struct Log {
    lines: NonBlocking,
    flushed: Receiver<()>,
    /// Never dropped: it would complain on stdout where the last lines cannot be written.
    _thread: std::mem::ManuallyDrop<WorkerGuard>,
}

impl Log {
    pub(super) fn start() -> Self {
        let lost = Arc::new(OnceLock::new());
        // One place, as a thread that writes may say more than once that it is done.
        let (flush, flushed) = sync_channel(1);
        let writer = Writer { stderr: io::stderr(), lost: Arc::clone(&lost), unwritten: 0, told: 0, flush };
        let (lines, thread) =
            NonBlockingBuilder::default().buffered_lines_limit(WAITING).lossy(true).thread_name("log").finish(writer);
        // Nobody else sets it.
        let _ = lost.set(lines.error_counter());
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_target(false)
            .with_ansi(io::stderr().is_terminal())
            .with_writer(lines.clone())
            // These would be written by `eprintln!`, which panics where nothing can be written.
            .log_internal_errors(false)
            .init();
        Self { lines, flushed, _thread: std::mem::ManuallyDrop::new(thread) }
    }

    /// Waits until all lines are written, though not for long.
    pub(super) fn finish(mut self) {
        let start = Instant::now();
        while start.elapsed() < LAST {
            // An empty line is none: the thread that writes it reports that it came so far. It is lost if there is no room for it.
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
    /// How many of both the log has told of.
    told: usize,
    flush: SyncSender<()>,
}

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_all(line).map(|()| line.len())
    }

    /// Writes a line. It does not fail: there is nobody to tell.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        let lost = self.unwritten + self.lost.get().map_or(0, ErrorCounter::dropped_lines);
        if lost > self.told && writeln!(self.stderr, "{} lines of this log were lost", lost - self.told).is_ok() {
            self.told = lost;
        }
        if line.is_empty() {
            // Where it says so already nothing is missing.
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
