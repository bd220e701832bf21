//! Messages of topics that wait beside a connection's queue, until there is room in it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use ropeway_proto::Prepared;

use crate::overflow::Overflow;
use crate::topic::Post;

/// The bytes that a message that waits counts for besides its payload: those of its places in the lists.
const COST: usize = 128;

/// The messages that wait for one connection. A topic whose policy lets messages wait is in one of two states here:
///
/// ```text
///               no room
///   Direct ─────────────────► Waiting ◄──┐ another message: it waits too, and the one that it replaces,
///     ▲                        │  │  └───┘ or the oldest one above a bound, is dropped and counted
///     │  room: the last        │  │
///     └── that waits is sent ──┘  └── the connection closes: all are dropped and counted
/// ```
///
/// Messages are sent in the order in which they began to wait. One that replaces another takes its place: a key whose
/// value changes all the time is sent as often as any other.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// By place. Places are given in order.
    messages: BTreeMap<u64, Message>,
    /// The topics that have messages here, by number.
    topics: HashMap<u64, OfTopic>,
    next: u64,
    /// The payload bytes of all messages, and their [`COST`].
    cost: usize,
}

#[derive(Debug)]
struct Message {
    topic: u64,
    key: Option<Arc<str>>,
    prepared: Prepared,
}

/// The messages of one topic.
#[derive(Debug, Default)]
struct OfTopic {
    places: VecDeque<u64>,
    /// The places by key, if the topic is conflated.
    keys: HashMap<Option<Arc<str>>, u64>,
    bytes: usize,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether messages of the topic of this number wait.
    pub(super) fn has(&self, topic: u64) -> bool {
        self.topics.contains_key(&topic)
    }

    /// Adds a message. All messages that wait cost at most `most`, unless there is only one. Returns those that are
    /// dropped for it, which may be the message itself. They are to be dropped when no lock is held.
    pub(super) fn add(&mut self, post: &Post<'_>, overflow: Overflow, most: usize) -> Vec<Prepared> {
        let mut dropped = Vec::new();
        let of_topic = self.topics.entry(post.topic).or_default();
        let key = post.key.cloned();
        let replaces = if overflow == Overflow::Conflate { of_topic.keys.get(&key).copied() } else { None };
        let place = replaces.unwrap_or(self.next);
        if replaces.is_none() {
            self.next += 1;
            of_topic.places.push_back(place);
            self.cost += COST;
            if overflow == Overflow::Conflate {
                of_topic.keys.insert(key.clone(), place);
            }
        }
        of_topic.bytes += post.len();
        self.cost += post.len();
        let message = Message { topic: post.topic, key, prepared: post.message.clone() };
        if let Some(replaced) = self.messages.insert(place, message) {
            let length = replaced.prepared.message().len();
            of_topic.bytes -= length;
            self.cost -= length;
            dropped.push(replaced.prepared);
        }
        while let Some(oldest) = self.above_a_bound(post, place, most) {
            dropped.extend(self.take(oldest));
        }
        dropped
    }

    /// If too much waits since a message was added at this place, returns the place of the message to drop: the oldest
    /// other one of the topic.
    fn above_a_bound(&self, post: &Post<'_>, added: u64, most: usize) -> Option<u64> {
        let of_topic = self.topics.get(&post.topic)?;
        let (count, settings) = (of_topic.places.len(), &post.settings);
        let is_above_all = self.cost > most && self.messages.len() > 1;
        let is_above =
            count > 1 && (count > settings.max_waiting.max(1) || of_topic.bytes > settings.max_waiting_bytes);
        if !is_above && !is_above_all {
            return None;
        }
        of_topic.places.iter().copied().find(|place| *place != added).or(Some(added))
    }

    /// Takes the message that has waited longest.
    pub(super) fn take_first(&mut self) -> Option<Prepared> {
        let place = *self.messages.first_key_value()?.0;
        self.take(place)
    }

    fn take(&mut self, place: u64) -> Option<Prepared> {
        let message = self.messages.remove(&place)?;
        let length = message.prepared.message().len();
        self.cost -= length + COST;
        if let Some(of_topic) = self.topics.get_mut(&message.topic) {
            of_topic.bytes -= length;
            // At most one place is in front of it: that of a message which has just been replaced.
            if let Some(index) = of_topic.places.iter().position(|known| *known == place) {
                of_topic.places.remove(index);
            }
            if of_topic.keys.get(&message.key) == Some(&place) {
                of_topic.keys.remove(&message.key);
            }
            if of_topic.places.is_empty() {
                self.topics.remove(&message.topic);
            }
        }
        Some(message.prepared)
    }
}

#[cfg(all(test, not(ropeway_loom)))]
mod tests {
    use super::*;
    use crate::overflow::TopicSettings;

    const KEYS: [&str; 3] = ["a", "b", "c"];

