//! The record of a run: publications, subscribers and what they heard, on one counter of ticks.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// The place of an event among all events. Later ones are greater.
pub(crate) type Tick = u64;

/// The counter of a run.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn tick(&self) -> Tick {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// The record of a run.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) published: Vec<Published>,
    pub(crate) subscribers: Vec<Subscriber>,
    /// Nodes that were killed. Messages that they had not sent are lost with them.
    pub(crate) killed: HashSet<usize>,
    /// Whether nothing was broken.
    pub(crate) is_calm: bool,
    /// The time from which on nothing was broken any more, and all nodes were up.
    pub(crate) settled: Option<Tick>,
    /// Something that was broken and mended.
    pub(crate) events: Vec<(Tick, String)>,
}

/// A publication.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) node: usize,
    pub(crate) topic: usize,
    /// It grows with each publication of a node on a topic.
    pub(crate) number: u64,
    /// The tick before the call.
    pub(crate) began: Tick,
    pub(crate) result: Outcome,
}

/// The result of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Sent,
    Queued,
    Offline,
    Full,
}

/// A subscriber.
#[derive(Clone, Debug)]
pub(crate) struct Subscriber {
    pub(crate) node: usize,
    pub(crate) topic: usize,
    /// The tick after it was subscribed on its node.
    pub(crate) began: Tick,
    /// The tick after it was told that it is ready.
    pub(crate) ready: Option<Tick>,
    /// The tick before it ended.
    pub(crate) ended: Option<Tick>,
    pub(crate) heard: Vec<(Tick, Heard)>,
}

/// Something that a subscriber heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Message {
        node: usize,
        number: u64,
        /// Epoch and offset.
        position: Option<(u64, u64)>,
    },
    Gap,
}
