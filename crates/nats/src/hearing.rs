//! Subscriptions: a task for each topic passes its messages on to ropeway, in their order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_nats::header::{NATS_LAST_SEQUENCE, NATS_SEQUENCE};
use async_nats::{HeaderName, Message, Subscriber};
use futures_util::StreamExt as _;
use ropeway::engine::{Arrival, Inlet, Name, Position};
use tokio::task::JoinHandle;

use crate::signals::Signals;
use crate::waiting::{Room, Waiting};

/// The subscriptions of a session.
#[derive(Debug)]
pub(crate) struct Hearing {
    inlet: Inlet,
    room: Arc<Room>,
    /// `None` once the session is over.
    tasks: Mutex<Option<HashMap<Name, JoinHandle<()>>>>,
}

impl Hearing {
    /// At most `max_waiting` bytes of messages wait for the inlet.
    pub(crate) fn new(inlet: Inlet, max_waiting: usize) -> Arc<Self> {
        Arc::new(Self { inlet, room: Room::new(max_waiting), tasks: Mutex::new(Some(HashMap::new())) })
    }

    pub(crate) fn has(&self, topic: &Name) -> bool {
        self.lock().as_ref().is_some_and(|tasks| tasks.contains_key(topic))
    }

    /// Passes the messages of a subscription on.
    pub(crate) fn begin(&self, topic: Name, subscriber: Subscriber) {
        let mut tasks = self.lock();
        let Some(tasks) = tasks.as_mut() else { return };
        let task = tokio::spawn(pass_on(topic.clone(), subscriber, self.inlet.clone(), Arc::clone(&self.room)));
        if let Some(old) = tasks.insert(topic, task) {
            old.abort();
        }
    }

    /// Tells that messages of topics may be missing. It does not wait until the node has room for that.
    pub(crate) fn tell_missed(&self, topics: Vec<Name>) {
        let inlet = self.inlet.clone();
        tokio::spawn(async move {
            for topic in topics {
                inlet.deliver(Arrival::Missed { topic: Some(topic) }).await;
            }
        });
    }

    /// Ends subscriptions. Afterwards nothing more of them is delivered.
    pub(crate) async fn end(&self, topics: &[Name]) {
        let ended: Vec<_> = match self.lock().as_mut() {
            Some(tasks) => topics.iter().filter_map(|topic| tasks.remove(topic)).collect(),
            None => Vec::new(),
        };
        // A task unsubscribes when it is dropped.
        stop(ended).await;
    }

    /// Ends all subscriptions for ever.
    pub(crate) async fn end_all(&self) {
        let tasks = self.lock().take();
        stop(tasks.unwrap_or_default().into_values().collect()).await;
    }

    /// The same for a caller that cannot wait.
    pub(crate) fn abort_all(&self) {
        for task in self.lock().take().unwrap_or_default().into_values() {
            task.abort();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<HashMap<Name, JoinHandle<()>>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes the messages of a topic on. Meanwhile it goes on to read, since a reader that waits would make the client drop
/// messages, and the broker close the connection.
async fn pass_on(topic: Name, mut subscriber: Subscriber, inlet: Inlet, room: Arc<Room>) {
    let mut waiting = Waiting::new(&topic, &room);
    loop {
        let next = match waiting.pop() {
            Some(arrival) => arrival,
            None => match subscriber.next().await {
                Some(message) => arrival(&topic, message),
                None => return,
            },
        };
        let delivering = inlet.deliver(next);
        tokio::pin!(delivering);
        loop {
            tokio::select! {
                biased;
                () = &mut delivering => break,
                Some(message) = subscriber.next() => waiting.push(arrival(&topic, message)),
                // The subscription is over, and what waits is still delivered.
                else => {
                    delivering.await;
                    break;
                }
            }
        }
    }
}

async fn stop(tasks: Vec<JoinHandle<()>>) {
    for task in &tasks {
        task.abort();
    }
    for task in tasks {
        // It was aborted, and that is the error.
        let _ = task.await;
    }
}

/// Tells ropeway of messages that were dropped, and ends all subscriptions when the session ends.
pub(crate) async fn watch(signals: Arc<Signals>, hearing: Arc<Hearing>) {
    loop {
        tokio::select! {
            biased;
            _ = signals.ended() => break,
            () = signals.missed() => {}
        }
        // The client drops messages if a topic's task does not come to run for long. It does not say whose: only a number
        // that it keeps to itself.
        let missed = hearing.inlet.deliver(Arrival::Missed { topic: None });
        tokio::select! {
            biased;
            _ = signals.ended() => break,
            () = missed => {}
        }
    }
    hearing.end_all().await;
}

fn arrival(topic: &Name, message: Message) -> Arrival {
    let place = place(&message);
    Arrival::Message { topic: topic.clone(), body: message.payload, place }
}

/// The position of a message of a history, and the offset of the topic's message before it.
fn place(message: &Message) -> Option<(Position, u64)> {
    let headers = message.headers.as_ref()?;
    let (_, epoch) = message.subject.rsplit_once('.')?;
    let epoch = u64::from_str_radix(epoch, 16).ok()?;
    let number = |name: HeaderName| headers.get(name)?.as_str().parse::<u64>().ok();
    Some((Position::new(epoch, number(NATS_SEQUENCE)?), number(NATS_LAST_SEQUENCE)?))
}
