//! `bench echo`: messages that the server sends back, in a closed loop ([`Window`]) or at a rate ([`Paced`]).

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ropeway::{Closed, Connection, Handle, Handler, Handshake, Message, MessageRef, SendError};

use super::mode::{Ending, Failure, Mode};
use crate::bench::args::{self, Common, Shape};
use crate::bench::measure::Unit;
use crate::bench::measure::conduct::{Outcome, Terms};
use crate::bench::measure::pace::{Schedule, Share, number_on};
use crate::bench::measure::payload;
use crate::bench::measure::run::{Count, Gauge};
use crate::bench::measure::tally;
use crate::bench::measure::timer::{LONGEST_WAIT, Timer};
use crate::bench::measure::worker::{Post, Worker};
use crate::bench::show::report::Report;

/// The most messages that are queued before the connections get their turn.
const BURST: u64 = 128;

/// The work to do.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    connections: usize,
    size: usize,
    is_text: bool,
    pace: Pace,
    /// The most messages that are sent.
    messages: Option<u64>,
}

/// The rule for when messages are sent.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// As soon as there is room in the window, which is the number of messages in flight on each connection.
    Window(u64),
    /// This many a second in all, even if earlier ones are not answered.
    Rate(f64),
}

impl Mode for args::Echo {
    const NAME: &'static str = "echo";
    const UNIT: Unit = Unit::Messages;

    type Plan = Plan;

    fn common(&self) -> &Common {
        &self.common
    }

    fn connections(&self) -> Option<u64> {
        Some(self.conns.get() as u64)
    }

    fn shape(&self) -> Option<&Shape> {
        Some(&self.shape)
    }

    fn span(&self) -> (Duration, Option<Duration>) {
        self.span.time.unless_counted(self.span.messages.map(NonZero::get))
    }

    fn in_flight(&self) -> usize {
        self.shape.size.saturating_mul(self.window as usize)
    }

    fn plan(&self, _terms: &Terms) -> Result<Plan, Failure> {
        Ok(Plan {
            connections: self.conns.get(),
            size: self.shape.size,
            is_text: self.shape.text,
            pace: self.rate.map_or(Pace::Window(self.window), Pace::Rate),
            messages: self.span.messages.map(NonZero::get),
        })
    }

    async fn work(worker: Worker, plan: &Plan) {
        // One copy for each thread, so that the threads share no memory.
        let job = Arc::new(Job { post: worker.post(), message: payload::message(plan.size, plan.is_text) });
        let part = worker.part(plan.connections);
        match plan.pace {
            Pace::Window(size) => windowed(&worker, plan, job, part, size).await,
            Pace::Rate(rate) => paced(&worker, plan, job, part, rate).await,
        }
    }

    fn complete(&self, plan: &Plan, outcome: &Outcome, report: &mut Report) -> Ending {
        report.settings.window = self.rate.is_none().then_some(self.window);
        report.rate_per_s.asked = self.rate;
        let is_complete = plan.messages.is_some_and(|messages| outcome.answered >= messages);
        Ending { is_complete, trouble: None }
    }
}

/// The state that a thread's handlers share.
struct Job {
    post: Post,
    message: Message,
}

impl Job {
    /// Whether this is an echo of the sent message. Of the first one all bytes are compared.
    #[inline]
    fn is_answer(&self, message: &MessageRef<'_>, is_first: bool) -> bool {
        let is_it = message.len() == self.message.len()
            && message.is_text() == self.message.is_text()
            && (!is_first || message.as_bytes() == self.message.as_bytes());
        if !is_it {
            self.post.error("unexpected_message", || {
                format!("a message of {} bytes is not the one that was sent: does this path echo?", message.len())
            });
        }
        is_it
    }

    /// Counts messages that answer nothing as errors. They have no latency, and no message is sent in return: otherwise
    /// a server that answers twice would get twice as much each time.
    #[cold]
    fn answers_to_nothing(&self, times: u64) {
        for _ in 0..times {
            self.post.error("unexpected_message", || {
                "a message answers none that was sent: does this path echo?".to_owned()
            });
        }
    }
}

/// Instructions for a connection's handler, set once all connections are open.
#[derive(Default)]
struct Lane {
    /// The number of the connection within the run.
    number: AtomicU64,
    /// The number of messages to send on it.
    quota: AtomicU64,
    /// The time when its first messages were sent.
    begun: AtomicU64,
    sent: Count,
    /// Whether its handler has counted the messages that were never answered.
    is_closed: AtomicBool,
}

impl Lane {
    /// Notes messages that could not be sent any more. If the connection is about to be closed, its handler counts them
    /// with all the others.
    fn not_sent(&self, gauge: &Gauge, messages: u64) {
        if self.is_closed.load(Ordering::Relaxed) {
            gauge.lost.add(messages);
        }
    }

