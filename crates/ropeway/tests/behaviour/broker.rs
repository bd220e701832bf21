//! A broker in memory, whose failures the tests control.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use ropeway::engine::{
    Arrival, Engine, EngineError, EngineFault, EngineFuture, Features, Inlet, Outgoing, Presence, Replay, Session,
    Wanted,
};
use ropeway::{History, Name, Position};
use tokio::sync::Notify;
use tokio::time::Instant;

/// A broker in memory. A clone is the same one.
#[derive(Clone, Default)]
pub(crate) struct Broker {
    inside: Arc<Mutex<Inside>>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct Inside {
    is_down: bool,
    /// No call returns.
    is_stopped: bool,
    /// The number of next deliveries that are lost.
    losing: usize,
    /// The next batch is published, but its session ends before it is confirmed.
    is_unconfirmed: bool,
    refuses: bool,
    /// Subscribing to this topic is refused.
    forbidden: Option<String>,
    /// Deliveries are kept until somebody subscribes.
    is_slow: bool,
    late: Vec<Arrival>,
    sessions: HashMap<u64, Connected>,
    last_session: u64,
    stored: HashMap<Name, Stored>,
    epoch: u64,
    /// The calls so far: "connect", "+name", "-name".
    calls: Vec<String>,
    published: usize,
    members: HashMap<String, (Presence, Instant)>,
}

struct Connected {
    inlet: Inlet,
    topics: HashSet<Name>,
}

#[derive(Default)]
struct Stored {
    offset: u64,
    messages: VecDeque<(u64, Bytes)>,
}

/// A session with the broker.
struct Link {
    broker: Broker,
    id: u64,
}

impl Broker {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("no test panics in here")
    }

    /// Ends all sessions, and accepts none until [`Broker::start`].
    pub(crate) fn kill(&self) {
        let mut inside = self.lock();
        inside.is_down = true;
        inside.sessions.clear();
        drop(inside);
        self.changed.notify_waiters();
    }

    /// Ends the session that was opened as this one, counted from 0.
    pub(crate) fn cut(&self, session: u64) {
        self.lock().sessions.remove(&(session + 1));
        self.changed.notify_waiters();
    }

    pub(crate) fn start(&self) {
        self.lock().is_down = false;
    }

    /// Forgets all that is stored.
    pub(crate) fn forget(&self) {
        let mut inside = self.lock();
        inside.stored.clear();
        inside.epoch += 1;
    }

    /// Answers no call any more, or again.
    pub(crate) fn stop(&self, stop: bool) {
        self.lock().is_stopped = stop;
        self.changed.notify_waiters();
    }

    /// Loses the next deliveries.
    pub(crate) fn lose(&self, count: usize) {
        self.lock().losing = count;
    }

    /// Publishes the next batch without confirming it, and ends the session.
    pub(crate) fn leave_unconfirmed(&self) {
        self.lock().is_unconfirmed = true;
    }

    /// Refuses to subscribe this topic.
    pub(crate) fn forbid(&self, topic: &str) {
        self.lock().forbidden = Some(topic.to_owned());
    }

    /// Keeps deliveries until somebody subscribes.
    pub(crate) fn be_slow(&self) {
        self.lock().is_slow = true;
    }

    pub(crate) fn refuse(&self, refuse: bool) {
        self.lock().refuses = refuse;
    }

    /// The calls since the last time: "connect", "+name", "-name".
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().calls)
    }

    /// The number of members that are stored.
    pub(crate) fn members(&self) -> usize {
        self.lock().members.len()
    }

    /// Ends the last session, and accepts no other one.
    pub(crate) fn cut_last(&self) {
        let mut inside = self.lock();
        inside.is_down = true;
        let last = inside.last_session;
        inside.sessions.remove(&last);
        drop(inside);
        self.changed.notify_waiters();
    }

    /// The number of messages that were published.
    pub(crate) fn published(&self) -> usize {
        self.lock().published
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Broker")
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

impl Engine for Broker {
    fn address(&self) -> String {
        "memory".to_owned()
    }

    fn features(&self) -> Features {
        Features::NONE.with_history(true).with_presence(true)
    }

    fn connect(&self, inlet: Inlet) -> EngineFuture<'_, Arc<dyn Session>> {
        Box::pin(async move {
            let mut inside = self.lock();
            if inside.is_down {
                return Err(EngineError::new(EngineFault::Unreachable, "the broker is down"));
            }
            inside.calls.push("connect".to_owned());
            inside.last_session += 1;
            let id = inside.last_session;
            inside.sessions.insert(id, Connected { inlet, topics: HashSet::new() });
            Ok(Arc::new(Link { broker: self.clone(), id }) as Arc<dyn Session>)
        })
    }
}

impl Link {
    /// Waits while the broker is stopped.
    async fn answered(&self) -> Result<(), EngineError> {
        loop {
            let changed = self.broker.changed.notified();
            {
                let inside = self.broker.lock();
                if !inside.sessions.contains_key(&self.id) {
                    return Err(EngineError::new(EngineFault::Lost, "the broker was killed"));
                }
                if !inside.is_stopped {
                    return Ok(());
                }
            }
            changed.await;
        }
    }
}

