//! Conducts a run: starts the threads, leads them from phase to phase, and adds up their measurements.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ropeway::Client;
use tokio::runtime::Builder;
use tokio::time::sleep;

use super::progress::{Progress, Unit};
use super::run::{Milestone, Run};
use super::tally::Tally;
use super::worker::Worker;
use crate::exit::INTERRUPTED;
use crate::signals::interrupted;

/// The settings that all modes have.
pub(crate) struct Terms {
    pub(crate) threads: usize,
    pub(crate) client: Arc<Client>,
    pub(crate) url: Arc<str>,
    pub(crate) timeout: Duration,
    pub(crate) warmup: Duration,
    /// The time to measure. `None` to measure until all is done.
    pub(crate) time: Option<Duration>,
    /// Whether there is nothing to do unless connections are opened first.
    pub(crate) needs_connections: bool,
    pub(crate) unit: Unit,
}

/// The outcome of a run.
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    /// The time that was measured.
    pub(crate) elapsed: Duration,
    pub(crate) opened: u64,
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    /// Messages that were answered within that time.
    pub(crate) counted: u64,
    /// Connections that were open when the run ended, before this side closed them.
    pub(crate) open_at_end: u64,
    /// How long it took to open the connections.
    pub(crate) opening: Duration,
    /// Whether it was ended by Ctrl-C.
    pub(crate) is_interrupted: bool,
}

/// Runs `work` on each thread.
pub(crate) fn conduct<F, Fut>(terms: &Terms, work: F) -> io::Result<Outcome>
where
    F: Fn(Worker) -> Fut + Sync,
    Fut: Future<Output = ()>,
{
    let run = Arc::new(Run::new(terms.threads));
    let runtime = || Builder::new_current_thread().enable_all().build();
    let conductor = runtime()?;
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for index in 0..terms.threads {
            let worker = Worker {
                index,
                run: Arc::clone(&run),
                client: Arc::clone(&terms.client),
                url: Arc::clone(&terms.url),
                timeout: terms.timeout,
            };
            let (runtime, run, work) = (runtime(), &run, &work);
            threads.push(scope.spawn(move || {
                let done = runtime.map(|runtime| runtime.block_on(work(worker)));
                run.pass(Milestone::Closed);
                done.map(|()| Tally::take())
            }));
        }
        let Led { opening, open_at_end, is_interrupted } = conductor.block_on(async {
            let progress = Progress::new(terms.unit);
            tokio::select! {
                led = lead(terms, &run) => led,
                never = progress.show(&run) => match never {},
            }
        });
        let mut tally = Tally::default();
        for thread in threads {
            tally.add(&thread.join().map_err(|_| io::Error::other("a thread of the load panicked"))??);
        }
        let until = if terms.time.is_none() && !is_interrupted { tally.last } else { run.until() };
        Ok(Outcome {
            elapsed: Duration::from_nanos(until.saturating_sub(run.from())),
            tally,
            opened: run.sum(|gauge| &gauge.opened),
            sent: run.sum(|gauge| &gauge.sent),
            answered: run.sum(|gauge| &gauge.answered),
            counted: run.sum(|gauge| &gauge.counted),
            open_at_end,
            opening,
            is_interrupted,
        })
    })
}

/// The part of the outcome that only the conductor knows.
struct Led {
    opening: Duration,
    open_at_end: u64,
    is_interrupted: bool,
}

/// Leads the threads from phase to phase.
async fn lead(terms: &Terms, run: &Run) -> Led {
    let mut is_interrupted = tokio::select! {
        () = run.wait_for_all(Milestone::Opened) => false,
        () = interrupted() => true,
    };
    let opening = Duration::from_nanos(run.now());
    let has_work = !terms.needs_connections || run.sum(|gauge| &gauge.open) > 0;
    if has_work && !is_interrupted {
        run.start(terms.warmup, terms.time);
        let over = async {
            match terms.time {
                Some(time) => sleep(terms.warmup + time).await,
                None => std::future::pending().await,
            }
        };
        is_interrupted = tokio::select! {
            () = over => false,
            () = run.wait_for_all(Milestone::Answered) => false,
            () = interrupted() => true,
        };
    }
    let open_at_end = run.sum(|gauge| &gauge.open);
    run.end();
    tokio::select! {
        () = run.wait_for_all(Milestone::Closed) => {}
        () = interrupted() => {
            super::progress::clear();
            std::process::exit(INTERRUPTED.into());
        }
    }
    Led { opening, open_at_end, is_interrupted }
}
