//! Publications that an event loop has not yet sent to all of its connections. They are sent in slices, so that the
//! loop looks at sockets and timers in between. A connection may get its share ahead of the others.

use std::cell::Cell;
use std::collections::VecDeque;

use super::publication::{Publication, Subscriber};

/// The most messages of one topic that a connection is sent in one go.
const TOGETHER: usize = 64;

/// The cost of one slice, in messages appended to a queue, at about 100 ns each.
const SLICE: usize = 4096;

/// The number of messages whose appending costs as much as a write.
const WRITE: usize = 8;

/// The number of bytes whose copying costs as much as appending a message.
const BYTES: usize = 256;

thread_local! {
    /// Whether this thread is running a loop now.
    static RUNS_A_LOOP: Cell<bool> = const { Cell::new(false) };
    /// Whether publications wait for the loop that this thread is running.
    static WAITS_HERE: Cell<bool> = const { Cell::new(false) };
}

/// Whether publications of this thread may still wait for the loop that it is running. Called before each message that
/// is sent.
#[inline]
pub(crate) fn waits_here() -> bool {
    WAITS_HERE.get()
}

/// Notes that something was published.
pub(crate) fn note_published() {
    if RUNS_A_LOOP.get() {
        WAITS_HERE.set(true);
    }
}

/// Marks this thread as running a loop, until this is dropped.
pub(super) struct Running;

impl Running {
    pub(super) fn new(has_backlog: bool) -> Self {
        RUNS_A_LOOP.set(true);
        Self::note(has_backlog);
        Self
    }

    /// Notes whether publications wait for the loop.
    pub(super) fn note(has_backlog: bool) {
        WAITS_HERE.set(has_backlog);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNS_A_LOOP.set(false);
        WAITS_HERE.set(false);
    }
}

