//! `bench fanout`: messages that the server sends to everyone. Each carries the time when it was published, so every
//! delivery shows how long it took.

use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ropeway::{Closed, Connection, Handle, Handler, Handshake, Message, MessageRef, ReadyState, SendError};

use super::mode::{Ending, Failure, Mode};
use crate::bench::args::{self, Common, Shape};
use crate::bench::measure::Unit;
use crate::bench::measure::conduct::{Outcome, Terms};
use crate::bench::measure::pace::Schedule;
use crate::bench::measure::payload;
use crate::bench::measure::run::{Count, Run};
use crate::bench::measure::tally;
use crate::bench::measure::timer::{LONGEST_WAIT, Timer};
use crate::bench::measure::worker::{Post, Worker};
use crate::bench::show::report::Report;

/// The pause between the last opening and the first message: the server may still be subscribing the last connection.
const SUBSCRIBING: Duration = Duration::from_millis(100);

/// The work and its progress, shared by all threads.
pub(super) struct Stage {
    subscribers: usize,
    is_text: bool,
    pace: Pace,
    /// The most messages that are published.
    messages: u64,
    payload: String,
    /// The URL of the subscribers, if it is not the publisher's.
    hear_at: Option<Arc<str>>,
    publisher: OnceLock<Handle>,
    is_publisher_lost: AtomicBool,
    /// The number of messages that were published.
    published: AtomicU64,
    /// For each thread, the number of messages that were delivered to all its connections.
    delivered: Box<[AtomicU64]>,
}

/// The rule for when messages are published.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// As soon as fewer than this number of messages are on their way.
    Depth(u64),
    /// This many a second.
    Rate(f64),
}

impl Stage {
    fn new(
        subscribers: usize,
        (size, is_text): (usize, bool),
        pace: Pace,
        messages: Option<u64>,
        threads: usize,
    ) -> Self {
        Self {
            subscribers,
            is_text,
            pace,
            messages: messages.unwrap_or(u64::MAX),
            payload: payload::text(size),
            hear_at: None,
            publisher: OnceLock::new(),
            is_publisher_lost: AtomicBool::new(false),
            published: AtomicU64::new(0),
            delivered: (0..threads).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Whether the connection that publishes ended before the run did.
    fn is_publisher_lost(&self) -> bool {
        self.is_publisher_lost.load(Ordering::Relaxed)
    }

    /// Publishes a message that carries this time. Returns `false` if nothing more is to be published, or can be.
    fn publish(&self, run: &Run, time: u64) -> bool {
        let is_over = time >= run.until();
        let claim = self.published.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |published| {
            (!is_over && published < self.messages).then_some(published + 1)
        });
        if claim.is_err() {
            return false;
        }
        let message = stamped(&self.payload, time, self.is_text);
        // If there is no room for the message, it counts as published all the same, and is missing at every subscriber.
        // The end of the publisher's connection is reported elsewhere.
        let publisher = self.publisher.get();
        publisher.is_some_and(|publisher| !matches!(publisher.send(message), Err(SendError::NotOpen(_))))
    }

    /// Publishes as many messages as may be on their way.
    fn publish_more(&self, run: &Run, now: u64) {
        let Pace::Depth(depth) = self.pace else { return };
        loop {
            let delivered = self.delivered.iter().map(|delivered| delivered.load(Ordering::SeqCst)).min().unwrap_or(0);
            if self.published.load(Ordering::SeqCst) >= delivered + depth || !self.publish(run, now) {
                return;
            }
        }
    }
}

/// The number of bytes in a message for the time when it was published.
fn stamp_length(is_text: bool) -> usize {
    // Text carries it in hexadecimal digits, since arbitrary bytes would not be UTF-8.
    if is_text { 16 } else { 8 }
}

/// The payload with a time at its beginning.
fn stamped(payload: &str, time: u64, is_text: bool) -> Message {
    let rest = &payload[stamp_length(is_text)..];
    if is_text {
        format!("{time:016x}{rest}").into()
    } else {
        let mut bytes = Vec::with_capacity(payload.len());
        bytes.extend_from_slice(&time.to_le_bytes());
        bytes.extend_from_slice(rest.as_bytes());
        bytes.into()
    }
}

/// The time that a message carries.
#[inline]
fn stamp(message: &MessageRef<'_>) -> Option<u64> {
    match message.as_text() {
        Some(text) => u64::from_str_radix(text.get(..16)?, 16).ok(),
        None => Some(u64::from_le_bytes(*message.as_bytes().first_chunk()?)),
    }
}

impl Mode for args::Fanout {
    const NAME: &'static str = "fanout";
    const UNIT: Unit = Unit::Deliveries;

