//! The contract of topics as a model: a function for each sentence, which finds in a record all that breaks it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::record::{Heard, Outcome, Published, Record, Subscriber, Tick};

/// Something that breaks a sentence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) sentence: &'static str,
    /// The index of the subscriber.
    pub(crate) subscriber: usize,
    pub(crate) tick: Tick,
    pub(crate) text: String,
}

const ONCE: &str = "at most once to each subscriber";
const ORDER: &str = "messages of one publisher on one topic arrive in order";
const OWN: &str = "a message's own node hears it, or a gap";
const OFFLINE: &str = "local subscribers hear while the engine is down";
const ONE_ORDER: &str = "with history one order on all nodes";
const HOLE: &str = "with history no hole without a gap";
const READY: &str = "ready: all that is published afterwards is heard, or a gap is told";
const DROPPED: &str = "what the engine does not get is a gap elsewhere";
const CALM: &str = "no gap without a cause";
const SETTLED: &str = "when all is mended, all is heard";

/// All that breaks the contract.
pub(crate) fn check(record: &Record) -> Vec<Violation> {
    let sentences = [
        at_most_once,
        order_of_one_publisher,
        own_node,
        local_while_down,
        one_order,
        no_hole,
        ready_then_heard_or_gap,
        dropped_is_a_gap,
        no_gap_without_a_cause,
        all_is_heard_in_the_end,
    ];
    sentences.iter().flat_map(|sentence| sentence(record)).collect()
}

fn at_most_once(record: &Record) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, subscriber) in record.subscribers.iter().enumerate() {
        let mut seen = HashSet::new();
        for (tick, node, number) in messages(subscriber) {
            if !seen.insert((node, number)) {
                violations.push(violation(ONCE, index, tick, format!("message {number} of node {node} came again")));
            }
        }
    }
    violations
}

fn order_of_one_publisher(record: &Record) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, subscriber) in record.subscribers.iter().enumerate() {
        let mut last: HashMap<usize, u64> = HashMap::new();
        for (tick, node, number) in messages(subscriber) {
            let last = last.entry(node).or_default();
            if number < *last {
                let text = format!("message {number} of node {node} came after {last}");
                violations.push(violation(ORDER, index, tick, text));
            }
            *last = number.max(*last);
        }
    }
    violations
}

fn own_node(record: &Record) -> Vec<Violation> {
    missing(record, |subscriber, published| {
        subscriber.node == published.node
            && published.began > subscriber.began
            && !gaps_after(subscriber, published.began)
    })
    .map(|(index, published)| lacks(OWN, index, published))
    .collect()
}

fn local_while_down(record: &Record) -> Vec<Violation> {
    missing(record, |subscriber, published| {
        subscriber.node == published.node && published.began > subscriber.began && published.result == Outcome::Offline
    })
    .map(|(index, published)| lacks(OFFLINE, index, published))
    .collect()
}

fn one_order(record: &Record) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut places: HashMap<(usize, u64, u64), (usize, u64)> = HashMap::new();
    for (index, subscriber) in record.subscribers.iter().enumerate() {
        let mut last = None;
        for &(tick, heard) in &subscriber.heard {
            let Heard::Message { node, number, position: Some((epoch, offset)) } = heard else { continue };
            let known = *places.entry((subscriber.topic, epoch, offset)).or_insert((node, number));
            if known != (node, number) {
                let text = format!(
                    "offset {offset} is message {number} of node {node}, and elsewhere {} of node {}",
                    known.1, known.0
                );
                violations.push(violation(ONE_ORDER, index, tick, text));
            }
            if last.is_some_and(|(before, at)| before == epoch && at >= offset) {
                violations.push(violation(ONE_ORDER, index, tick, format!("offset {offset} came after {last:?}")));
            }
            last = Some((epoch, offset));
        }
    }
    violations
}

