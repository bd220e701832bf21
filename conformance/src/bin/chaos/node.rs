//! A node of a run: its topics, its subscribers, and its link to the broker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ropeway::engine::Engine;
use ropeway::{Delivery, History, Reach, TopicSettings, Topics};
use testkit::link::Link;
use tokio::task::JoinHandle;

use crate::record::{Clock, Heard, Outcome, Published, Subscriber, Tick};

/// Topics with an odd index have history.
pub(crate) const TOPICS: usize = 6;

/// The messages of a history. A node that was away for long has missed more.
const KEPT: u32 = 200;

/// Whether a topic has history.
pub(crate) fn is_kept(topic: usize) -> bool {
    topic % 2 == 1
}

/// A node.
pub(crate) struct Node {
    pub(crate) index: usize,
    pub(crate) link: Link,
    topics: Topics,
    numbers: HashMap<usize, u64>,
    clock: Arc<Clock>,
    listeners: Vec<Listener>,
}

/// A subscriber that lives.
struct Listener {
    topic: usize,
    notes: Arc<Mutex<Subscriber>>,
    tasks: [JoinHandle<()>; 2],
}

impl Node {
    /// Starts a node. `make` makes the engine for an address.
    pub(crate) async fn start<E: Engine>(
        index: usize,
        broker: u16,
        clock: &Arc<Clock>,
        make: impl FnOnce(&str) -> E,
    ) -> Self {
        let link = Link::to(broker).await;
        let settings = |name: &ropeway::Name| match name.rsplit(' ').next().and_then(|index| index.parse().ok()) {
            Some(index) if is_kept(index) => TopicSettings::new().history(History::last(KEPT)),
            _ => TopicSettings::new(),
        };
        let topics = Topics::builder().settings_by_name(settings).start(make(&link.address()));
        let topics = topics.expect("the engine has history");
        Self { index, link, topics, numbers: HashMap::new(), clock: Arc::clone(clock), listeners: Vec::new() }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.topics.is_up()
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.topics.dropped()
    }

    /// Publishes the next message on a topic.
    pub(crate) fn publish(&mut self, topic: usize, padding: usize) -> Published {
        let number = self.numbers.entry(topic).or_default();
        *number += 1;
        let number = *number;
        let handle = self.topics.topic(name(topic)).expect("a short name");
        let text = format!("{} {number} {:padding$}", self.index, "");
        let began = self.clock.tick();
        let published = handle.publish(text).expect("the message is taken");
        let result = match published.engine.expect("there is an engine") {
            Delivery::Sent => Outcome::Sent,
            Delivery::Queued => Outcome::Queued,
            Delivery::Full => Outcome::Full,
            _ => Outcome::Offline,
        };
        Published { node: self.index, topic, number, began, result }
    }

    /// Adds a subscriber.
    pub(crate) fn subscribe(&mut self, topic: usize) {
        let handle = self.topics.topic(name(topic)).expect("a short name");
        let mut listening = handle.listen();
        let began = self.clock.tick();
        let subscriber = Subscriber { node: self.index, topic, began, ready: None, ended: None, heard: Vec::new() };
        let notes = Arc::new(Mutex::new(subscriber));
        let hearing = tokio::spawn({
            let (notes, clock) = (Arc::clone(&notes), Arc::clone(&self.clock));
            async move {
                while let Some(heard) = listening.next().await {
                    let heard = match heard {
                        ropeway::Heard::Message { message, position } => {
                            let text = message.to_string();
                            let mut numbers = text.split(' ').map_while(|part| part.parse::<u64>().ok());
                            let node = numbers.next().and_then(|node| usize::try_from(node).ok());
                            let (Some(node), Some(number)) = (node, numbers.next()) else { panic!("{text}") };
                            let position = position.map(|position| (position.epoch, position.offset));
                            Heard::Message { node, number, position }
                        }
                        _ => Heard::Gap,
                    };
                    let tick = clock.tick();
                    notes.lock().unwrap_or_else(PoisonError::into_inner).heard.push((tick, heard));
                }
            }
        });
        let waiting = tokio::spawn({
            let (notes, clock) = (Arc::clone(&notes), Arc::clone(&self.clock));
            async move {
                if matches!(handle.reach().await, Reach::AllNodes | Reach::Offline) {
                    let tick = clock.tick();
                    notes.lock().unwrap_or_else(PoisonError::into_inner).ready = Some(tick);
                }
            }
        });
        self.listeners.push(Listener { topic, notes, tasks: [hearing, waiting] });
    }

    /// The number of subscribers.
    pub(crate) fn listeners(&self) -> usize {
        self.listeners.len()
    }

    /// Ends a subscriber.
    pub(crate) async fn unsubscribe(&mut self, index: usize) -> Subscriber {
        let listener = self.listeners.swap_remove(index);
        let ended = self.clock.tick();
        let mut subscriber = listener.end().await;
        subscriber.ended = Some(ended);
        subscriber
    }

    /// Whether each subscriber is ready, and has heard these messages: the number of a node's last one for a topic.
    pub(crate) fn has_heard(&self, last: &HashMap<(usize, usize), u64>) -> bool {
        self.listeners.iter().all(|listener| {
            let notes = listener.notes.lock().unwrap_or_else(PoisonError::into_inner);
            let wanted = last.iter().filter(|((_, topic), _)| *topic == listener.topic);
            notes.ready.is_some()
                && wanted.into_iter().all(|((node, _), number)| {
                    notes.heard.iter().rev().any(|(_, heard)| match heard {
                        Heard::Message { node: from, number: heard, .. } => from == node && heard == number,
                        Heard::Gap => false,
                    })
                })
        })
    }

    /// Ends the node. If it is ended at once, its subscribers count as ended at this tick.
    pub(crate) async fn end(self, ended: Option<Tick>) -> Vec<Subscriber> {
        let Self { listeners, topics, link, .. } = self;
        if ended.is_some() {
            drop(link);
        }
        let mut subscribers = Vec::new();
        for listener in listeners {
            let mut subscriber = listener.end().await;
            subscriber.ended = ended;
            subscribers.push(subscriber);
        }
        drop(topics);
        subscribers
    }
}

impl Listener {
    async fn end(self) -> Subscriber {
        for task in self.tasks {
            task.abort();
            let _ = tokio::time::timeout(Duration::from_secs(5), task).await;
        }
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn name(topic: usize) -> String {
    format!("topic {topic}")
}
