//! `bench idle`: connections are opened and held, and the server's memory for them is measured.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use ropeway::{Client, Closed, Connection, Handle, Handler, Handshake, Message, MessageRef};
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

use super::mode::{Ending, Failure, Mode};
use crate::bench::args::{self, Common};
use crate::bench::measure::Unit;
use crate::bench::measure::conduct::{Outcome, Terms};
use crate::bench::measure::memory::resident;
use crate::bench::measure::payload;
use crate::bench::measure::tally;
use crate::bench::measure::worker::{LOOK, Post, Worker};
use crate::bench::show::report::{Memory, Rate, Report};

/// The time for which a server gets nothing to do before its memory is measured.
const REST: Duration = Duration::from_millis(1500);

/// The number of messages on their way at the same time, all of which a server may have to hold at once.
const TOGETHER: u64 = 64;

/// The work and its progress, shared by all threads.
pub(super) struct Plan {
    connections: usize,
    rate: Option<f64>,
    hold: Duration,
    message: Message,
    pid: Option<u32>,
    step: AtomicU8,
    /// The server's resident memory in bytes before the run; 0 if not known.
    before: u64,
    /// The server's resident memory in bytes with all connections open, and after one message each; 0 if not known.
    open: AtomicU64,
    used: AtomicU64,
}

/// The steps of the threads once the connections are open. The first thread leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Step {
    /// Nothing is done while the server's memory is measured.
    Rest,
    /// Each connection sends a message and waits for its answer.
    Exchange,
    /// The connections are held.
    Hold,
}

impl Plan {
    fn new(
        connections: usize,
        rate: Option<f64>,
        hold: Duration,
        (size, is_text): (usize, bool),
        pid: Option<u32>,
    ) -> Self {
        Self {
            connections,
            rate,
            hold,
            message: payload::message(size, is_text),
            pid,
            step: AtomicU8::new(Step::Rest as u8),
            before: 0,
            open: AtomicU64::new(0),
            used: AtomicU64::new(0),
        }
    }

    /// The server's memory before the run, with all connections open, and after one message each. `None` if it is not
    /// known.
    fn memory(&self, opened: u64) -> Option<Memory> {
        let known = |reading: &AtomicU64| Some(reading.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0);
        let before_bytes = Some(self.before).filter(|bytes| *bytes > 0)?;
        let (open_bytes, used_bytes) = (known(&self.open)?, known(&self.used));
        let each = |bytes: u64| {
            let more = bytes.checked_sub(before_bytes).filter(|more| *more > 0)?;
            (opened > 0).then(|| more as f64 / opened as f64)
        };
        Some(Memory {
            before_bytes,
            open_bytes,
            used_bytes,
            per_connection_open_bytes: each(open_bytes),
            per_connection_used_bytes: used_bytes.and_then(each),
        })
    }

    async fn wait_for(&self, step: Step) {
        while self.step.load(Ordering::Relaxed) < step as u8 {
            sleep(LOOK).await;
        }
    }

    fn go_on(&self, step: Step) {
        self.step.store(step as u8, Ordering::Relaxed);
    }
}

/// The server's memory before the connections are opened. Before it is measured, one connection is opened, used for a
/// message and closed, so that memory that a server allocates only once is not counted.
fn memory_before(pid: u32, client: &Client, url: &str, plan: &Plan, patience: Duration) -> io::Result<u64> {
    // If the process does not exist, that is an error before anything is connected.
    resident(pid).map_err(|error| {
        io::Error::new(error.kind(), format!("the memory of process {pid} cannot be read (--pid): {error}"))
    })?;
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        if let Ok(mut first) = client.connect(url).await {
            let answered = async {
                first.send(plan.message.clone()).await.ok();
                first.recv().await.ok();
            };
            let _ = timeout(patience, answered).await;
            let _ = first.close(1000, "").await;
        }
        sleep(REST).await;
        resident(pid)
    })
}

impl Mode for args::Idle {
    const NAME: &'static str = "idle";
    const UNIT: Unit = Unit::Connections;
    const MEASURES_OPENING: bool = true;

    type Plan = Plan;

    fn common(&self) -> &Common {
        &self.common
    }

    fn connections(&self) -> Option<u64> {
        Some(self.conns.get() as u64)
    }

