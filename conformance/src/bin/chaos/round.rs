//! A round: a random schedule of publications and failures, then calm, then the model.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use testkit::broker::Broker;
use testkit::link::State;
use tokio::task::block_in_place;
use tokio::time::sleep;

use crate::Kind;
use crate::model::{self, Violation};
use crate::node::{Node, TOPICS};
use crate::record::{Clock, Heard, Outcome, Record};

/// The nodes that publish and hear at any time.
const NODES: usize = 3;

/// The steps of a round. A step takes some ten milliseconds.
const STEPS: usize = 900;

/// The longest wait for nodes to be up, and for the last messages.
const SETTLE: Duration = Duration::from_secs(60);

/// A schedule under way.
struct Round {
    kind: Kind,
    random: Rng,
    clock: Arc<Clock>,
    broker: Broker,
    nodes: Vec<Node>,
    started: usize,
    record: Record,
    /// The broken part, and the step at which it is mended.
    broken: Vec<(usize, Broken)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Stopped,
    Killed,
    Link(usize),
}

/// Runs the round of a seed. Returns its summary, and what broke the contract.
pub(crate) async fn run(kind: Kind, seed: u64, is_calm: bool) -> (String, Vec<String>) {
    let began = Instant::now();
    let mut round = Round {
        kind,
        random: Rng::with_seed(seed),
        clock: Arc::default(),
        broker: block_in_place(|| Broker::start(kind.broker())),
        nodes: Vec::new(),
        started: 0,
        record: Record { is_calm, ..Record::default() },
        broken: Vec::new(),
    };
    for _ in 0..NODES {
        round.start_node().await;
    }
    if is_calm {
        round.wait_until_up().await;
    }
    for step in 0..STEPS {
        round.mend(Some(step));
        round.step(step).await;
    }
    round.settle().await;
    let Round { nodes, mut record, .. } = round;
    let dropped: u64 = nodes.iter().map(Node::dropped).sum();
    for node in nodes {
        record.subscribers.extend(node.end(None).await);
    }
    let violations = model::check(&record);
    let texts = violations.iter().map(|violation| describe(&record, violation)).collect();
    let mut text = summary(&record);
    let _ =
        write!(text, ", {dropped} dropped, {} violations, {:.0} s", violations.len(), began.elapsed().as_secs_f64());
    (text, texts)
}

impl Round {
    async fn start_node(&mut self) {
        let kind = self.kind;
        let mut node = match kind {
            Kind::Nats => Node::start(self.started, self.broker.port(), &self.clock, crate::nats).await,
            Kind::Redis => Node::start(self.started, self.broker.port(), &self.clock, crate::redis).await,
        };
        self.started += 1;
        for topic in 0..TOPICS {
            node.subscribe(topic);
        }
        self.nodes.push(node);
    }

    fn note(&mut self, text: String) {
        self.record.events.push((self.clock.tick(), text));
    }

    async fn step(&mut self, step: usize) {
        let node = self.random.usize(..self.nodes.len());
        let chance = self.random.u32(..1000);
        match chance {
            0..800 => {
                let (topic, count) = (self.random.usize(..TOPICS), self.random.usize(1..30));
                for _ in 0..count {
                    let padding = self.random.usize(..200);
                    let published = self.nodes[node].publish(topic, padding);
                    self.record.published.push(published);
                }
            }
            800..870 => {
                let topic = self.random.usize(..TOPICS);
                self.nodes[node].subscribe(topic);
            }
            870..940 if self.nodes[node].listeners() > TOPICS => {
                let index = self.random.usize(..self.nodes[node].listeners());
                let subscriber = self.nodes[node].unsubscribe(index).await;
                self.record.subscribers.push(subscriber);
            }
            _ if chance >= 970 && !self.record.is_calm => self.fail(step, node).await,
            _ => {}
        }
        let pause = self.random.u64(..25);
        sleep(Duration::from_millis(pause)).await;
    }