    type Plan = Arc<Stage>;

    fn common(&self) -> &Common {
        &self.common
    }

    fn connections(&self) -> Option<u64> {
        // The publisher is one more connection.
        Some(self.conns.get() as u64 + 1)
    }

    fn shape(&self) -> Option<&Shape> {
        Some(&self.shape)
    }

    fn span(&self) -> (Duration, Option<Duration>) {
        self.span.time.unless_counted(self.span.messages.map(NonZero::get))
    }

    fn in_flight(&self) -> usize {
        self.shape.size.saturating_mul(self.depth.get() as usize)
    }

    fn plan(&self, terms: &Terms) -> Result<Arc<Stage>, Failure> {
        let least = stamp_length(self.shape.text);
        if self.shape.size < least {
            return Err(Failure::Usage(format!("each message carries its time: --size has to be {least} at least")));
        }
        let pace = self.rate.map_or(Pace::Depth(self.depth.get()), Pace::Rate);
        let shape = (self.shape.size, self.shape.text);
        let messages = self.span.messages.map(NonZero::get);
        let mut stage = Stage::new(self.conns.get(), shape, pace, messages, terms.threads);
        if let Some(hear_at) = &self.hear_at {
            if hear_at.target.is_secure() != self.common.dial.url.target.is_secure() {
                return Err(Failure::Usage("both URLs have to be ws://, or both wss://".to_owned()));
            }
            stage.hear_at = Some(hear_at.given.as_str().into());
        }
        Ok(Arc::new(stage))
    }

    async fn work(worker: Worker, stage: &Arc<Stage>) {
        let crowd = Arc::new(Crowd::default());
        let post = worker.post();
        let make = || ((), Subscriber { post: post.clone(), stage: Arc::clone(stage), crowd: Arc::clone(&crowd) });
        let is_first = worker.index == 0;
        // The publisher is one more connection.
        let (mut connections, publishers) = (Vec::new(), usize::from(is_first));
        let subscribers = worker.part(stage.subscribers);
        if let Some(hear_at) = &stage.hear_at {
            connections.extend(worker.open(publishers, None, make).await);
            if connections.len() == publishers {
                connections.extend(worker.open_at(hear_at, subscribers, None, make).await);
            }
        } else {
            connections.extend(worker.open(subscribers + publishers, None, make).await);
        }
        if is_first && let Some(((), publisher)) = connections.first() {
            // Only this thread sets it.
            let _ = stage.publisher.set(publisher.clone());
        }
        if worker.begin().await {
            if worker.gauge().open.get() == 0 {
                // A thread without connections must not hold up the others.
                stage.delivered[worker.index].store(u64::MAX / 2, Ordering::SeqCst);
            }
            if is_first {
                tokio::time::sleep(SUBSCRIBING).await;
                match stage.pace {
                    Pace::Depth(_) => stage.publish_more(&worker.run, worker.run.now()),
                    Pace::Rate(rate) => {
                        let publish = async {
                            if let Err(error) = publish_at(rate, &worker, stage).await {
                                post.error("timer_failed", || error.to_string());
                            }
                        };
                        worker.unless_ending(publish).await;
                    }
                }
            }
            let gauge = worker.gauge();
            let expected = || stage.published.load(Ordering::SeqCst) * gauge.opened.get();
            let is_done = || {
                gauge.open.get() == 0
                    || (stage.published.load(Ordering::SeqCst) == stage.messages && gauge.is_settled())
            };
            worker
                .finish(|| {
                    gauge.sent.set(expected());
                    is_done()
                })
                .await;
            gauge.sent.set(expected());
            if is_first {
                let is_open = |publisher: &Handle| publisher.ready_state() == ReadyState::Open;
                stage.is_publisher_lost.store(!stage.publisher.get().is_some_and(is_open), Ordering::Relaxed);
            }
        }
        worker.close(connections.into_iter().map(|((), handle)| handle)).await;
    }