    fn in_flight(&self) -> usize {
        self.shape.size
    }

    fn plan(&self, terms: &Terms) -> Result<Plan, Failure> {
        let shape = (self.shape.size, self.shape.text);
        let mut plan = Plan::new(self.conns.get(), self.rate, self.secs, shape, self.pid);
        if let Some(pid) = self.pid {
            plan.before = memory_before(pid, &terms.client, &terms.url, &plan, terms.timeout)?;
        }
        Ok(plan)
    }

    async fn work(worker: Worker, plan: &Plan) {
        let post = worker.post();
        let rate = plan.rate.map(|rate| rate / worker.run.gauges.len() as f64);
        let make = || ((), Guest { post: post.clone() });
        let connections = worker.open(worker.part(plan.connections), rate, make).await;
        if worker.begin().await {
            let measured = async {
                let Some(pid) = plan.pid else { return };
                if worker.index == 0 {
                    sleep(REST).await;
                    look(pid, &plan.open, &post);
                    plan.go_on(Step::Exchange);
                }
                plan.wait_for(Step::Exchange).await;
                let is_answered = timeout(worker.timeout, exchange(&worker, plan, &connections)).await.is_ok();
                if worker.index == 0 {
                    let all = async {
                        while worker.run.sum(|gauge| &gauge.answered) < worker.run.sum(|gauge| &gauge.open) {
                            sleep(LOOK).await;
                        }
                    };
                    if is_answered && timeout(worker.timeout, all).await.is_ok() {
                        sleep(REST).await;
                        look(pid, &plan.used, &post);
                    }
                }
            };
            if worker.unless_ending(measured).await && worker.index == 0 {
                worker.run.count_for(plan.hold);
                plan.go_on(Step::Hold);
            }
            worker.unless_ending(plan.wait_for(Step::Hold)).await;
            let gauge = worker.gauge();
            worker.finish(|| gauge.open.get() == 0 || worker.run.now() >= worker.run.until()).await;
            // The connections that are still open were held.
            gauge.counted.set(gauge.open.get());
            tally::with(|tally| tally.last = worker.run.now().min(worker.run.until()));
        }
        worker.close(connections.into_iter().map(|((), handle)| handle)).await;
    }

    fn complete(&self, plan: &Plan, outcome: &Outcome, report: &mut Report) -> Ending {
        let achieved = outcome.opened as f64 / outcome.opening.as_secs_f64().max(1e-9);
        report.rate_per_s = Rate { asked: self.rate, achieved };
        report.server_memory = plan.memory(outcome.opened);
        Ending::default()
    }
}

fn look(pid: u32, reading: &AtomicU64, post: &Post) {
    match resident(pid) {
        Ok(bytes) => reading.store(bytes, Ordering::Relaxed),
        Err(error) => post.error("memory_unknown", || error.to_string()),
    }
}

/// Sends a message on each connection, and waits for the answers.
async fn exchange(worker: &Worker, plan: &Plan, connections: &[((), Handle)]) {
    let gauge = worker.gauge();
    for ((), handle) in connections {
        while gauge.sent.get() >= gauge.answered.get() + gauge.lost.get() + TOGETHER {
            sleep(LOOK / 4).await;
        }
        if handle.send(plan.message.clone()).is_ok() {
            gauge.sent.add(1);
        }
    }
    while !gauge.is_settled() {
        sleep(LOOK).await;
    }
}

/// The handler of a connection that is mostly at rest.
struct Guest {
    post: Post,
}

impl Handler for Guest {
    /// Whether its message was answered.
    type State = bool;

    fn on_open(&self, _ws: &mut Connection<'_>, handshake: Handshake) -> bool {
        self.post.opened(&handshake);
        false
    }

    fn on_message(&self, _ws: &mut Connection<'_>, is_answered: &mut bool, _message: MessageRef<'_>) {
        // Other messages may come, such as a greeting. Any one will do as the answer.
        if !std::mem::replace(is_answered, true) {
            self.post.gauge().answered.add(1);
        }
    }

    fn on_close(&self, _ws: &mut Connection<'_>, _is_answered: bool, closed: &Closed) {
        self.post.closed(closed);
    }
}