/// Publications in the order in which they arrived. The first few, of one topic, are being sent slice by slice.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: VecDeque<Publication>,
    /// The number of publications at the front that are being sent, and the place of the next subscriber to send them
    /// to.
    sending: usize,
    next: usize,
    /// The connection that was last sent its share ahead of the others, and the number up to which it was.
    ahead: (u32, u64),
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn extend(&mut self, publications: impl Iterator<Item = Publication>) {
        self.waiting.extend(publications);
    }

    /// Copies the next slice for the loop of this number into the empty lists. Returns the publications that have then
    /// been sent to all subscribers.
    pub(super) fn next_slice(
        &mut self,
        loop_id: u64,
        publications: &mut Vec<Publication>,
        subscribers: &mut Vec<Subscriber>,
    ) -> Vec<Publication> {
        let Self { waiting, sending, next, .. } = self;
        let Some(first) = waiting.front() else { return Vec::new() };
        if *sending == 0 {
            *sending = waiting.iter().take(TOGETHER).take_while(|publication| publication.is_like(first)).count();
            *next = 0;
        }
        publications.extend(waiting.iter().take(*sending).cloned());
        let each = WRITE + publications.iter().map(|publication| 1 + publication.len() / BYTES).sum::<usize>();
        let last = publications.last().map_or(0, |publication| publication.number);
        match first.audience.on_loop(loop_id, *next, last, (SLICE / each).max(1), subscribers) {
            Some(place) => {
                *next = place;
                Vec::new()
            }
            None => waiting.drain(..std::mem::take(sending)).collect(),
        }
    }

    /// Returns the publications up to a number that `hears` accepts and that a connection has not been sent yet.
    pub(super) fn missed(
        &mut self,
        key: u32,
        up_to: u64,
        mut hears: impl FnMut(&Publication) -> bool,
    ) -> Vec<Publication> {
        // If a connection has taken over the key of another, it subscribed later than all that the other one was sent.
        let from = if self.ahead.0 == key { self.ahead.1 } else { 0 };
        let start = self.waiting.partition_point(|publication| publication.sequence <= from);
        let new = self.waiting.range(start..).take_while(|publication| publication.sequence <= up_to);
        let missed = new.filter(|publication| hears(publication)).cloned().collect();
        let last = self.waiting.back().map_or(0, |publication| publication.sequence);
        self.ahead = (key, last.min(up_to).max(from));
        missed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Mailbox;
    use super::*;
    use crate::connection_id::ConnectionId;
    use crate::topic::{Subscription, Subscriptions, Topic};

    /// Takes all slices until nothing waits. Returns for each the number of subscribers and the number of messages sent
    /// to them.
    fn slices(mailbox: &Mailbox) -> Vec<(usize, usize)> {
        let mut slices = Vec::new();
        loop {
            mailbox.take();
            let (mut publications, mut subscribers) = (Vec::new(), Vec::new());
            mailbox.next_slice(&mut publications, &mut subscribers);
            if publications.is_empty() {
                return slices;
            }
            slices.push((subscribers.len(), publications.len()));
        }
    }

    fn topic(mailbox: &Arc<Mailbox>, subscribers: u32) -> Topic {
        let topic = Topic::new();
        for key in 0..subscribers {
            let _ = Subscription::on_loop(topic.table(), ConnectionId::next(), mailbox, key);
        }
        topic
    }

    #[test]
    fn the_cost_of_a_slice_is_bounded() {
        let mailbox = Arc::new(Mailbox::default());
        let topic = topic(&mailbox, 1000);
        let _ = topic.publish(vec![]);
        assert_eq!(slices(&mailbox), [(455, 1), (455, 1), (90, 1)]);
        for _ in 0..100 {
            let _ = topic.publish(vec![]);
        }
        let slices_of_many = slices(&mailbox);
        assert!(slices_of_many.iter().all(|(subscribers, messages)| subscribers * (WRITE + messages) <= SLICE));
        assert_eq!(slices_of_many.iter().map(|(subscribers, messages)| subscribers * messages).sum::<usize>(), 100_000);
        let _ = topic.publish(vec![0; 16 * 1024]);
        assert_eq!(slices(&mailbox)[0], (56, 1), "bytes cost too");
        let _ = topic.publish(vec![0; 16 << 20]);
        assert_eq!(slices(&mailbox).len(), 1000, "one at a time");
    }

    #[test]
    fn topics_are_sent_in_the_order_of_publication() {
        let mailbox = Arc::new(Mailbox::default());
        let (one, two) = (topic(&mailbox, 1), topic(&mailbox, 2));
        for topic in [&one, &one, &two, &one] {
            let _ = topic.publish("news");
        }
        assert_eq!(mailbox.published() - mailbox.delivered(), 4);
        assert_eq!(slices(&mailbox), [(1, 2), (2, 1), (1, 1)]);
        assert_eq!(mailbox.published(), mailbox.delivered());
    }

    #[test]
    fn a_connection_that_left_and_came_back_is_sent_what_came_first_first() {
        let mailbox = Arc::new(Mailbox::default());
        let topic = Topic::new();
        let [first, second] =
            [0, 1].map(|key| Subscription::on_loop(topic.table(), ConnectionId::next(), &mailbox, key));
        // The place of the first subscriber becomes free for the next one.
        first.end();
        let _ = topic.publish("heard before it left");
        let mut subscriptions = Subscriptions::default();
        subscriptions.insert(second);
        assert!(subscriptions.leave(topic.table()));
        subscriptions.insert(Subscription::on_loop(topic.table(), ConnectionId::next(), &mailbox, 1));
        let _ = topic.publish("heard since");
        mailbox.take();
        let (mut publications, mut subscribers) = (Vec::new(), Vec::new());
        mailbox.next_slice(&mut publications, &mut subscribers);
        let heard: Vec<u64> = subscribers
            .iter()
            .flat_map(|subscriber| {
                publications.iter().map(|publication| publication.number).filter(|n| subscriber.hears(*n))
            })
            .collect();
        assert_eq!(heard, [1, 2]);
    }

    #[test]
    fn a_publication_that_was_sent_ahead_is_not_sent_again() {
        let mailbox = Arc::new(Mailbox::default());
        let topic = topic(&mailbox, 2);
        let _ = topic.publish("first");
        let subscription = Subscription::on_loop(topic.table(), ConnectionId::next(), &mailbox, 2);
        let _ = topic.publish("second");
        let mut hearing = Subscriptions::default();
        hearing.insert(subscription);
        let numbers = |up_to| {
            let missed = mailbox.missed(2, up_to, |publication| hearing.hear(publication));
            missed.iter().map(|publication| publication.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1), [0; 0]);
        assert_eq!(numbers(u64::MAX), [2]);
        assert_eq!(numbers(u64::MAX), [0; 0]);
        let _ = topic.publish("third");
        assert_eq!(numbers(3), [3]);
        assert_eq!(slices(&mailbox), [(2, 3)], "the others are sent all three");
    }
}