    fn complete(&self, stage: &Arc<Stage>, outcome: &Outcome, report: &mut Report) -> Ending {
        report.settings.hear_at = self.hear_at.as_ref().map(|url| url.target.to_string());
        report.settings.window = self.rate.is_none().then_some(self.depth.get());
        report.rate_per_s.asked = self.rate.map(|rate| rate * outcome.opened as f64);
        let is_complete = self.span.messages.is_some() && report.drops == 0;
        let only_the_publisher = outcome.opened > 1
            && outcome.tally.dropped == 0
            && outcome.answered > 0
            && outcome.answered * outcome.opened == outcome.sent;
        let trouble = if only_the_publisher {
            Some(match self.hear_at {
                Some(_) => {
                    "only the publisher gets what it publishes: do the servers share a broker, and are the paths the same?"
                }
                None => "only the publisher gets what it publishes: is it the right path?",
            })
        } else if stage.is_publisher_lost() && !is_complete && outcome.open_at_end > 0 {
            Some("the connection that publishes ended before the run did; the figures are of the time until then")
        } else {
            None
        };
        Ending { is_complete, trouble: trouble.map(str::to_owned) }
    }
}

/// Publishes messages when they are due.
async fn publish_at(rate: f64, worker: &Worker, stage: &Stage) -> io::Result<()> {
    let timer = Timer::new()?;
    let run = &worker.run;
    let schedule = Schedule::new(run.now(), rate);
    for number in 0.. {
        let due = schedule.due(number);
        let mut now = run.now();
        while now < due && due < run.until() {
            timer.wait(Duration::from_nanos(due - now).min(LONGEST_WAIT)).await?;
            now = run.now();
        }
        if !stage.publish(run, due) {
            break;
        }
        if due >= run.from() {
            tally::with(|tally| tally.lateness.saturating_record(now.saturating_sub(due)));
        }
        // Deliveries get their turn even if publishing is behind.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// The connections of a thread.
#[derive(Default)]
struct Crowd {
    /// Deliveries to connections that are open.
    deliveries: Count,
    /// The number of messages that were delivered to all connections.
    delivered: Count,
}

/// The handler of a connection that gets the published messages.
struct Subscriber {
    post: Post,
    stage: Arc<Stage>,
    crowd: Arc<Crowd>,
}

impl Subscriber {
    /// Called after a delivery, or after the end of a connection: publishes the next message if that is possible now.
    #[inline]
    fn note(&self, now: u64) {
        let (crowd, open) = (&*self.crowd, self.post.gauge().open.get());
        let delivered = crowd.delivered.get();
        if open == 0 || crowd.deliveries.get() >= open * (delivered + 1) {
            self.note_delivered(now);
        }
    }

    fn note_delivered(&self, now: u64) {
        let (crowd, open) = (&*self.crowd, self.post.gauge().open.get());
        // A thread without connections must not hold up the others.
        let delivered = crowd.deliveries.get().checked_div(open).unwrap_or(u64::MAX / 2);
        crowd.delivered.set(delivered);
        self.stage.delivered[self.post.index()].store(delivered, Ordering::SeqCst);
        self.stage.publish_more(&self.post.run, now);
    }
}

impl Handler for Subscriber {
    /// The number of messages that were delivered.
    type State = u64;

    fn on_open(&self, _ws: &mut Connection<'_>, handshake: Handshake) -> u64 {
        self.post.opened(&handshake);
        0
    }

    #[inline]
    fn on_message(&self, _ws: &mut Connection<'_>, delivered: &mut u64, message: MessageRef<'_>) {
        let post = &self.post;
        let now = post.run.now();
        let stamp = stamp(&message).filter(|time| *time <= now && message.len() == self.stage.payload.len());
        let Some(published) = stamp else {
            post.error("unexpected_message", || format!("a message of {} bytes was never published", message.len()));
            return;
        };
        *delivered += 1;
        self.crowd.deliveries.add(1);
        let gauge = post.gauge();
        gauge.answered.add(1);
        if post.run.counts(published) {
            tally::with(|tally| tally.record(now - published, 1, now));
        }
        if post.run.counts(now) {
            gauge.counted.add(1);
        }
        self.note(now);
    }

    fn on_close(&self, _ws: &mut Connection<'_>, delivered: u64, closed: &Closed) {
        let deliveries = &self.crowd.deliveries;
        deliveries.set(deliveries.get() - delivered);
        self.post.closed(closed);
        self.note(self.post.run.now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_carries_its_time_whatever_its_type() {
        for is_text in [false, true] {
            for time in [0, 1, 1_234_567_890_123, u64::MAX] {
                let message = stamped(&payload::text(40), time, is_text);
                assert_eq!((message.len(), message.is_text()), (40, is_text));
                assert_eq!(stamp(&MessageRef::from(&message)), Some(time));
            }
        }
    }

    #[test]
    fn a_message_without_a_time_is_reported() {
        for message in [
            Message::from("hello"),
            Message::from("zzzzzzzzzzzzzzzzzz"),
            Message::from("ääääääääääääääää"),
            Message::from(b"1234567"),
        ] {
            assert_eq!(stamp(&MessageRef::from(&message)), None, "{message}");
        }
    }
}
