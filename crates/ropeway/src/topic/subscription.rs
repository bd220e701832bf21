//! The subscriptions of a connection: a few or thousands, found by binary search.

use std::sync::{Arc, Weak};

use super::member::Member;
use super::table::{Place, Table};
#[cfg(unix)]
use crate::connection_id::ConnectionId;
#[cfg(unix)]
use crate::event_loop::{Mailbox, Publication};

/// A subscription. It does not keep the topic alive: if no handle to publish with is left, no message can come. Each
/// takes room here and in the topic's [`Table`], so both parts are small.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// As long as this refers to the topic, no other topic has its address.
    table: Weak<Table>,
    place: Place,
    /// Whether the connection is leaving: it gets no message that is published from now on, see
    /// [`Subscriptions::leave`].
    is_leaving: bool,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Subscription>() + Table::SEAT <= 48);

/// The subscriptions of a connection, sorted by the addresses of their topics. A topic may have several, of which all but
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
    pub(crate) fn on_loop(table: &Arc<Table>, id: ConnectionId, mailbox: &Arc<Mailbox>, key: u32) -> Self {
        Self::new(table, table.admit_on_loop(id, mailbox, key))
    }

    fn new(table: &Arc<Table>, place: Place) -> Self {
        Self { table: Arc::downgrade(table), place, is_leaving: false }
    }

    /// The address of the topic, even if the topic is gone.
    fn address(&self) -> usize {
        self.table.as_ptr().addr()
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
        self.find(table.address()).is_some()
    }

    /// Adds a subscription. Those of topics that are gone are removed before more memory is asked for.
    pub(crate) fn insert(&mut self, subscription: Subscription) {
        if self.0.len() == self.0.capacity() {
            self.0.retain(|subscription| subscription.table.strong_count() > 0);
        }
        if self.0.is_empty() {
            // Many connections have only one.
            self.0.reserve_exact(1);
        }
        let index = self.0.partition_point(|known| known.address() <= subscription.address());
        self.0.insert(index, subscription);
    }

    /// Removes and returns the subscription to a topic that is not leaving, if there is one.
    pub(crate) fn remove(&mut self, table: &Table) -> Option<Subscription> {
        let index = self.find(table.address())?;
        Some(self.0.remove(index))
    }

    /// Marks the connection as leaving a topic. It leaves once it was sent the messages that were published before.
    /// Returns `false` if it is not subscribed.
    #[cfg(unix)]
    pub(crate) fn leave(&mut self, table: &Table) -> bool {
        let Some(index) = self.find(table.address()) else { return false };
        self.0[index].is_leaving = true;
        table.leave(self.0[index].place);
        true
    }

    /// Removes and returns the first subscription to the topic of this address that is leaving.
    #[cfg(unix)]
    pub(crate) fn left(&mut self, address: usize) -> Option<Subscription> {
        let index = self.0.partition_point(|known| known.address() < address);
        let is_leaving = |known: &Subscription| known.address() == address && known.is_leaving;
        self.0.get(index).is_some_and(is_leaving).then(|| self.0.remove(index))
    }

    /// Whether a publication is for the connection and was not sent to it yet. If so, it counts as sent from now on.
    #[cfg(unix)]
    pub(crate) fn hear(&self, publication: &Publication) -> bool {
        let address = publication.audience.address();
        let start = self.0.partition_point(|known| known.address() < address);
        let of_topic = self.0[start..].iter().take_while(|known| known.address() == address);
        // All subscriptions to the topic are asked, since the message counts as sent to each.
        let hears = |known: &&Subscription| {
            known.table.upgrade().is_some_and(|table| table.hears(known.place, publication.number))
        };
        of_topic.filter(hears).count() > 0
    }

    /// Notes that an event loop drives the connection from now on.
    #[cfg(unix)]
    #[must_use = "it is to be dropped when no lock is held"]
    pub(crate) fn move_to_loop(&mut self, id: ConnectionId, mailbox: &Arc<Mailbox>, key: u32) -> Remains {
        let moved = self.0.iter_mut().map(|subscription| {
            let table = subscription.table.upgrade();
            let link = table.as_ref().and_then(|table| table.move_to_loop(&mut subscription.place, id, mailbox, key));
            (table, link)
        });
        moved.collect()
    }

    /// Ends all subscriptions.
    pub(crate) fn end(self) {
        self.0.into_iter().for_each(Subscription::end);
    }

    /// The position of a topic's subscription that is not leaving: it is the last one.
    fn find(&self, address: usize) -> Option<usize> {
        let index = self.0.partition_point(|known| known.address() <= address).checked_sub(1)?;
        (self.0[index].address() == address && !self.0[index].is_leaving).then_some(index)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::topic::Topic;

    /// Subscribes as a connection on a loop does.
    fn subscribe(subscriptions: &mut Subscriptions, topic: &Topic, mailbox: &Arc<Mailbox>) {
        subscriptions.insert(Subscription::on_loop(topic.table(), ConnectionId::next(), mailbox, 7));
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
        assert!(subscriptions.0.is_sorted_by_key(Subscription::address));
        for topic in topics.iter().step_by(2) {
            subscriptions.remove(topic.table()).expect("it is subscribed").end();
        }
        for (number, topic) in topics.iter().enumerate() {
            assert_eq!((subscriptions.contains(topic.table()), topic.len()), (number % 2 == 1, number % 2));
        }
    }

    /// A subscription takes 48 bytes. A list that has grown has room for at most twice as many as are in it, except for
    /// a second subscription, which makes room for four.
    #[test]
    fn a_connection_takes_little_room_for_each_of_its_subscriptions() {
        const COUNT: usize = 10_000;
        let (mut subscriptions, mailbox) = (Subscriptions::default(), Arc::default());
        let topics: Vec<Topic> = (0..COUNT).map(|_| Topic::new()).collect();
        subscribe(&mut subscriptions, &topics[0], &mailbox);
        assert_eq!(subscriptions.0.capacity(), 1, "a connection with one subscription");
        for topic in &topics[1..] {
            subscribe(&mut subscriptions, topic, &mailbox);
        }
        assert!(subscriptions.0.capacity() < 2 * COUNT, "room for {}", subscriptions.0.capacity());
        subscriptions.end();
        let connections: Vec<_> = (0..COUNT)
            .map(|_| {
                let mut subscriptions = Subscriptions::default();
                subscribe(&mut subscriptions, &topics[0], &mailbox);
                subscriptions
            })
            .collect();
        let room_here: usize = connections.iter().map(|subscriptions| subscriptions.0.capacity()).sum();
        let room_there = topics[0].table().room();
        assert!(room_here == COUNT && room_there < 2 * COUNT, "room for {room_here} and {room_there}");
        connections.into_iter().for_each(Subscriptions::end);
    }

    #[test]
    fn a_topic_that_is_left_and_subscribed_to_again_is_left_once() {
        let (mut subscriptions, mailbox) = (Subscriptions::default(), Arc::default());
        let topic = Topic::new();
        let address = topic.table().address();
        subscribe(&mut subscriptions, &topic, &mailbox);
        assert!(subscriptions.leave(topic.table()) && !subscriptions.leave(topic.table()));
        assert!(!subscriptions.contains(topic.table()) && topic.is_empty());
        subscribe(&mut subscriptions, &topic, &mailbox);
        assert!(subscriptions.contains(topic.table()));
        assert_eq!(topic.len(), 1);
        subscriptions.left(address).expect("the first one").end();
        assert!(subscriptions.left(address).is_none() && subscriptions.contains(topic.table()));
        assert_eq!(topic.len(), 1);
    }
}
