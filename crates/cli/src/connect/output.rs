//! Writing, on a thread of its own: a reader that is slow, stalled or gone must not hold up anything else.

use std::io::{self, Write, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::prompt::Prompt;
use super::render::without_colour;
use crate::style::say;

/// A piece of output.
#[derive(Debug)]
pub(crate) enum Piece {
    /// For stdout, or above the prompt.
    Out(Vec<u8>),
    /// A line for stderr.
    Err(String),
}

impl Piece {
    /// The number of bytes in the piece.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Out(bytes) => bytes.len(),
            Self::Err(_) => 0,
        }
    }
}

/// The place that pieces are written to.
pub(crate) enum Target {
    /// To stdout and stderr.
    Pipe,
    /// Above a prompt, with or without colour.
    Terminal { prompt: Prompt, colour: bool },
}

/// A job for the thread.
enum Job {
    Show(Vec<Piece>),
    /// Remove the prompt, write these, and end.
    Last(Vec<Piece>),
}

/// The connection to the thread.
#[derive(Debug)]
pub(crate) struct Output {
    jobs: mpsc::Sender<Job>,
    /// The number of bytes that were passed to the thread and are not written yet.
    unwritten: Arc<AtomicUsize>,
    failures: mpsc::UnboundedReceiver<io::Error>,
    /// Keeps the channel open.
    _failure: mpsc::UnboundedSender<io::Error>,
    /// Completes once the last piece is written.
    done: oneshot::Receiver<()>,
}

impl Output {
    /// Starts the thread.
    pub(crate) fn start(target: Target) -> io::Result<Self> {
        // One job may wait while another is done. Meanwhile further output is gathered on the other side.
        let (jobs, todo) = mpsc::channel(1);
        let (failure, failures) = mpsc::unbounded_channel();
        let (tell, done) = oneshot::channel();
        let unwritten = Arc::new(AtomicUsize::new(0));
        if matches!(target, Target::Pipe) {
            watch_reader(failure.clone())?;
        }
        let (count, fail) = (Arc::clone(&unwritten), failure.clone());
        thread::Builder::new().name("output".into()).spawn(move || match work(target, todo, &count) {
            // If the session has given up, nobody receives it.
            Ok(()) => drop(tell.send(())),
            Err(error) => drop(fail.send(error)),
        })?;
        Ok(Self { jobs, unwritten, failures, _failure: failure, done })
    }

    /// The number of bytes that were passed to the thread and are not written yet.
    pub(crate) fn unwritten(&self) -> usize {
        self.unwritten.load(Ordering::Relaxed)
    }

    /// Passes the pieces to the thread as soon as it accepts them, and empties `pieces`. If there are none, waits for a
    /// failure. An error means that nothing can be written any more. Cancel safe.
    pub(crate) async fn show(&mut self, pieces: &mut Vec<Piece>) -> io::Result<()> {
        tokio::select! {
            biased;
            Some(error) = self.failures.recv() => Err(error),
            // If the thread has ended, it reports why.
            Ok(permit) = self.jobs.reserve(), if !pieces.is_empty() => {
                count(&self.unwritten, pieces);
                permit.send(Job::Show(std::mem::take(pieces)));
                Ok(())
            }
            else => std::future::pending().await,
        }
    }

    /// Passes the last pieces to the thread, and waits until all is written and the prompt is removed. Cancel safe
    /// until the thread has accepted them.
    pub(crate) async fn end(&mut self, pieces: &mut Vec<Piece>) -> io::Result<()> {
        tokio::select! {
            biased;
            Some(error) = self.failures.recv() => return Err(error),
            Ok(permit) = self.jobs.reserve() => {
                count(&self.unwritten, pieces);
                permit.send(Job::Last(std::mem::take(pieces)));
            }
        }
        tokio::select! {
            biased;
            Ok(()) = &mut self.done => Ok(()),
            Some(error) = self.failures.recv() => Err(error),
        }
    }
}

fn count(unwritten: &AtomicUsize, pieces: &[Piece]) {
    unwritten.fetch_add(pieces.iter().map(Piece::len).sum(), Ordering::Relaxed);
}

/// Writes until the last piece, or until nothing can be written any more.
fn work(mut target: Target, mut todo: mpsc::Receiver<Job>, unwritten: &AtomicUsize) -> io::Result<()> {
    while let Some(job) = todo.blocking_recv() {
        let (pieces, is_last) = match job {
            Job::Show(pieces) => (pieces, false),
            Job::Last(pieces) => (pieces, true),
        };
        if is_last && let Target::Terminal { prompt, .. } = &mut target {
            prompt.end()?;
        }
        for piece in pieces {
            let length = piece.len();
            match (&mut target, piece) {
                (_, Piece::Err(line)) => say(&line),
                (Target::Pipe, Piece::Out(bytes)) => write_all(&bytes)?,
                (Target::Terminal { prompt, colour }, Piece::Out(bytes)) => {
                    let text = String::from_utf8_lossy(&bytes);
                    if *colour { prompt.print(&text)? } else { prompt.print(&without_colour(&text))? }
                }
            }
            unwritten.fetch_sub(length, Ordering::Relaxed);
        }
        if is_last {
            break;
        }
    }
    Ok(())
}

fn write_all(mut bytes: &[u8]) -> io::Result<()> {
    let mut stdout = stdout().lock();
    while !bytes.is_empty() {
        match stdout.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) => wait_out(error)?,
        }
    }
    while let Err(error) = stdout.flush() {
        wait_out(error)?;
    }
    Ok(())
}

/// If the output would block, waits until it accepts more. If a signal interrupted the call, returns at once: the
/// caller tries again in both cases. Returns all other errors.
///
/// An output is non-blocking if a program that shares it with this one has made it so.
#[cfg(unix)]
fn wait_out(error: io::Error) -> io::Result<()> {
    use std::os::fd::AsFd;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    match error.kind() {
        io::ErrorKind::Interrupted => Ok(()),
        io::ErrorKind::WouldBlock => {
            let stdout = stdout();
            let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)];
            // Whatever has ended the wait, the next write shows how things are.
            let _ = poll(&mut fds, PollTimeout::NONE);
            Ok(())
        }
        _ => Err(error),
    }
}

#[cfg(windows)]
fn wait_out(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}

/// Reports when the reader of the output has gone, even while nothing is written.
#[cfg(unix)]
fn watch_reader(failure: mpsc::UnboundedSender<io::Error>) -> io::Result<()> {
    use std::os::fd::AsFd;

    use nix::errno::Errno;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    thread::Builder::new().name("reader".into()).spawn(move || {
        let stdout = stdout();
        // Errors are always reported. A pipe whose other end is closed has one, a file never has.
        let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
        loop {
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => {}
                // Some outputs cannot be watched, such as a terminal on some systems. Their end is noticed by writing.
                Err(_) => return,
                Ok(_) => break,
            }
        }
        let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
        if fds[0].revents().is_some_and(|events| events.intersects(gone)) {
            // After the end of the session nobody receives it.
            let _ = failure.send(io::ErrorKind::BrokenPipe.into());
        }
    })?;
    Ok(())
}

/// On Windows it is noticed by writing.
#[cfg(windows)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it may fail")]
fn watch_reader(_failure: mpsc::UnboundedSender<io::Error>) -> io::Result<()> {
    Ok(())
}
