//! The way of messages from the connections to the inlet. It holds a bounded number of bytes.
//!
//! The connections are always read, so that replies are not held up behind messages, and the server has nothing to hold
//! for this node. If the node does not keep up, messages are dropped here, and their topics are told.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{PushInfo, PushKind, Value};
use ropeway::engine::{Arrival, Inlet, Name};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::sleep;

use crate::end::End;
use crate::frame;
use crate::names::Names;

/// A waiting message holds some memory besides its body: the name, and places in the queue.
const COST: usize = 256;

/// At the end of a session, what has arrived is still passed on for this long.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Takes the pushes of connections.
#[derive(Debug)]
pub(crate) struct Mailbox {
    names: Names,
    room: usize,
    waiting: Arc<AtomicUsize>,
    sender: UnboundedSender<(Arrival, usize)>,
    /// The topics of which the last arrival in the queue says that messages are lost.
    missed: Mutex<HashSet<Name>>,
    /// The channels of which unsubscribing is under way.
    leaving: Mutex<HashSet<Vec<u8>>>,
    end: Arc<End>,
}

impl Mailbox {
    /// A mailbox with room for this many bytes, and the task that passes arrivals on. The task ends after the session.
    pub(crate) fn new(names: Names, room: usize, end: Arc<End>, inlet: Inlet) -> (Self, impl Future<Output = ()>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let waiting = Arc::default();
        let forwarding = pass_on(receiver, Arc::clone(&waiting), Arc::clone(&end), inlet);
        let (missed, leaving) = Default::default();
        (Self { names, room, waiting, sender, missed, leaving, end }, forwarding)
    }

    /// Takes a push. It does not wait.
    pub(crate) fn take(&self, push: PushInfo) {
        match push.kind {
            PushKind::Message | PushKind::SMessage => {
                let mut data = push.data.into_iter();
                if let (Some(Value::BulkString(channel)), Some(Value::BulkString(message))) = (data.next(), data.next())
                {
                    self.take_message(channel, message);
                }
            }
            // A cluster that moves a slot ends its subscriptions of its own accord. That push looks like the reply to SUNSUBSCRIBE.
            PushKind::SUnsubscribe => {
                if let Some(Value::BulkString(channel)) = push.data.into_iter().next()
                    && !self.leaving().remove(&channel)
                {
                    self.end
                        .report("the cluster has moved a slot, which ends its subscriptions; they must be made again");
                }
            }
            _ => {}
        }
    }

    /// Notes that channels will be unsubscribed from.
    pub(crate) fn expect_leaving(&self, channels: impl Iterator<Item = String>) {
        self.leaving().extend(channels.map(String::into_bytes));
    }

    /// Notes that channels will be subscribed to, whatever became of the end of an earlier subscription.
    pub(crate) fn expect_staying(&self, channels: impl Iterator<Item = String>) {
        let mut leaving = self.leaving();
        if leaving.is_empty() {
            return;
        }
        for channel in channels {
            leaving.remove(channel.as_bytes());
        }
    }

    fn take_message(&self, channel: Vec<u8>, message: Vec<u8>) {
        let Some(topic) = self.names.topic(channel) else { return };
        let length = message.len();
        let Some((body, place)) = frame::read(message) else {
            tracing::warn!(topic = %topic, "a message that ropeway did not write was ignored; no other program may publish there");
            return;
        };
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        let cost = length + COST;
        let is_full = self.waiting.load(Ordering::Relaxed).saturating_add(cost) > self.room;
        let (arrival, cost) = if is_full {
            if !missed.insert(topic.clone()) {
                return;
            }
            tracing::warn!(topic = %topic, "messages were dropped: this node does not keep up with what it has subscribed to");
            (Arrival::Missed { topic: Some(topic) }, COST)
        } else {
            missed.remove(&topic);
            (Arrival::Message { topic, body, place }, cost)
        };
        self.waiting.fetch_add(cost, Ordering::Relaxed);
        // The other end is gone only after the session.
        let _ = self.sender.send((arrival, cost));
    }

    fn leaving(&self) -> std::sync::MutexGuard<'_, HashSet<Vec<u8>>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes arrivals on until the session has ended.
async fn pass_on(
    mut receiver: UnboundedReceiver<(Arrival, usize)>,
    waiting: Arc<AtomicUsize>,
    end: Arc<End>,
    inlet: Inlet,
) {
    let all = async {
        let mut ended = pin!(end.wait());
        loop {
            let next = tokio::select! {
                biased;
                next = receiver.recv() => next,
                () = &mut ended => break,
            };
            let Some((arrival, cost)) = next else { return };
            inlet.deliver(arrival).await;
            waiting.fetch_sub(cost, Ordering::Relaxed);
        }
    };
    tokio::select! {
        () = all => {}
        () = async { end.wait().await; sleep(LAST_WORDS).await } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes the news that a subscription has ended, and returns whether the session goes on.
    fn goes_on(mailbox: &Mailbox) -> bool {
        mailbox.take(PushInfo { kind: PushKind::SUnsubscribe, data: vec![Value::BulkString(b"rw{:a}".to_vec())] });
        mailbox.end.error().is_none()
    }

    fn mailbox() -> Mailbox {
        let names = Names::new("rw").expect("a good prefix");
        Mailbox::new(names, 0, Arc::new(End::new()), Inlet::new(1).0).0
    }

    #[test]
    fn a_subscription_that_ends_by_itself_ends_the_session() {
        let channel = || std::iter::once("rw{:a}".to_owned());
        assert!(!goes_on(&mailbox()));

        let left = mailbox();
        left.expect_leaving(channel());
        assert!(goes_on(&left), "it was asked for");
        assert!(!goes_on(&left), "it was not asked for twice");

        let refused = mailbox();
        refused.expect_leaving(channel());
        refused.expect_staying(channel());
        assert!(!goes_on(&refused), "the server did not do it then, and the topic is subscribed");
    }
}
