//! Messages that wait until the node can take them: in order, at most so many bytes in all topics, and with a mark where some
//! were dropped.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ropeway::engine::{Arrival, Name};

/// A message costs about this much besides its body.
const BESIDES: usize = 256;

/// The bytes that wait in all topics of a session.
#[derive(Debug)]
pub(crate) struct Room {
    used: AtomicUsize,
    most: usize,
}

/// The messages of one topic that wait.
#[derive(Debug)]
pub(crate) struct Waiting {
    topic: Name,
    room: Arc<Room>,
    arrivals: VecDeque<Arrival>,
}

impl Room {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), most })
    }

    fn take(&self, bytes: usize) -> bool {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed);
        let fits = used.saturating_add(bytes) <= self.most;
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Waiting {
    pub(crate) fn new(topic: &Name, room: &Arc<Room>) -> Self {
        Self { topic: topic.clone(), room: Arc::clone(room), arrivals: VecDeque::new() }
    }

    /// Adds an arrival behind the others. If there is no room, it is dropped, and there is a mark in its place.
    pub(crate) fn push(&mut self, arrival: Arrival) {
        if self.room.take(cost(&arrival)) {
            self.arrivals.push_back(arrival);
        } else if !matches!(self.arrivals.back(), Some(Arrival::Missed { .. })) {
            // A mark has no body, and no two are side by side, so it needs no room.
            self.arrivals.push_back(Arrival::Missed { topic: Some(self.topic.clone()) });
        }
    }

    /// Takes the first arrival.
    pub(crate) fn pop(&mut self) -> Option<Arrival> {
        let arrival = self.arrivals.pop_front();
        if self.arrivals.is_empty() {
            // A burst leaves no memory behind.
            self.arrivals = VecDeque::new();
        }
        self.room.give_back(arrival.as_ref().map_or(0, cost));
        arrival
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.room.give_back(self.arrivals.iter().map(cost).sum());
    }
}

fn cost(arrival: &Arrival) -> usize {
    match arrival {
        Arrival::Message { body, .. } => body.len() + BESIDES,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(topic: &Name, body: &'static str) -> Arrival {
        Arrival::Message { topic: topic.clone(), body: Bytes::from_static(body.as_bytes()), place: None }
    }

    fn text(arrival: Option<Arrival>) -> String {
        match arrival {
            Some(Arrival::Message { body, .. }) => String::from_utf8_lossy(&body).into_owned(),
            Some(Arrival::Missed { topic }) => format!("missed {}", topic.expect("it is known")),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_mark_stands_where_messages_were_dropped() {
        let topic = Name::new("room").expect("short");
        let room = Room::new(2 * (1 + BESIDES));
        let mut waiting = Waiting::new(&topic, &room);
        for body in ["1", "2", "3", "4"] {
            waiting.push(message(&topic, body));
        }
        assert_eq!(text(waiting.pop()), "1");
        waiting.push(message(&topic, "5"));
        waiting.push(message(&topic, "6"));
        for wanted in ["2", "missed room", "5", "missed room", "None"] {
            assert_eq!(text(waiting.pop()), wanted);
        }
        assert_eq!(room.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn topics_share_the_room_and_give_it_back_when_they_end() {
        let topic = Name::new("room").expect("short");
        let room = Room::new(1 + BESIDES);
        let mut first = Waiting::new(&topic, &room);
        let mut second = Waiting::new(&topic, &room);
        first.push(message(&topic, "1"));
        second.push(message(&topic, "2"));
        drop(first);
        second.push(message(&topic, "3"));
        assert_eq!([text(second.pop()), text(second.pop())], ["missed room", "3"]);
        assert_eq!(room.used.load(Ordering::Relaxed), 0);
    }
}