    /// Adds a message. Returns how many are dropped for it.
    fn add(waiting: &mut Waiting, topic: u64, key: Option<&str>, text: &str, settings: TopicSettings) -> usize {
        let (message, key) = (Prepared::from(text.to_owned()), key.map(Arc::from));
        let post = Post { message: &message, key: key.as_ref(), topic, settings };
        let overflow = post.overflow(Overflow::DropOldest);
        waiting.add(&post, overflow, 10 * COST).len()
    }

    fn take_all(waiting: &mut Waiting) -> Vec<String> {
        let texts = std::iter::from_fn(|| waiting.take_first()).map(|message| message.message().to_string()).collect();
        assert!(waiting.is_empty() && waiting.topics.is_empty() && waiting.cost == 0, "{waiting:?}");
        texts
    }

    #[test]
    fn the_oldest_of_a_topic_is_dropped_above_its_count_and_above_its_bytes() {
        let mut waiting = Waiting::default();
        let three = TopicSettings::default().max_waiting(3);
        let dropped = ["1", "2", "3", "4", "5"].map(|text| add(&mut waiting, 0, None, text, three));
        assert_eq!(dropped, [0, 0, 0, 1, 1]);
        assert_eq!(add(&mut waiting, 1, None, "another topic", three), 0);
        assert_eq!(take_all(&mut waiting), ["3", "4", "5", "another topic"]);

        let eight_bytes = TopicSettings::default().max_waiting_bytes(8);
        let dropped = ["1234", "5678", "9", "a message above the bound", "b"];
        let dropped = dropped.map(|text| add(&mut waiting, 0, None, text, eight_bytes));
        assert_eq!(dropped, [0, 0, 1, 2, 1]);
        assert_eq!(take_all(&mut waiting), ["b"]);

        let none = TopicSettings::default().max_waiting(0);
        assert_eq!(["1", "2"].map(|text| add(&mut waiting, 0, None, text, none)), [0, 1]);
        assert_eq!(take_all(&mut waiting), ["2"]);
    }

    #[test]
    fn the_latest_of_each_key_waits_in_the_place_of_the_first() {
        let mut waiting = Waiting::default();
        let conflate = TopicSettings::default().overflow(Overflow::Conflate);
        let mut dropped = 0;
        for round in 0..100 {
            for key in KEYS {
                dropped += add(&mut waiting, 0, Some(key), &format!("{key}{round}"), conflate);
            }
            dropped += add(&mut waiting, 0, None, &format!("no key {round}"), conflate);
            dropped += add(&mut waiting, 1, Some("a"), &format!("another topic {round}"), conflate);
        }
        assert_eq!(dropped, 99 * 5);
        assert_eq!(take_all(&mut waiting), ["a99", "b99", "c99", "no key 99", "another topic 99"]);

        // A key that was sent waits behind the others when it comes again.
        for key in KEYS {
            add(&mut waiting, 0, Some(key), key, conflate);
        }
        assert_eq!(waiting.take_first().map(|message| message.message().to_string()).as_deref(), Some("a"));
        add(&mut waiting, 0, Some("a"), "a again", conflate);
        assert_eq!(take_all(&mut waiting), ["b", "c", "a again"]);
    }

    #[test]
    fn keys_above_the_bound_are_dropped_from_the_oldest_on_and_a_new_value_is_never_dropped_for_itself() {
        let mut waiting = Waiting::default();
        let two = TopicSettings::default().overflow(Overflow::Conflate).max_waiting(2).max_waiting_bytes(8);
        let dropped = KEYS.map(|key| add(&mut waiting, 0, Some(key), key, two));
        assert_eq!(dropped, [0, 0, 1]);
        // Its new value is longer, so the other key has to go although it came later.
        assert_eq!(add(&mut waiting, 0, Some("b"), "a longer one", two), 2);
        assert_eq!(take_all(&mut waiting), ["a longer one"]);
    }

    #[test]
    fn what_all_topics_have_waiting_is_bounded_however_many_there_are() {
        let mut waiting = Waiting::default();
        let dropped: usize = (0..1000).map(|topic| add(&mut waiting, topic, None, "", TopicSettings::default())).sum();
        assert_eq!((dropped, waiting.len()), (990, 10));
        // A topic that has messages here loses its own oldest one, and not another's.
        assert_eq!(add(&mut waiting, 9, None, "", TopicSettings::default()), 1);
        assert_eq!((waiting.len(), waiting.has(9)), (10, true));
        assert_eq!(take_all(&mut waiting), [""; 10]);
        // One alone may wait, whatever its length.
        assert_eq!(add(&mut waiting, 0, None, &"long".repeat(10_000), TopicSettings::default()), 0);
        assert_eq!(take_all(&mut waiting).len(), 1);
    }
}
