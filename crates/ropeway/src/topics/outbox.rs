//! Publications that wait for the engine, within bounds.
//!
//! While the engine is up, messages beyond the bound are refused: the newest are lost. While it is down, the bound is that
//! of [`OutboxLimits`], and the oldest make room for the newest. In both cases the topics that lost messages are noted, so
//! that other nodes can be told.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use ropeway_proto::Prepared;

use super::envelope::Envelope;
use crate::connection_id::ConnectionId;
use crate::engine::{History, Name, Outgoing};
use crate::topic::{Delivery, Table, Topic};

/// The most messages that wait while the engine is up, and the most bytes. A second at 16,000 messages a second.
const MOST_UP: OutboxLimits = OutboxLimits { messages: 16 * 1024, bytes: 16 << 20 };

/// The most messages that one call passes to the engine, and the most bytes.
pub(super) const BATCH: OutboxLimits = OutboxLimits { messages: 512, bytes: 1 << 20 };

/// The most topics whose losses are noted. Losses of others are only counted.
const MOST_LOST: usize = 4096;

/// The price of a message beside its bytes, for the bound on bytes.
const OVERHEAD: usize = 64;

/// The bounds of the messages that wait while an engine is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxLimits {
    /// The most messages.
    pub messages: usize,
    /// The most bytes. Each message counts for 64 more than its length, and for that of its topic's name.
    pub bytes: usize,
}

impl OutboxLimits {
    /// Nothing is kept while the engine is down.
    pub const OFF: Self = Self { messages: 0, bytes: 0 };
}

impl Default for OutboxLimits {
    /// 1,000 messages of 4 MiB in all.
    fn default() -> Self {
        Self { messages: 1000, bytes: 4 << 20 }
    }
}

/// A publication that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) outgoing: Outgoing,
    /// The number of the publication on this node.
    pub(super) number: u64,
    /// If this node's subscribers have not heard it, since the engine determines the order.
    pub(super) unheard: Option<Unheard>,
    pub(super) kind: Kind,
    /// With history: the topic is not forgotten while it waits, so that it knows which messages were heard before they come
    /// back from the engine.
    pub(super) topic: Option<Topic>,
}

/// A kind of publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    /// News of a loss.
    Loss,
    /// News of a member.
    Member,
}

/// A publication that this node's subscribers have not heard.
#[derive(Debug)]
pub(super) struct Unheard {
    pub(super) table: Arc<Table>,
    pub(super) message: Prepared,
    pub(super) except: Option<ConnectionId>,
    pub(super) key: Option<Arc<str>>,
}

/// Publications that wait for the engine.
#[derive(Debug)]
pub(super) struct Outbox {
    limits: OutboxLimits,
    is_up: bool,
    /// The number of messages at the front that are being sent.
    in_flight: usize,
    queue: VecDeque<Waiting>,
    bytes: usize,
    last_number: u64,
    /// Topics that lost messages since the last message on them.
    lost: HashSet<Name>,
    /// Whether a message was lost since [`Outbox::losses`].
    is_loss_new: bool,
    /// The number of messages that were lost.
    dropped: u64,
}

