//! A thread of the load: opens its connections, keeps step with the other threads, and closes.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ropeway::http::header::SEC_WEBSOCKET_EXTENSIONS;
use ropeway::{Client, Closed, Error, Handle, Handler, Handshake};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::pace::{Schedule, Share};
use super::run::{Gauge, Milestone, Phase, Run};
use super::tally::{self, kind_of_end, kind_of_error};

/// How many opening handshakes a thread does at a time, where they are not what is measured: enough to keep a server busy,
/// and fewer than the shortest backlog that servers listen with (128).
const TOGETHER: usize = 64;

/// The pause between two looks whether all was answered.
pub(crate) const LOOK: Duration = Duration::from_millis(2);

/// A thread of the load.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) run: Arc<Run>,
    pub(crate) client: Arc<Client>,
    pub(crate) url: Arc<str>,
    /// How long the last answers may take, and the closing handshakes.
    pub(crate) timeout: Duration,
}

/// The part of a worker that its handlers have.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) run: Arc<Run>,
    index: usize,
}

impl Post {
    /// Which thread it is.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    #[inline]
    pub(crate) fn gauge(&self) -> &Gauge {
        &self.run.gauges[self.index]
    }

    /// A connection is open.
    pub(crate) fn opened(&self, handshake: &Handshake) {
        self.gauge().open.add(1);
        self.gauge().opened.add(1);
        // The only extension there is.
        if handshake.response.headers().contains_key(SEC_WEBSOCKET_EXTENSIONS) {
            tally::with(|tally| tally.compressed += 1);
        }
    }

    /// A connection is closed.
    pub(crate) fn closed(&self, closed: &Closed) {
        let gauge = self.gauge();
        gauge.open.set(gauge.open.get() - 1);
        if !gauge.is_closing.load(std::sync::atomic::Ordering::Relaxed) {
            tally::with(|tally| tally.dropped += 1);
            self.error(&kind_of_end(closed), || closed.to_string());
        }
    }

    /// A connection could not be opened.
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

    /// How much of something to be spread over the threads is this one's.
    pub(crate) fn part(&self, of: usize) -> usize {
        let threads = self.run.gauges.len();
        of / threads + usize::from(self.index < of % threads)
    }

    /// This thread's part of the connections, once all threads have opened theirs.
    pub(crate) fn share(&self) -> Share {
        let first = self.run.gauges[..self.index].iter().map(|gauge| gauge.opened.get()).sum();
        Share { first, count: self.gauge().opened.get(), of: self.run.sum(|gauge| &gauge.opened) }
    }

    /// Opens `count` connections, as far as that can be done before the run ends; with a rate, that many a second. `make` returns
    /// the handler of each, and the part of it that is needed later.
    pub(crate) async fn open<H: Handler, L: Send + 'static>(
        &self,
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
                    // It takes a millisecond at least, and those that are due by then make up for it.
                    sleep(Duration::from_nanos(wait)).await;
                }
                while opening.len() >= TOGETHER {
                    open.extend(opening.join_next().await.into_iter().filter_map(|joined| self.take(joined)));
                }
                let (client, url) = (Arc::clone(&self.client), Arc::clone(&self.url));
                let (lane, handler) = make();
                let run = Arc::clone(&self.run);
                opening.spawn(async move {
                    let begun = run.now();
                    let connected = client.connect(&url).handle_with(handler).await;
                    // One that failed took no time to open: it is an error, and no latency.
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

    /// A task ends with a result unless it panicked, and then there is nothing to take.
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

    /// Waits until all threads have opened their connections; `false` if the run ends before anything begins.
    pub(crate) async fn begin(&self) -> bool {
        self.run.pass(Milestone::Opened);
        self.run.wait_for(Phase::Running).await;
        self.run.phase() == Phase::Running
    }

    /// Waits until all there is to do is done, or the run's end; and then for what is under way. A run without an end that is
    /// not answered for as long as the last answers may take is over too.
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

    /// There is nothing to wait for.
    pub(crate) fn pass_answered(&self) {
        self.run.pass(Milestone::Answered);
    }

    /// Does this, but no longer than until the run ends; `false` if it did.
    pub(crate) async fn unless_ending(&self, work: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = self.run.wait_for(Phase::Ending) => false,
            () = work => true,
        }
    }

    /// Closes all connections: cleanly, if the server takes part.
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
