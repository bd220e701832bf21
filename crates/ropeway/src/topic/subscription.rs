//! The subscriptions of a connection: a few or thousands, found by binary search.

use std::sync::{Arc, Weak};

use super::member::Member;
use super::table::{Place, Table};
#[cfg(unix)]
use crate::event_loop::{Mailbox, Publication};

/// A subscription. It does not keep the topic alive: if no handle to publish with is left, no message can come.
#[derive(Debug)]
pub(crate) struct Subscription {
    id: u64,
    table: Weak<Table>,
    place: Place,
    /// Whether the connection is leaving: it gets no message that is published from now on, see
    /// [`Subscriptions::leave`].
    is_leaving: bool,
}

/// The subscriptions of a connection, sorted by the numbers of their topics. A topic may have several, of which all but
/// the last are leaving.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions(Vec<Subscription>);

/// Values to be dropped when no lock is held, since dropping them may drop values of the user's.
#[cfg(unix)]
pub(crate) type Remains = Vec<(Option<Arc<Table>>, Option<Arc<dyn Member>>)>;

impl Subscription {
    /// A subscription of a connection that no event loop drives, or not yet.
    pub(crate) fn of_member(table: &Arc<Table>, member: Arc<dyn Member>) -> Self {
        Self::new(table, table.admit(member))
    }

    /// A subscription of a connection that an event loop drives.
    #[cfg(unix)]
    pub(crate) fn on_loop(table: &Arc<Table>, mailbox: &Arc<Mailbox>, key: u32) -> Self {
        Self::new(table, table.admit_on_loop(mailbox, key))
    }

    fn new(table: &Arc<Table>, place: Place) -> Self {
        Self { id: table.id(), table: Arc::downgrade(table), place, is_leaving: false }
    }

    /// Ends the subscription.
    pub(crate) fn end(self) {
        if let Some(table) = self.table.upgrade() {
            drop(table.remove(self.place));
        }
    }
}

impl Subscriptions {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the connection is subscribed to a topic, and not leaving it.
    pub(crate) fn contains(&self, table: &Table) -> bool {
        self.find(table.id()).is_some()
    }

    /// Adds a subscription. Those of topics that are gone are removed before more memory is asked for.
    pub(crate) fn insert(&mut self, subscription: Subscription) {
        if self.0.len() == self.0.capacity() {
            self.0.retain(|subscription| subscription.table.strong_count() > 0);
        }
        let index = self.0.partition_point(|known| known.id <= subscription.id);
        self.0.insert(index, subscription);
    }

    /// Removes and returns the subscription to a topic that is not leaving, if there is one.
    pub(crate) fn remove(&mut self, table: &Table) -> Option<Subscription> {
        let index = self.find(table.id())?;
        Some(self.0.remove(index))
    }

    /// Marks the connection as leaving a topic. It leaves once it was sent the messages that were published before.
    /// Returns `false` if it is not subscribed.
    #[cfg(unix)]
    pub(crate) fn leave(&mut self, table: &Table) -> bool {
        let Some(index) = self.find(table.id()) else { return false };
        self.0[index].is_leaving = true;
        table.leave(self.0[index].place);
        true
    }

    /// Removes and returns the first subscription to the topic of this number that is leaving.
    #[cfg(unix)]
    pub(crate) fn left(&mut self, id: u64) -> Option<Subscription> {
        let index = self.0.partition_point(|known| known.id < id);
        self.0.get(index).is_some_and(|known| known.id == id && known.is_leaving).then(|| self.0.remove(index))
    }

    /// Whether a publication is for the connection and was not sent to it yet. If so, it counts as sent from now on.
    #[cfg(unix)]
    pub(crate) fn hear(&self, publication: &Publication) -> bool {
        let id = publication.audience.id();
        let start = self.0.partition_point(|known| known.id < id);
        let of_topic = self.0[start..].iter().take_while(|known| known.id == id);
        // All subscriptions to the topic are asked, since the message counts as sent to each.
        let hears = |known: &&Subscription| {
            known.table.upgrade().is_some_and(|table| table.hears(known.place, publication.number))
        };
        of_topic.filter(hears).count() > 0
    }