impl Session for Link {
    fn publish<'a>(&'a self, batch: &'a [Outgoing]) -> EngineFuture<'a, ()> {
        Box::pin(async move {
            self.answered().await?;
            let mut deliveries = Vec::new();
            {
                let mut inside = self.broker.lock();
                if inside.refuses {
                    return Err(EngineError::new(EngineFault::Refused, "not allowed"));
                }
                inside.published += batch.len();
                for Outgoing { topic, body, history } in batch {
                    let epoch = inside.epoch;
                    let place = history.map(|history: History| {
                        let stored = inside.stored.entry(topic.clone()).or_default();
                        stored.offset += 1;
                        stored.messages.push_back((stored.offset, body.clone()));
                        while stored.messages.len() > history.count() as usize {
                            stored.messages.pop_front();
                        }
                        (Position::new(epoch, stored.offset), stored.offset - 1)
                    });
                    let arrival = Arrival::Message { topic: topic.clone(), body: body.clone(), place };
                    if inside.losing > 0 {
                        inside.losing -= 1;
                        continue;
                    }
                    if inside.is_slow {
                        inside.late.push(arrival);
                        continue;
                    }
                    let hearing = inside.sessions.values().filter(|session| session.topics.contains(topic));
                    deliveries.extend(hearing.map(|session| (session.inlet.clone(), arrival.clone())));
                }
            }
            for (inlet, arrival) in deliveries {
                inlet.deliver(arrival).await;
            }
            // The nodes deliver it before the publisher learns of it.
            let is_unconfirmed = self.broker.lock().is_unconfirmed;
            for _ in 0..if is_unconfirmed { 10 } else { 0 } {
                tokio::task::yield_now().await;
            }
            let mut inside = self.broker.lock();
            if std::mem::take(&mut inside.is_unconfirmed) {
                inside.sessions.remove(&self.id);
                drop(inside);
                self.broker.changed.notify_waiters();
                return Err(EngineError::new(EngineFault::Lost, "the link was cut"));
            }
            Ok(())
        })
    }

    fn subscribe<'a>(&'a self, topics: &'a [Wanted]) -> EngineFuture<'a, ()> {
        Box::pin(async move {
            self.answered().await?;
            let (inlet, late) = {
                let mut inside = self.broker.lock();
                inside.calls.extend(topics.iter().map(|wanted| format!("+{}", wanted.topic)));
                if topics.iter().any(|wanted| Some(wanted.topic.as_str()) == inside.forbidden.as_deref()) {
                    return Err(EngineError::new(EngineFault::Refused, "this topic is forbidden"));
                }
                let late = std::mem::take(&mut inside.late);
                let session = inside.sessions.get_mut(&self.id).expect("it is connected");
                session.topics.extend(topics.iter().map(|wanted| wanted.topic.clone()));
                (session.inlet.clone(), late)
            };
            // They come before the answer.
            for arrival in late {
                inlet.deliver(arrival).await;
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
            }
            Ok(())
        })
    }

    fn unsubscribe<'a>(&'a self, topics: &'a [Name]) -> EngineFuture<'a, ()> {
        Box::pin(async move {
            self.answered().await?;
            let mut inside = self.broker.lock();
            inside.calls.extend(topics.iter().map(|name| format!("-{name}")));
            let session = inside.sessions.get_mut(&self.id).expect("it is connected");
            session.topics.retain(|name| !topics.contains(name));
            Ok(())
        })
    }

    fn ended(&self) -> EngineFuture<'_, Infallible> {
        Box::pin(async move {
            loop {
                let changed = self.broker.changed.notified();
                if !self.broker.lock().sessions.contains_key(&self.id) {
                    return Err(EngineError::new(EngineFault::Lost, "the broker was killed"));
                }
                changed.await;
            }
        })
    }

    fn max_message(&self) -> Option<usize> {
        Some(1 << 20)
    }

    fn replay<'a>(&'a self, topic: &'a Name, _: History, after: Option<Position>) -> EngineFuture<'a, Replay> {
        Box::pin(async move {
            self.answered().await?;
            let inside = self.broker.lock();
            let epoch = inside.epoch;
            let Some(stored) = inside.stored.get(topic) else {
                let end = Position::new(epoch, 0);
                return Ok(Replay { is_complete: after.is_none_or(|after| after == end), messages: Vec::new(), end });
            };
            let end = Position::new(epoch, stored.offset);
            let Some(after) = after else { return Ok(Replay { is_complete: true, messages: Vec::new(), end }) };
            let base = stored.messages.front().map_or(stored.offset, |(offset, _)| offset - 1);
            if after.epoch != epoch || after.offset < base || after.offset > stored.offset {
                return Ok(Replay { is_complete: false, messages: Vec::new(), end });
            }
            let missed = stored.messages.iter().filter(|(offset, _)| *offset > after.offset);
            let messages = missed.map(|(offset, body)| (Position::new(epoch, *offset), body.clone())).collect();
            Ok(Replay { is_complete: true, messages, end })
        })
    }

    fn join<'a>(&'a self, members: &'a [Presence], lifetime: Duration) -> EngineFuture<'a, ()> {
        Box::pin(async move {
            self.answered().await?;
            let until = Instant::now() + lifetime;
            let stored = members.iter().map(|member| (member.key.clone(), (member.clone(), until)));
            self.broker.lock().members.extend(stored);
            Ok(())
        })
    }

    fn leave<'a>(&'a self, members: &'a [Presence]) -> EngineFuture<'a, ()> {
        Box::pin(async move {
            self.answered().await?;
            let mut inside = self.broker.lock();
            for member in members {
                inside.members.remove(&member.key);
            }
            Ok(())
        })
    }

    fn members<'a>(&'a self, topic: &'a Name) -> EngineFuture<'a, Vec<Presence>> {
        Box::pin(async move {
            self.answered().await?;
            let now = Instant::now();
            let inside = self.broker.lock();
            let stored = inside.members.values().filter(|(member, until)| member.topic == *topic && *until > now);
            Ok(stored.map(|(member, _)| member.clone()).collect())
        })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Ok(mut inside) = self.broker.inside.lock() {
            inside.sessions.remove(&self.id);
        }
    }
}