impl Outbox {
    pub(super) fn new(limits: OutboxLimits) -> Self {
        Self {
            limits,
            is_up: false,
            in_flight: 0,
            queue: VecDeque::new(),
            bytes: 0,
            last_number: 0,
            lost: HashSet::new(),
            is_loss_new: false,
            dropped: 0,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.is_up
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The number of the next publication.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Whether messages on the topic were lost since the last call.
    pub(super) fn take_loss(&mut self, topic: &Name) -> bool {
        !self.lost.is_empty() && self.lost.remove(topic)
    }

    /// Adds a message. Returns what happens to it.
    pub(super) fn push(&mut self, waiting: Waiting) -> Delivery {
        let cost = waiting.cost();
        if self.is_up {
            if self.queue.len() >= MOST_UP.messages || self.bytes + cost > MOST_UP.bytes {
                self.note_loss(waiting);
                return Delivery::Full;
            }
            let is_first = self.queue.is_empty();
            self.add(waiting);
            return if is_first { Delivery::Sent } else { Delivery::Queued };
        }
        self.add(waiting);
        self.keep_newest();
        Delivery::Offline
    }

    /// The next messages to send, in order. They stay here until [`Outbox::sent`].
    pub(super) fn next_batch(&mut self) -> Vec<Outgoing> {
        let mut bytes = 0;
        let batch = self.queue.iter().take(BATCH.messages).take_while(|waiting| {
            let is_first = bytes == 0;
            bytes += waiting.cost();
            is_first || bytes <= BATCH.bytes
        });
        let batch: Vec<_> = batch.map(|waiting| waiting.outgoing.clone()).collect();
        self.in_flight = batch.len();
        batch
    }

    /// Notes that the engine has the last batch.
    pub(super) fn sent(&mut self) {
        for _ in 0..std::mem::take(&mut self.in_flight) {
            self.remove_first();
        }
    }

    /// Notes that the engine has refused the last batch. Returns messages that this node's subscribers have not heard.
    pub(super) fn refused(&mut self) -> Vec<(u64, Unheard)> {
        let mut unheard = Vec::new();
        for _ in 0..std::mem::take(&mut self.in_flight) {
            let Some(mut waiting) = self.remove_first() else { break };
            unheard.extend(waiting.unheard.take().map(|unheard| (waiting.number, unheard)));
            self.note_loss(waiting);
        }
        unheard
    }

    /// Notes that the engine is up.
    pub(super) fn go_up(&mut self) {
        self.is_up = true;
        self.is_loss_new |= !self.lost.is_empty();
    }

    /// The topics that lost messages, if there are new losses since the last call.
    pub(super) fn losses(&mut self) -> Vec<Name> {
        if std::mem::take(&mut self.is_loss_new) { self.lost.iter().cloned().collect() } else { Vec::new() }
    }

    /// Notes that the engine is down. The batch in flight may or may not have reached it: it is sent again, and nodes that
    /// have it drop it. Returns messages that this node's subscribers have not heard.
    pub(super) fn go_down(&mut self) -> Vec<(u64, Unheard)> {
        self.is_up = false;
        self.in_flight = 0;
        let unheard = self.queue.iter_mut().filter_map(|waiting| {
            let unheard = waiting.unheard.take()?;
            Some((waiting.number, unheard))
        });
        let unheard = unheard.collect();
        self.keep_newest();
        unheard
    }

    /// Keeps no topics any more. They are to be dropped without the lock.
    pub(super) fn let_go(&mut self) -> Vec<Topic> {
        self.queue.iter_mut().filter_map(|waiting| waiting.topic.take()).collect()
    }

    /// Puts news of a loss before all that waits, as the oldest messages are lost while the engine is down.
    pub(super) fn push_first(&mut self, waiting: Waiting) {
        self.bytes += waiting.cost();
        self.queue.push_front(waiting);
    }

    fn add(&mut self, waiting: Waiting) {
        self.bytes += waiting.cost();
        self.queue.push_back(waiting);
    }

    fn remove_first(&mut self) -> Option<Waiting> {
        let waiting = self.queue.pop_front()?;
        self.bytes -= waiting.cost();
        Some(waiting)
    }

    fn keep_newest(&mut self) {
        while self.queue.len() > self.limits.messages || self.bytes > self.limits.bytes {
            let Some(oldest) = self.remove_first() else { break };
            self.note_loss(oldest);
        }
    }

    fn note_loss(&mut self, waiting: Waiting) {
        match waiting.kind {
            Kind::Message => {
                self.dropped += 1;
                self.is_loss_new = true;
            }
            // It goes with the topic's next message: else a refusal would cause the next one.
            Kind::Loss => {}
            // The engine is asked for members.
            Kind::Member => return,
        }
        if self.lost.len() < MOST_LOST {
            self.lost.insert(waiting.outgoing.topic);
        }
    }
}

impl Waiting {
    /// News of this node for the others, which no subscriber hears.
    pub(super) fn news(kind: Kind, topic: &Name, envelope: &Envelope, history: Option<History>) -> Self {
        let outgoing = Outgoing { topic: topic.clone(), body: envelope.encode(), history };
        Self { outgoing, number: envelope.number, unheard: None, kind, topic: None }
    }

    fn cost(&self) -> usize {
        self.outgoing.body.len() + self.outgoing.topic.len() + OVERHEAD
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn waiting(number: u64, length: usize) -> Waiting {
        let topic = Name::new("topic").expect("a short name");
        let outgoing = Outgoing { topic, body: Bytes::from(vec![number as u8; length]), history: None };
        Waiting { outgoing, number, unheard: None, kind: Kind::Message, topic: None }
    }

    fn numbers(batch: &[Outgoing]) -> Vec<u8> {
        batch.iter().map(|outgoing| outgoing.body[0]).collect()
    }

    #[test]
    fn offline_the_newest_are_kept() {
        let mut outbox = Outbox::new(OutboxLimits { messages: 3, bytes: 1000 });
        for number in 1..=5 {
            assert_eq!(outbox.push(waiting(number, 10)), Delivery::Offline);
        }
        assert_eq!((numbers(&outbox.next_batch()), outbox.dropped()), (vec![3, 4, 5], 2));
        assert_eq!(outbox.push(waiting(6, 800)), Delivery::Offline);
        assert_eq!((numbers(&outbox.next_batch()), outbox.dropped()), (vec![5, 6], 4));
        assert_eq!(outbox.push(waiting(7, 2000)), Delivery::Offline);
        assert_eq!((numbers(&outbox.next_batch()), outbox.dropped()), (vec![], 7), "it is larger than all that fits");
        outbox.go_up();
        assert_eq!((outbox.losses().len(), outbox.losses().len()), (1, 0));
        assert_eq!(outbox.bytes, 0);
    }

    #[test]
    fn without_an_outbox_nothing_is_kept() {
        let mut outbox = Outbox::new(OutboxLimits::OFF);
        assert_eq!(outbox.push(waiting(1, 0)), Delivery::Offline);
        assert_eq!((outbox.next_batch().len(), outbox.dropped()), (0, 1));
    }

    #[test]
    fn a_batch_that_is_not_confirmed_is_sent_again() {
        let mut outbox = Outbox::new(OutboxLimits::default());
        outbox.go_up();
        assert_eq!(outbox.push(waiting(1, 1)), Delivery::Sent);
        assert_eq!(outbox.push(waiting(2, 1)), Delivery::Queued);
        assert_eq!(numbers(&outbox.next_batch()), [1, 2]);
        assert_eq!(outbox.push(waiting(3, 1)), Delivery::Queued);
        outbox.go_down();
        outbox.go_up();
        assert_eq!(numbers(&outbox.next_batch()), [1, 2, 3]);
        outbox.sent();
        assert_eq!((outbox.next_batch().len(), outbox.bytes, outbox.dropped()), (0, 0, 0));
    }

    #[test]
    fn while_the_engine_is_slow_the_queue_is_bounded() {
        let mut outbox = Outbox::new(OutboxLimits::default());
        outbox.go_up();
        let taken = (0..100).take_while(|number| outbox.push(waiting(*number, 1 << 20)) != Delivery::Full).count();
        assert_eq!(taken, 15);
        assert_eq!(outbox.next_batch().len(), 1, "one message may be larger than a batch");
        let name = Name::new("topic").expect("a short name");
        assert!(outbox.take_loss(&name) && !outbox.take_loss(&name));
        outbox.refused();
        assert_eq!(outbox.dropped(), 2);
        outbox.go_down();
        assert_eq!(outbox.dropped(), 2 + 11, "4 MiB are kept");
    }
}