    /// Notes that an event loop drives the connection from now on.
    #[cfg(unix)]
    #[must_use = "it is to be dropped when no lock is held"]
    pub(crate) fn move_to_loop(&mut self, mailbox: &Arc<Mailbox>, key: u32) -> Remains {
        let moved = self.0.iter_mut().map(|subscription| {
            let table = subscription.table.upgrade();
            let link = table.as_ref().and_then(|table| table.move_to_loop(&mut subscription.place, mailbox, key));
            (table, link)
        });
        moved.collect()
    }

    /// Ends all subscriptions.
    pub(crate) fn end(self) {
        self.0.into_iter().for_each(Subscription::end);
    }

    /// The position of a topic's subscription that is not leaving: it is the last one.
    fn find(&self, id: u64) -> Option<usize> {
        let index = self.0.partition_point(|known| known.id <= id).checked_sub(1)?;
        (self.0[index].id == id && !self.0[index].is_leaving).then_some(index)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::topic::Topic;

    /// Subscribes as a connection on a loop does.
    fn subscribe(subscriptions: &mut Subscriptions, topic: &Topic, mailbox: &Arc<Mailbox>) {
        subscriptions.insert(Subscription::on_loop(topic.table(), mailbox, 7));
    }

    #[test]
    fn topics_that_are_gone_leave_nothing_behind() {
        let (mut subscriptions, mailbox) = (Subscriptions::default(), Arc::default());
        let stays = Topic::new();
        subscribe(&mut subscriptions, &stays, &mailbox);
        for _ in 0..10_000 {
            subscribe(&mut subscriptions, &Topic::new(), &mailbox);
        }
        assert!(subscriptions.0.capacity() <= 8, "room for {}", subscriptions.0.capacity());
        assert!(subscriptions.contains(stays.table()));
        // The loop is known to the only topic that is left.
        assert_eq!(Arc::strong_count(&mailbox), 2);
        subscriptions.end();
        assert_eq!((Arc::strong_count(&mailbox), stays.len()), (1, 0));
    }

    #[test]
    fn each_of_many_is_found_and_left_whatever_the_order() {
        let (mut subscriptions, mailbox) = (Subscriptions::default(), Arc::default());
        let topics: Vec<Topic> = (0..1000).map(|_| Topic::new()).collect();
        for topic in topics.iter().rev() {
            subscribe(&mut subscriptions, topic, &mailbox);
        }
        assert!(subscriptions.0.is_sorted_by_key(|subscription| subscription.id));
        for topic in topics.iter().step_by(2) {
            subscriptions.remove(topic.table()).expect("it is subscribed").end();
        }
        for (number, topic) in topics.iter().enumerate() {
            assert_eq!((subscriptions.contains(topic.table()), topic.len()), (number % 2 == 1, number % 2));
        }
    }

    #[test]
    fn a_topic_that_is_left_and_subscribed_to_again_is_left_once() {
        let (mut subscriptions, mailbox) = (Subscriptions::default(), Arc::default());
        let topic = Topic::new();
        let id = topic.table().id();
        subscribe(&mut subscriptions, &topic, &mailbox);
        assert!(subscriptions.leave(topic.table()) && !subscriptions.leave(topic.table()));
        assert!(!subscriptions.contains(topic.table()) && topic.is_empty());
        subscribe(&mut subscriptions, &topic, &mailbox);
        assert!(subscriptions.contains(topic.table()));
        assert_eq!(topic.len(), 1);
        subscriptions.left(id).expect("the first one").end();
        assert!(subscriptions.left(id).is_none() && subscriptions.contains(topic.table()));
        assert_eq!(topic.len(), 1);
    }
}