    /// Counts the messages that were never answered.
    fn close(&self, gauge: &Gauge, answered: u64) {
        gauge.lost.add(self.sent.get().saturating_sub(answered));
        self.is_closed.store(true, Ordering::Relaxed);
    }
}

async fn windowed(worker: &Worker, plan: &Plan, job: Arc<Job>, part: usize, window: u64) {
    let make = || {
        let lane = Arc::new(Lane::default());
        (Arc::clone(&lane), Window { job: Arc::clone(&job), lane })
    };
    let connections = worker.open(part, None, make).await;
    if worker.begin().await {
        let (share, gauge) = (worker.share(), worker.gauge());
        for (index, (lane, handle)) in connections.iter().enumerate() {
            let quota = plan.messages.map_or(u64::MAX, |total| share.quota(index as u64, total));
            let first = window.min(quota);
            lane.quota.store(quota, Ordering::Relaxed);
            lane.begun.store(worker.run.now(), Ordering::Relaxed);
            lane.sent.set(first);
            gauge.sent.add(first);
            let sent = (0..first).take_while(|_| handle.send(job.message.clone()).is_ok()).count();
            lane.not_sent(gauge, first - sent as u64);
        }
        worker.finish(|| gauge.open.get() == 0 || (plan.messages.is_some() && gauge.is_settled())).await;
    }
    worker.close(connections.into_iter().map(|(_, handle)| handle)).await;
}

/// The handler of a connection that sends another message for each answer.
struct Window {
    job: Arc<Job>,
    lane: Arc<Lane>,
}

/// The messages in flight on a connection.
#[derive(Default)]
struct InFlight {
    /// Messages by the time when they were sent, the oldest first.
    volleys: VecDeque<Volley>,
    answered: u64,
    /// The number of answers in the current read.
    brought: u64,
}

impl InFlight {
    /// Takes `answers` answers. For each time at which their messages were sent, calls `tell` with it and their number.
    #[inline]
    fn land(&mut self, mut answers: u64, mut tell: impl FnMut(u64, u64)) {
        self.answered += answers;
        while answers > 0
            && let Some(volley) = self.volleys.front_mut()
        {
            let landed = answers.min(volley.left);
            tell(volley.sent_at, landed);
            answers -= landed;
            volley.left -= landed;
            if volley.left == 0 {
                self.volleys.pop_front();
            }
        }
    }
}

/// Messages that were sent for the answers of one read. They share one time, and so do those answers: a read is one
/// system call, and asking the clock costs a twentieth of a message.
struct Volley {
    sent_at: u64,
    /// The number of them that are not answered yet.
    left: u64,
}

impl Handler for Window {
    type State = InFlight;

    fn on_open(&self, _ws: &mut Connection<'_>, handshake: Handshake) -> InFlight {
        self.job.post.opened(&handshake);
        InFlight::default()
    }

    #[inline]
    fn on_message(&self, _ws: &mut Connection<'_>, flight: &mut InFlight, message: MessageRef<'_>) {
        let is_first = flight.answered + flight.brought == 0;
        flight.brought += u64::from(self.job.is_answer(&message, is_first));
    }

    fn on_read_complete(&self, ws: &mut Connection<'_>, flight: &mut InFlight) {
        let (post, lane) = (&self.job.post, &*self.lane);
        let sent = lane.sent.get();
        let all_brought = std::mem::take(&mut flight.brought);
        let brought = all_brought.min(sent - flight.answered);
        if brought < all_brought {
            self.job.answers_to_nothing(all_brought - brought);
        }
        if brought == 0 {
            return;
        }
        let (now, gauge) = (post.run.now(), post.gauge());
        if flight.answered == 0 {
            flight.volleys.push_back(Volley { sent_at: lane.begun.load(Ordering::Relaxed), left: sent });
        }
        gauge.answered.add(brought);
        let counts = post.run.counts(now);
        if counts {
            gauge.counted.add(brought);
        }
        flight.land(brought, |sent_at, times| {
            if counts {
                tally::with(|tally| tally.record(now.saturating_sub(sent_at), times, now));
            }
        });
        let quota = lane.quota.load(Ordering::Relaxed).saturating_sub(sent);
        let next = if now < post.run.until() { quota.min(brought) } else { 0 };
        if next == 0 {
            return;
        }
        lane.sent.set(sent + next);
        gauge.sent.add(next);
        flight.volleys.push_back(Volley { sent_at: now, left: next });
        for _ in 0..next {
            // There is room for twice the messages in flight. If the connection is closing, that is reported elsewhere.
            let _ = ws.send(&self.job.message);
        }
    }