    async fn fail(&mut self, step: usize, node: usize) {
        let until = step + self.random.usize(10..150);
        let is_broker_broken = self.broken.iter().any(|(_, broken)| !matches!(broken, Broken::Link(_)));
        match self.random.u32(..10) {
            0 if !is_broker_broken => {
                self.note("the broker is stopped".to_owned());
                self.broker.stop();
                self.broken.push((until, Broken::Stopped));
            }
            1 if !is_broker_broken => {
                self.note("the broker is killed".to_owned());
                block_in_place(|| self.broker.kill());
                self.broken.push((until, Broken::Killed));
            }
            2 if !is_broker_broken => {
                self.note("the broker is restarted with its data".to_owned());
                block_in_place(|| self.broker.restart());
            }
            3 if !is_broker_broken => {
                self.note("the broker is restarted without its data".to_owned());
                block_in_place(|| self.broker.restart_empty());
            }
            4 => {
                let ended = self.clock.tick();
                let gone = self.nodes.remove(node);
                self.note(format!("node {} is killed, and node {} starts", gone.index, self.started));
                self.record.killed.insert(gone.index);
                let index = gone.index;
                self.broken.retain(|(_, broken)| *broken != Broken::Link(index));
                self.record.subscribers.extend(gone.end(Some(ended)).await);
                self.start_node().await;
            }
            _ => {
                let index = self.nodes[node].index;
                if self.broken.iter().any(|(_, broken)| *broken == Broken::Link(index)) {
                    return;
                }
                let slow = State::Slow(Duration::from_millis(self.random.u64(1..60)));
                let state = [State::Cut, State::Cut, State::Held, State::Deaf, slow][self.random.usize(..5)];
                self.note(format!("the link of node {index} is {state:?}"));
                self.nodes[node].link.set(state);
                self.broken.push((until, Broken::Link(index)));
            }
        }
    }

    /// Mends all whose time has come, or all there is.
    fn mend(&mut self, step: Option<usize>) {
        let (due, rest) = self.broken.drain(..).partition(|(until, _)| step.is_none_or(|step| *until <= step));
        self.broken = rest;
        let due: Vec<(usize, Broken)> = due;
        for (_, broken) in due {
            match broken {
                Broken::Stopped => {
                    self.broker.go_on();
                    self.note("the broker goes on".to_owned());
                }
                Broken::Killed => {
                    block_in_place(|| self.broker.restart());
                    self.note("the broker is started with its data".to_owned());
                }
                Broken::Link(index) => {
                    if let Some(node) = self.nodes.iter().find(|node| node.index == index) {
                        // Bytes that it holds up would come long after their time. A real network resends for a while.
                        node.link.set(State::Open);
                    }
                    self.note(format!("the link of node {index} is open"));
                }
            }
        }
    }

    async fn wait_until_up(&mut self) {
        let began = Instant::now();
        let mut up_for = 0;
        // A session with a broker that was stopped may still end, so it must be up for a while.
        while up_for < 40 {
            sleep(Duration::from_millis(100)).await;
            up_for = if self.nodes.iter().all(Node::is_up) { up_for + 1 } else { 0 };
            if began.elapsed() > SETTLE {
                self.note("some nodes are not up in time".to_owned());
                return;
            }
        }
    }

    /// Mends all, and publishes last messages that all must hear.
    async fn settle(&mut self) {
        self.mend(None);
        self.wait_until_up().await;
        let settled = self.clock.tick();
        self.record.settled = Some(settled);
        self.note("all is mended".to_owned());
        let mut last = HashMap::new();
        for _ in 0..3 {
            for topic in 0..TOPICS {
                for node in &mut self.nodes {
                    let published = node.publish(topic, 0);
                    last.insert((node.index, topic), published.number);
                    self.record.published.push(published);
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
        let began = Instant::now();
        while !self.nodes.iter().all(|node| node.has_heard(&last)) && began.elapsed() < SETTLE / 3 {
            sleep(Duration::from_millis(50)).await;
        }
        // Doubles would come now.
        sleep(Duration::from_millis(300)).await;
    }
}

fn summary(record: &Record) -> String {
    let count = |result| record.published.iter().filter(|published| published.result == result).count();
    let heard = record.subscribers.iter().flat_map(|subscriber| &subscriber.heard);
    let gaps = heard.clone().filter(|(_, heard)| *heard == Heard::Gap).count();
    format!(
        "{} published ({} offline, {} full), {} heard by {} subscribers, {gaps} gaps, {} failures and mends",
        record.published.len(),
        count(Outcome::Offline),
        count(Outcome::Full),
        heard.count() - gaps,
        record.subscribers.len(),
        record.events.len(),
    )
}

/// A violation with its surroundings.
fn describe(record: &Record, violation: &Violation) -> String {
    let Violation { sentence, subscriber: index, tick, text } = violation;
    let subscriber = &record.subscribers[*index];
    let (node, topic, ready) = (subscriber.node, subscriber.topic, subscriber.ready);
    let mut lines = format!(
        "VIOLATION of \"{sentence}\" at tick {tick}\n  subscriber on node {node}, topic {topic}, ready at {ready:?}: {text}"
    );
    let at = subscriber.heard.partition_point(|(heard, _)| heard < tick);
    for (tick, heard) in &subscriber.heard[at.saturating_sub(6)..(at + 12).min(subscriber.heard.len())] {
        let _ = write!(lines, "\n    {tick}: {heard:?}");
    }
    let at = record.events.partition_point(|(event, _)| event < tick);
    for (tick, event) in &record.events[at.saturating_sub(8)..(at + 6).min(record.events.len())] {
        let _ = write!(lines, "\n    {tick}: {event}");
    }
    lines
}