fn no_hole(record: &Record) -> Vec<Violation> {
    // All places that anybody has heard of.
    let mut places: HashMap<(usize, u64), BTreeMap<u64, (usize, u64)>> = HashMap::new();
    for subscriber in &record.subscribers {
        for (_, heard) in &subscriber.heard {
            if let Heard::Message { node, number, position: Some((epoch, offset)) } = *heard {
                places.entry((subscriber.topic, epoch)).or_default().insert(offset, (node, number));
            }
        }
    }
    let key = |published: &Published| (published.node, published.topic, published.number);
    let began: HashMap<_, _> = record.published.iter().map(|published| (key(published), published.began)).collect();
    let mut violations = Vec::new();
    for (index, subscriber) in record.subscribers.iter().enumerate() {
        let all: HashSet<_> = messages(subscriber).map(|(_, node, number)| (node, number)).collect();
        let mut last: Option<(u64, u64)> = None;
        for &(tick, heard) in &subscriber.heard {
            let (epoch, offset) = match heard {
                Heard::Gap => {
                    last = None;
                    continue;
                }
                Heard::Message { position: None, .. } => continue,
                Heard::Message { position: Some(place), .. } => place,
            };
            match last {
                Some((before, _)) if before != epoch => {
                    violations.push(violation(HOLE, index, tick, format!("epoch {before} became {epoch}")));
                }
                Some((_, before)) if before < offset => {
                    let between = places[&(subscriber.topic, epoch)].range(before + 1..offset);
                    // Older messages of its own node were heard there before, without a position.
                    let is_older = |&(node, number): &(usize, u64)| {
                        node == subscriber.node
                            && began.get(&(node, subscriber.topic, number)).is_some_and(|at| *at < subscriber.began)
                    };
                    for (at, message) in between.filter(|(_, message)| !all.contains(message) && !is_older(message)) {
                        let text = format!("offset {offset} came after {before}, but {at} is {message:?}");
                        violations.push(violation(HOLE, index, tick, text));
                    }
                }
                _ => {}
            }
            last = Some((epoch, offset));
        }
    }
    violations
}

fn ready_then_heard_or_gap(record: &Record) -> Vec<Violation> {
    unheard_elsewhere(record)
        .filter(|(_, published)| published.result != Outcome::Full)
        .map(|(index, published)| lacks(READY, index, published))
        .collect()
}

fn dropped_is_a_gap(record: &Record) -> Vec<Violation> {
    unheard_elsewhere(record)
        .filter(|(_, published)| published.result == Outcome::Full)
        .map(|(index, published)| lacks(DROPPED, index, published))
        .collect()
}

fn no_gap_without_a_cause(record: &Record) -> Vec<Violation> {
    let is_quiet = record.is_calm && record.published.iter().all(|published| published.result != Outcome::Full);
    let mut violations = Vec::new();
    for (index, subscriber) in record.subscribers.iter().enumerate().filter(|_| is_quiet) {
        let gaps = subscriber.heard.iter().filter(|(_, heard)| *heard == Heard::Gap);
        violations.extend(gaps.map(|(tick, _)| violation(CALM, index, *tick, "nothing was broken".to_owned())));
    }
    violations
}

fn all_is_heard_in_the_end(record: &Record) -> Vec<Violation> {
    let Some(settled) = record.settled else { return Vec::new() };
    missing(record, |subscriber, published| {
        published.began > settled && subscriber.ready.is_some_and(|ready| ready < published.began)
    })
    .map(|(index, published)| lacks(SETTLED, index, published))
    .collect()
}

/// Messages that a subscriber on another node neither heard nor was told of: the gap must be later than the call, and
/// before the publisher's next message.
fn unheard_elsewhere(record: &Record) -> impl Iterator<Item = (usize, &Published)> {
    let mut known: BTreeSet<(usize, usize, u64)> = BTreeSet::new();
    for subscriber in &record.subscribers {
        let others = messages(subscriber).filter(|(_, node, _)| *node != subscriber.node);
        known.extend(others.map(|(_, node, number)| (node, subscriber.topic, number)));
    }
    // A killed node takes with it what it has not sent.
    let is_gone = move |published: &Published| {
        let later = (published.node, published.topic, published.number)..=(published.node, published.topic, u64::MAX);
        record.killed.contains(&published.node) && known.range(later).next().is_none()
    };
    missing(record, move |subscriber, published| {
        subscriber.node != published.node
            && subscriber.ready.is_some_and(|ready| ready < published.began)
            && !is_gone(published)
            && !is_told(subscriber, published)
    })
}

