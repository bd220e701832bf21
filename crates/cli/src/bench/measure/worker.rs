//! A thread of the load: opens its connections, waits for the other threads at each phase, and closes them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ropeway::{Client, Closed, Error, Handle, Handler, Handshake};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::pace::{Schedule, Share};
use super::run::{Gauge, Milestone, Phase, Run};
use super::tally::{self, kind_of_end, kind_of_error};

/// The number of opening handshakes that a thread does at the same time in modes that do not measure them: enough to
/// keep a server busy, and fewer than the shortest backlog that servers listen with (128).
const TOGETHER: usize = 64;

/// The pause between two checks whether all messages are answered.
pub(crate) const LOOK: Duration = Duration::from_millis(2);

/// A thread of the load.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) run: Arc<Run>,
    pub(crate) client: Arc<Client>,
    pub(crate) url: Arc<str>,
    /// The time limit for the last answers, and for closing handshakes.
    pub(crate) timeout: Duration,
}

/// The part of a worker that its handlers use.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) run: Arc<Run>,
    index: usize,
}

impl Post {
    /// The number of the thread.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    #[inline]
    pub(crate) fn gauge(&self) -> &Gauge {
        &self.run.gauges[self.index]
    }

    /// Notes that a connection is open.
    pub(crate) fn opened(&self, handshake: &Handshake) {
        self.gauge().open.add(1);
        self.gauge().opened.add(1);
        if handshake.deflate().is_some() {
            tally::with(|tally| tally.compressed += 1);
        }
    }

    /// Notes that a connection is closed.
    pub(crate) fn closed(&self, closed: &Closed) {
        let gauge = self.gauge();
        gauge.open.set(gauge.open.get() - 1);
        if !gauge.is_closing.load(std::sync::atomic::Ordering::Relaxed) {
            tally::with(|tally| tally.dropped += 1);
            self.error(&kind_of_end(closed), || closed.to_string());
        }
    }

    /// Notes that a connection could not be opened.
    pub(crate) fn failed(&self, error: &Error) {
        self.error(&kind_of_error(error), || error.to_string());
    }

    #[cold]
    pub(crate) fn error(&self, kind: &str, said: impl FnOnce() -> String) {
        self.gauge().errors.add(1);
        tally::with(|tally| tally.errors.note(kind, said));
    }
}

impl Worker {
    pub(crate) fn post(&self) -> Post {
        Post { run: Arc::clone(&self.run), index: self.index }
    }

    pub(crate) fn gauge(&self) -> &Gauge {
        &self.run.gauges[self.index]
    }

    /// This thread's share of `of` things that are spread over the threads.
    pub(crate) fn part(&self, of: usize) -> usize {
        let threads = self.run.gauges.len();
        of / threads + usize::from(self.index < of % threads)
    }

    /// This thread's share of the connections, once all threads have opened theirs.
    pub(crate) fn share(&self) -> Share {
        let first = self.run.gauges[..self.index].iter().map(|gauge| gauge.opened.get()).sum();
        Share { first, count: self.gauge().opened.get(), of: self.run.sum(|gauge| &gauge.opened) }
    }

    /// Opens `count` connections, unless the run ends before that; with a rate, that many a second. `make` returns the
    /// handler of each, and the part of it that is needed later.
    pub(crate) async fn open<H: Handler, L: Send + 'static>(
        &self,
        count: usize,
        rate: Option<f64>,
        make: impl FnMut() -> (L, H),
    ) -> Vec<(L, Handle)> {
        self.open_at(&self.url, count, rate, make).await
    }

    /// The same at another URL than the run's.
    pub(crate) async fn open_at<H: Handler, L: Send + 'static>(
        &self,
        url: &Arc<str>,
        count: usize,
        rate: Option<f64>,
        mut make: impl FnMut() -> (L, H),
    ) -> Vec<(L, Handle)> {
        let schedule = rate.map(|rate| Schedule::new(self.run.now(), rate));
        let mut opening = JoinSet::new();
        let mut open = Vec::with_capacity(count);
        let all = async {
            for number in 0..count {
                if let Some(schedule) = schedule
                    && let wait = schedule.due(number as u64).saturating_sub(self.run.now())
                    && wait > 0
                {
                    // Sleeping takes at least a millisecond. The connections that are due by then are opened together.
                    sleep(Duration::from_nanos(wait)).await;
                }
                while opening.len() >= TOGETHER {
                    open.extend(opening.join_next().await.into_iter().filter_map(|joined| self.take(joined)));
                }
                let (client, url) = (Arc::clone(&self.client), Arc::clone(url));
                let (lane, handler) = make();
                let run = Arc::clone(&self.run);
                opening.spawn(async move {
                    let begun = run.now();
                    let connected = client.connect(&url).handle_with(handler).await;
                    // A connection that failed has no opening time. It is counted as an error.
                    if connected.is_ok() {
                        tally::with(|tally| tally.opening.saturating_record(run.now() - begun));
                    }
                    (lane, connected)
                });
            }
            while let Some(joined) = opening.join_next().await {
                open.extend(self.take(joined));
            }
        };
        self.unless_ending(all).await;
        open
    }

    /// Takes the result of a task. If the task panicked there is none.
    fn take<L, E>(&self, joined: Result<(L, Result<Handle, Error>), E>) -> Option<(L, Handle)> {
        let (lane, connected) = joined.ok()?;
        match connected {
            Ok(handle) => Some((lane, handle)),
            Err(error) => {
                self.post().failed(&error);
                None
            }
        }
    }

    /// Waits until all threads have opened their connections. Returns `false` if the run ends before anything begins.
    pub(crate) async fn begin(&self) -> bool {
        self.run.pass(Milestone::Opened);
        self.run.wait_for(Phase::Running).await;
        self.run.phase() == Phase::Running
    }

    /// Waits until all work is done, or until the run's end; then for the answers that are under way. A run without a
    /// fixed end is also over if no answer comes for as long as the last answers may take.
    pub(crate) async fn finish(&self, is_done: impl Fn() -> bool) {
        let gauge = self.gauge();
        let done = async {
            let (mut answered, mut since) = (gauge.answered.get(), Instant::now());
            while !is_done() {
                sleep(LOOK).await;
                let now_answered = gauge.answered.get();
                if now_answered != answered {
                    (answered, since) = (now_answered, Instant::now());
                } else if self.run.is_endless() && since.elapsed() >= self.timeout {
                    return;
                }
            }
        };
        self.unless_ending(done).await;
        let settled = async {
            while !gauge.is_settled() {
                sleep(LOOK).await;
            }
        };
        // A message that is not answered by then counts as dropped.
        let _ = timeout(self.timeout, settled).await;
        self.run.pass(Milestone::Answered);
    }

    /// Passes the milestone at once, if there is nothing to wait for.
    pub(crate) fn pass_answered(&self) {
        self.run.pass(Milestone::Answered);
    }

    /// Does this work until the run ends. Returns `false` if the end came first.
    pub(crate) async fn unless_ending(&self, work: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = self.run.wait_for(Phase::Ending) => false,
            () = work => true,
        }
    }

    /// Closes all connections, with a closing handshake if the server takes part.
    pub(crate) async fn close(&self, connections: impl IntoIterator<Item = Handle>) {
        self.gauge().is_closing.store(true, std::sync::atomic::Ordering::Relaxed);
        let connections: Vec<Handle> = connections.into_iter().collect();
        for handle in &connections {
            // The reason is short enough, and 1000 can be sent.
            let _ = handle.close(1000, "");
        }
        for handle in &connections {
            handle.closed().await;
        }
    }
}
