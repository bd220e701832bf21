//! `bench connect`: connections are opened and closed again.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ropeway::{Closed, Connection, Handler, Handshake};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::mode::{Ending, Failure, Mode};
use crate::bench::args::{self, Common};
use crate::bench::measure::Unit;
use crate::bench::measure::conduct::{Outcome, Terms};
use crate::bench::measure::tally;
use crate::bench::measure::worker::{Post, Worker};
use crate::bench::show::report::Report;

/// The wait after a connection that failed: a server that refuses at once should not be flooded.
const PAUSE: Duration = Duration::from_millis(10);

/// The work and its progress, shared by all threads.
pub(super) struct Plan {
    parallel: usize,
    /// The most connections that are opened.
    handshakes: u64,
    begun: AtomicU64,
    /// The number of connections that have failed since the last one that did not.
    failed_in_a_row: AtomicU64,
}

/// The server counts as gone if ten connections in a row have failed on each of the places where connections are
/// opened. Fewer may only mean that it refuses some.
const GONE: u64 = 10;

impl Plan {
    /// Whether the last connections have all failed.
    fn is_server_gone(&self) -> bool {
        self.failed_in_a_row.load(Ordering::Relaxed) >= GONE * self.parallel as u64
    }
}

impl Mode for args::Connect {
    const NAME: &'static str = "connect";
    const UNIT: Unit = Unit::Handshakes;

    type Plan = Arc<Plan>;

    fn common(&self) -> &Common {
        &self.common
    }

    fn connections(&self) -> Option<u64> {
        None
    }

    fn span(&self) -> (Duration, Option<Duration>) {
        self.time.unless_counted(self.handshakes.map(NonZero::get))
    }

    fn plan(&self, _terms: &Terms) -> Result<Arc<Plan>, Failure> {
        Ok(Arc::new(Plan {
            parallel: self.parallel.get(),
            handshakes: self.handshakes.map_or(u64::MAX, NonZero::get),
            begun: AtomicU64::new(0),
            failed_in_a_row: AtomicU64::new(0),
        }))
    }

    async fn work(worker: Worker, plan: &Arc<Plan>) {
        let worker = Arc::new(worker);
        if worker.begin().await {
            // Each connection is closed at once by this side, so its end is never an error. How it ended is recorded.
            worker.gauge().is_closing.store(true, Ordering::Relaxed);
            let mut slots = JoinSet::new();
            for _ in 0..worker.part(plan.parallel) {
                slots.spawn(slot(Arc::clone(&worker), Arc::clone(plan)));
            }
            while slots.join_next().await.is_some() {}
        }
        worker.pass_answered();
    }

    fn complete(&self, plan: &Arc<Plan>, _outcome: &Outcome, report: &mut Report) -> Ending {
        report.settings.parallel = Some(self.parallel.get());
        let trouble = plan.is_server_gone().then(|| {
            "the last handshakes all failed: the server no longer accepted connections; the figures are of the time until then"
                .to_owned()
        });
        Ending { is_complete: false, trouble }
    }
}

/// Opens one connection after another.
async fn slot(worker: Arc<Worker>, plan: Arc<Plan>) {
    let post = worker.post();
    let gauge = worker.gauge();
    while worker.run.now() < worker.run.until() {
        let claim = plan
            .begun
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |begun| (begun < plan.handshakes).then_some(begun + 1));
        if claim.is_err() {
            break;
        }
        let begun = worker.run.now();
        gauge.sent.add(1);
        match worker.client.connect(&worker.url).handle_with(Visitor { post: post.clone() }).await {
            Ok(handle) => {
                let now = worker.run.now();
                gauge.answered.add(1);
                plan.failed_in_a_row.store(0, Ordering::Relaxed);
                if worker.run.counts(now) {
                    gauge.counted.add(1);
                    tally::with(|tally| tally.record(now - begun, 1, now));
                }
                // The reason is short enough, and 1000 can be sent.
                let _ = handle.close(1000, "");
                handle.closed().await;
            }
            Err(error) => {
                // It is not a drop: it has failed, and is counted as a failure.
                gauge.sent.set(gauge.sent.get() - 1);
                post.failed(&error);
                plan.failed_in_a_row.fetch_add(1, Ordering::Relaxed);
                sleep(PAUSE).await;
            }
        }
    }
}

/// The handler of a connection on which nothing is sent.
struct Visitor {
    post: Post,
}

impl Handler for Visitor {
    type State = ();

    fn on_open(&self, _ws: &mut Connection<'_>, handshake: Handshake) {
        self.post.opened(&handshake);
    }

    fn on_close(&self, _ws: &mut Connection<'_>, (): (), closed: &Closed) {
        self.post.closed(closed);
        if !closed.clean {
            self.post.error(&tally::kind_of_end(closed), || closed.to_string());
        }
    }
}