fn is_told(subscriber: &Subscriber, published: &Published) -> bool {
    let next = subscriber.heard.iter().position(|(_, heard)| match heard {
        Heard::Message { node, number, .. } => *node == published.node && *number > published.number,
        Heard::Gap => false,
    });
    let before = &subscriber.heard[..next.unwrap_or(subscriber.heard.len())];
    before.iter().any(|(tick, heard)| *heard == Heard::Gap && *tick > published.began)
}

/// Publications that matter and were not heard by a subscriber of their topic. Only subscribers that lived to the end are looked at.
fn missing<'a>(
    record: &'a Record,
    matters: impl Fn(&Subscriber, &Published) -> bool + 'a,
) -> impl Iterator<Item = (usize, &'a Published)> {
    let mut found = Vec::new();
    for (index, subscriber) in record.subscribers.iter().enumerate() {
        let heard: HashSet<_> = messages(subscriber).map(|(_, node, number)| (node, number)).collect();
        found.extend(
            record
                .published
                .iter()
                .filter(|published| published.topic == subscriber.topic)
                .filter(|_| subscriber.ended.is_none())
                .filter(|published| !heard.contains(&(published.node, published.number)))
                .filter(|published| matters(subscriber, published))
                .map(|published| (index, published)),
        );
    }
    found.into_iter()
}

fn gaps_after(subscriber: &Subscriber, tick: Tick) -> bool {
    subscriber.heard.iter().any(|(at, heard)| *heard == Heard::Gap && *at > tick)
}

fn messages(subscriber: &Subscriber) -> impl Iterator<Item = (Tick, usize, u64)> + '_ {
    subscriber.heard.iter().filter_map(|(tick, heard)| match heard {
        Heard::Message { node, number, .. } => Some((*tick, *node, *number)),
        Heard::Gap => None,
    })
}

fn lacks(sentence: &'static str, subscriber: usize, published: &Published) -> Violation {
    let Published { node, number, topic, result, .. } = published;
    let text = format!("message {number} of node {node} on topic {topic} ({result:?}) is missing");
    violation(sentence, subscriber, published.began, text)
}