    fn on_close(&self, _ws: &mut Connection<'_>, flight: InFlight, closed: &Closed) {
        self.lane.close(self.job.post.gauge(), flight.answered);
        self.job.post.closed(closed);
    }
}

async fn paced(worker: &Worker, plan: &Plan, job: Arc<Job>, part: usize, rate: f64) {
    let of = Arc::new(AtomicU64::new(1));
    let make = || {
        let lane = Arc::new(Lane::default());
        (Arc::clone(&lane), Paced { job: Arc::clone(&job), lane, rate, of: Arc::clone(&of) })
    };
    let connections = worker.open(part, None, make).await;
    if worker.begin().await {
        let share = worker.share();
        of.store(share.of, Ordering::Relaxed);
        for (index, (lane, _)) in connections.iter().enumerate() {
            lane.number.store(share.first + index as u64, Ordering::Relaxed);
        }
        let send = async {
            if !connections.is_empty()
                && let Err(error) = send_at(rate, worker, plan, &job, share, &connections).await
            {
                job.post.error("timer_failed", || error.to_string());
            }
        };
        worker.unless_ending(send).await;
        let gauge = worker.gauge();
        worker.finish(|| gauge.open.get() == 0 || plan.messages.is_some()).await;
    }
    worker.close(connections.into_iter().map(|(_, handle)| handle)).await;
}

/// Sends the thread's messages when they are due, or as soon after that as there is room for them.
async fn send_at(
    rate: f64,
    worker: &Worker,
    plan: &Plan,
    job: &Job,
    share: Share,
    connections: &[(Arc<Lane>, Handle)],
) -> std::io::Result<()> {
    let timer = Timer::new()?;
    let (run, gauge) = (&worker.run, worker.gauge());
    let schedule = Schedule::new(run.begin(), rate);
    let total = plan.messages.unwrap_or(u64::MAX);
    for nth in 0.. {
        let number = share.number(nth);
        let due = schedule.due(number);
        if number >= total || due >= run.until() || gauge.open.get() == 0 {
            break;
        }
        let mut now = run.now();
        while now < due {
            timer.wait(Duration::from_nanos(due - now).min(LONGEST_WAIT)).await?;
            now = run.now();
            if due >= run.until() {
                return Ok(());
            }
        }
        let (lane, handle) = &connections[(nth % share.count) as usize];
        lane.sent.add(1);
        gauge.sent.add(1);
        if due >= run.from() {
            tally::with(|tally| tally.lateness.saturating_record(now - due));
        }
        match handle.send(job.message.clone()) {
            Ok(()) => {}
            // There is no room. The message waits with those behind it, as it would in an application, and is late by
            // that.
            Err(SendError::Full { .. }) => {
                let _ = handle.send_wait(job.message.clone()).await;
            }
            Err(_) => lane.not_sent(gauge, 1),
        }
        if nth % BURST == BURST - 1 {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// The handler of a connection whose messages are sent at fixed times.
struct Paced {
    job: Arc<Job>,
    lane: Arc<Lane>,
    rate: f64,
    /// The number of all connections.
    of: Arc<AtomicU64>,
}

impl Handler for Paced {
    /// The number of messages that were answered.
    type State = u64;

    fn on_open(&self, _ws: &mut Connection<'_>, handshake: Handshake) -> u64 {
        self.job.post.opened(&handshake);
        0
    }

    #[inline]
    fn on_message(&self, _ws: &mut Connection<'_>, answered: &mut u64, message: MessageRef<'_>) {
        if !self.job.is_answer(&message, *answered == 0) {
            return;
        }
        if *answered >= self.lane.sent.get() {
            return self.job.answers_to_nothing(1);
        }
        let post = &self.job.post;
        let now = post.run.now();
        // Answers come in the order of the messages, so the time when each was due can be computed.
        let number = number_on(self.lane.number.load(Ordering::Relaxed), *answered, self.of.load(Ordering::Relaxed));
        let due = Schedule::new(post.run.begin(), self.rate).due(number);
        *answered += 1;
        let gauge = post.gauge();
        gauge.answered.add(1);
        // A late answer to a measured message is counted too: it is what the measurement is for.
        if post.run.counts(due) {
            tally::with(|tally| tally.record(now.saturating_sub(due), 1, now));
        }
        if post.run.counts(now) {
            gauge.counted.add(1);
        }
    }

    fn on_close(&self, _ws: &mut Connection<'_>, answered: u64, closed: &Closed) {
        self.lane.close(self.job.post.gauge(), answered);
        self.job.post.closed(closed);
    }
}