fn violation(sentence: &'static str, subscriber: usize, tick: Tick, text: String) -> Violation {
    Violation { sentence, subscriber, tick, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: usize = 0;
    const KEPT: usize = 1;

    /// Messages 1 to 3 of node 0 on both topics at the ticks 10, 20 and 30, and two subscribers each, on nodes 0 and 1.
    fn good() -> Record {
        let mut record = Record { is_calm: true, settled: Some(25), ..Record::default() };
        for topic in [PLAIN, KEPT] {
            for number in 1..=3 {
                let began = number * 10;
                let result = Outcome::Sent;
                record.published.push(Published { node: 0, topic, number, began, result });
            }
            for node in [0, 1] {
                let heard = (1..=3).map(|number| {
                    let position = (topic == KEPT).then_some((7, number));
                    (number * 10 + 2, Heard::Message { node: 0, number, position })
                });
                let heard = heard.collect();
                record.subscribers.push(Subscriber { node, topic, began: 1, ready: Some(2), ended: None, heard });
            }
        }
        record
    }

    /// Breaks the record of one subscriber. Each sentence that is broken is named.
    fn broken(subscriber: usize, change: impl FnOnce(&mut Record, &mut Vec<(Tick, Heard)>)) -> Vec<&'static str> {
        let mut record = good();
        let mut heard = std::mem::take(&mut record.subscribers[subscriber].heard);
        change(&mut record, &mut heard);
        record.subscribers[subscriber].heard = heard;
        let mut sentences: Vec<_> = check(&record).into_iter().map(|violation| violation.sentence).collect();
        sentences.dedup();
        sentences
    }

    #[test]
    fn a_good_record_breaks_nothing() {
        assert_eq!(check(&good()), []);
        let gap = |record: &mut Record, heard: &mut Vec<_>| {
            record.is_calm = false;
            heard[1] = (22, Heard::Gap);
        };
        for subscriber in [1, 3] {
            assert_eq!(broken(subscriber, gap), [""; 0], "a gap stands for what is missing");
        }
    }

    #[test]
    fn a_message_that_comes_twice_is_found() {
        for subscriber in [0, 1] {
            assert_eq!(broken(subscriber, |_, heard| heard.push(heard[2])), [ONCE]);
        }
    }

    #[test]
    fn a_wrong_order_is_found() {
        assert_eq!(broken(1, |_, heard| heard.swap(0, 1)), [ORDER]);
        assert_eq!(broken(3, |_, heard| heard.swap(0, 1)), [ORDER, ONE_ORDER]);
    }

    #[test]
    fn another_order_elsewhere_is_found() {
        let other = |_: &mut Record, heard: &mut Vec<_>| {
            heard[1] = (22, Heard::Message { node: 0, number: 2, position: Some((7, 3)) });
            heard[2] = (32, Heard::Message { node: 0, number: 3, position: Some((7, 4)) });
        };
        assert_eq!(broken(3, other), [ONE_ORDER]);
    }

    #[test]
    fn a_hole_without_a_gap_is_found() {
        assert_eq!(
            broken(1, |_, heard| {
                heard.remove(1);
            }),
            [READY]
        );
        assert_eq!(
            broken(3, |_, heard| {
                heard.remove(1);
            }),
            [HOLE, READY]
        );
        let epoch = |_: &mut Record, heard: &mut Vec<_>| {
            heard[2] = (32, Heard::Message { node: 0, number: 3, position: Some((8, 1)) });
        };
        assert_eq!(broken(3, epoch), [HOLE]);
    }

    #[test]
    fn a_gap_that_is_too_early_or_too_late_is_found() {
        let early = |record: &mut Record, heard: &mut Vec<_>| {
            record.is_calm = false;
            heard.remove(1);
            heard.insert(0, (5, Heard::Gap));
        };
        assert_eq!(broken(1, early), [READY]);
        let late = |record: &mut Record, heard: &mut Vec<_>| {
            record.is_calm = false;
            heard.remove(1);
            heard.push((40, Heard::Gap));
        };
        assert_eq!(broken(1, late), [READY]);
    }

    #[test]
    fn a_loss_that_is_not_told_is_found() {
        let dropped = |record: &mut Record, heard: &mut Vec<_>| {
            record.published[1].result = Outcome::Full;
            heard.remove(1);
        };
        assert_eq!(broken(1, dropped), [DROPPED]);
    }

    #[test]
    fn what_a_killed_node_had_not_sent_is_nobodys_fault() {
        let killed = |record: &mut Record, heard: &mut Vec<_>| {
            record.killed.insert(0);
            record.settled = None;
            heard.pop();
        };
        assert_eq!(broken(1, killed), [""; 0]);
        let in_between = |record: &mut Record, heard: &mut Vec<_>| {
            record.killed.insert(0);
            heard.remove(1);
        };
        assert_eq!(broken(1, in_between), [READY]);
    }

    #[test]
    fn what_a_nodes_own_subscribers_do_not_hear_is_found() {
        assert_eq!(
            broken(0, |_, heard| {
                heard.remove(1);
            }),
            [OWN]
        );
        let down = |record: &mut Record, heard: &mut Vec<_>| {
            record.is_calm = false;
            record.published[1].result = Outcome::Offline;
            heard[1] = (22, Heard::Gap);
        };
        assert_eq!(broken(0, down), [OFFLINE]);
    }

    #[test]
    fn a_gap_without_a_cause_is_found() {
        assert_eq!(broken(1, |_, heard| heard.push((40, Heard::Gap))), [CALM]);
    }

    #[test]
    fn what_is_missing_in_the_end_is_found() {
        let gap = |record: &mut Record, heard: &mut Vec<_>| {
            record.is_calm = false;
            heard[2] = (32, Heard::Gap);
        };
        assert_eq!(broken(1, gap), [SETTLED]);
    }
}
