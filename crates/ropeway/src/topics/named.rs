//! A named topic: publishing and arrivals, on this node and between nodes.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use ropeway_proto::Prepared;
use tokio::time::{Instant, timeout};

use super::envelope::{Content, Envelope};
use super::events::TopicsEvent;
use super::form::{Form, is_encoding};
use super::outbox::{Kind, Unheard, Waiting};
use super::retained::Retained;
use super::roster::Roster;
use super::sequence::Sequence;
use super::uplink::{ENVELOPE, Status, Uplink};
use crate::connection_id::ConnectionId;
use crate::engine::{History, Name, Outgoing, Position};
use crate::topic::{Counted, Delivery, Heard, Named, PublishError, Published, Reach, Recovery, Table, To, Topic};

/// The longest wait for an engine's answer: long enough for a broker on another continent that is busy, short enough for
/// a client that waits.
pub(super) const CALL: Duration = Duration::from_secs(5);

/// The registry, as a topic sees it.
pub(super) trait Keeper: fmt::Debug + Send + Sync {
    /// Forgets a topic, if it has no handle, no audience and no messages.
    fn forget(&self, topic: &NamedTopic);
}

/// A named topic.
pub(super) struct NamedTopic {
    pub(super) name: Name,
    table: Weak<Table>,
    keeper: Weak<dyn Keeper>,
    pub(super) form: Arc<Form>,
    holders: AtomicUsize,
    history: Option<(History, Mutex<Retained>)>,
    pub(super) far: Option<Far>,
    /// The members, if somebody has asked for them or joined.
    pub(super) roster: Mutex<Option<Box<Roster>>>,
}

/// The part of a topic that spans nodes.
pub(super) struct Far {
    pub(super) uplink: Arc<Uplink>,
    /// Whether the engine delivers the topic's publications.
    pub(super) is_subscribed: AtomicBool,
    /// Whether the engine has refused to deliver them.
    pub(super) is_refused: AtomicBool,
    /// Whether somebody was told that only messages of this node are heard.
    pub(super) told_offline: AtomicBool,
    sequence: Mutex<Sequence>,
}

impl NamedTopic {
    pub(super) fn new(
        name: Name,
        table: Weak<Table>,
        history: Option<History>,
        form: &Arc<Form>,
        uplink: Option<&Arc<Uplink>>,
        keeper: Weak<dyn Keeper>,
    ) -> Self {
        let retained = |history| match uplink {
            None => Retained::new(history, u64::from_be_bytes(crate::random::bytes())),
            Some(_) => Retained::mirror(history),
        };
        let far = |uplink: &Arc<Uplink>| Far {
            uplink: Arc::clone(uplink),
            is_subscribed: AtomicBool::new(false),
            is_refused: AtomicBool::new(false),
            told_offline: AtomicBool::new(false),
            sequence: Mutex::default(),
        };
        Self {
            name,
            table,
            keeper,
            form: Arc::clone(form),
            holders: AtomicUsize::new(0),
            history: history.map(|history| (history, Mutex::new(retained(history)))),
            far: uplink.map(far),
            roster: Mutex::default(),
        }
    }

    fn is_heard(&self) -> bool {
        self.table.upgrade().is_some_and(|table| table.is_heard())
    }

    pub(super) fn is_held(&self) -> bool {
        self.holders.load(Ordering::Acquire) > 0
    }

    /// The time until which messages keep the topic, although nobody holds or hears it.
    pub(super) fn kept_until(&self) -> Option<Instant> {
        // A mirror is worth nothing when the engine no longer delivers.
        if self.far.is_some() { None } else { self.retained()?.kept_until() }
    }

    pub(super) fn history(&self) -> Option<History> {
        self.history.as_ref().map(|(history, _)| *history)
    }

    pub(super) fn retained(&self) -> Option<MutexGuard<'_, Retained>> {
        self.history.as_ref().map(|(_, retained)| retained.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Publishes in this process alone, with history if there is some.
    fn publish_in_process(
        &self,
        table: &Arc<Table>,
        message: &Prepared,
        to: To<'_>,
    ) -> Result<Published, PublishError> {
        let Some(mut retained) = self.retained() else {
            return self.deliver(table, message, to, None).map(Published::here);
        };
        let end = retained.end().unwrap_or(Position::new(0, 0));
        let place = Position::new(end.epoch, end.offset + 1);
        let encoded = self.form.encode(&self.name, message, Some(place));
        let local = table.publish(&encoded, to, || heard(message, Some(place)))?;
        retained.push(Instant::now(), place, encoded);
        Ok(Published { local, position: Some(place), engine: None })
    }

    fn publish_far(
        &self,
        far: &Far,
        table: &Arc<Table>,
        message: &Prepared,
        to: To<'_>,
    ) -> Result<Published, PublishError> {
        let limit = far.uplink.max_message().saturating_sub(ENVELOPE + to.key.map_or(0, |key| key.len()));
        if message.message().len() > limit {
            return Err(PublishError::TooLarge { limit });
        }
        let mut local = None;
        if self.history.is_none() {
            local = Some(self.deliver(table, message, to, None)?);
        }
        let mut outbox = far.uplink.outbox();
        let is_up = outbox.is_up();
        let number = outbox.next_number();
        let mut sequence = far.sequence();
        let envelope = Envelope {
            node: far.uplink.node,
            number,
            before: std::mem::replace(&mut sequence.published, number),
            is_after_loss: outbox.take_loss(&self.name),
            content: Content::Message {
                message: message.message().clone(),
                except: to.except.map(ConnectionId::as_u64),
                key: to.key.cloned(),
            },
        };
        let unheard = (local.is_none() && is_up).then(|| Unheard {
            table: Arc::clone(table),
            message: message.clone(),
            except: to.except,
            key: to.key.cloned(),
        });
        if local.is_none() && !is_up {
            sequence.note_heard(number, far.uplink.most_back());
        }
        drop(sequence);
        let outgoing = Outgoing { topic: self.name.clone(), body: envelope.encode(), history: self.history() };
        let held = self.history.is_some().then(|| {
            self.hold();
            Topic::of(Counted::new(Arc::clone(table)))
        });
        let delivery = outbox.push(Waiting { outgoing, number, unheard, kind: Kind::Message, topic: held });
        drop(outbox);
        far.uplink.ring();
        let local = match local {
            Some(local) => local,
            None if delivery == Delivery::Full => {
                // It will not come back from the engine either.
                self.tell_gap(table);
                0
            }
            None if is_up => table.len(),
            // It is in the outbox, so it is published. If a loop has no room, its subscribers are told of a gap.
            None => self.deliver(table, message, to, None).unwrap_or_else(|_full| {
                self.tell_gap(table);
                0
            }),
        };
        Ok(Published { local, position: None, engine: Some(delivery) })
    }

    pub(super) fn deliver(
        &self,
        table: &Arc<Table>,
        message: &Prepared,
        to: To<'_>,
        position: Option<Position>,
    ) -> Result<usize, PublishError> {
        table.publish(&self.form.encode(&self.name, message, position), to, || heard(message, position))
    }

    /// Tells all that messages may be missing here.
    pub(super) fn tell_gap(&self, table: &Arc<Table>) {
        table.tell_gap();
        if let Some(message) = self.form.gap(&self.name) {
            // If there is no room even for this, the subscribers without room are closed or their losses counted.
            let _ = table.publish_to_subscribers(&message);
        }
        if let Some(far) = &self.far {
            far.uplink.tell(&TopicsEvent::Gap(self.name.clone()));
        }
    }
}

impl NamedTopic {
    /// The messages of a replay in the form in which subscribers get them. `None` if publications among them were lost before
    /// the engine had them.
    fn encoded(&self, messages: Vec<(Position, Bytes)>) -> Option<Vec<(Position, Prepared)>> {
        let mut encoded = Vec::with_capacity(messages.len());
        for (place, body) in messages {
            let Some(envelope) = Envelope::decode(body) else { continue };
            if envelope.is_lossy() {
                return None;
            }
            let Content::Message { message, .. } = envelope.content else { continue };
            encoded.push((place, self.form.encode(&self.name, &Prepared::from(message), Some(place))));
        }
        Some(encoded)
    }
}

impl Named for NamedTopic {
    fn name(&self) -> &Name {
        &self.name
    }

    fn has_engine(&self) -> bool {
        self.far.is_some()
    }

    fn publish(&self, message: &Prepared, to: To<'_>) -> Result<Published, PublishError> {
        if is_encoding() {
            return Err(PublishError::Encoding);
        }
        // A handle to the topic keeps its table.
        let Some(table) = self.table.upgrade() else { return Ok(Published::here(0)) };
        match &self.far {
            None => self.publish_in_process(&table, message, to),
            Some(far) => self.publish_far(far, &table, message, to),
        }
    }

    fn hold(&self) {
        self.holders.fetch_add(1, Ordering::Relaxed);
    }

    fn release(&self) {
        if self.holders.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(keeper) = self.keeper.upgrade()
        {
            keeper.forget(self);
        }
    }

    fn note_audience(&self) {
        if let Some(far) = &self.far {
            far.uplink.note_audience(&self.name);
        }
        if let Some(keeper) = self.keeper.upgrade() {
            keeper.forget(self);
        }
    }

    fn reach(&self) -> Pin<Box<dyn Future<Output = Reach> + Send + '_>> {
        Box::pin(async move {
            let Some(far) = &self.far else { return Reach::Process };
            far.uplink
                .wait_for(|| match far.uplink.status() {
                    Status::Down => {
                        far.told_offline.store(true, Ordering::Release);
                        Some(Reach::Offline)
                    }
                    Status::Up(_) if far.is_subscribed.load(Ordering::Acquire) => Some(Reach::AllNodes),
                    _ if !self.is_heard() => Some(Reach::Unheard),
                    Status::Up(_) if far.is_refused.load(Ordering::Acquire) => Some(Reach::Refused),
                    Status::Up(_) | Status::Starting => None,
                })
                .await
        })
    }

    fn position(&self) -> Option<Position> {
        if is_encoding() { None } else { self.end() }
    }

    fn fetch(&self, after: Position) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let (Some(far), Some(history)) = (&self.far, self.history()) else { return };
            // The mirror is complete from the time on at which the engine delivers.
            let _ = timeout(CALL, self.reach()).await;
            let is_there = self.retained().is_some_and(|mut retained| retained.after(Instant::now(), after).is_some());
            let Status::Up(session) = far.uplink.status() else { return };
            if is_there {
                return;
            }
            let Ok(Ok(replay)) = timeout(CALL, session.replay(&self.name, history, Some(after))).await else { return };
            if replay.is_complete
                && let Some(older) = self.encoded(replay.messages)
                && let Some(mut retained) = self.retained()
            {
                retained.prepend(Instant::now(), after, older);
            }
        })
    }

    fn recover(&self, after: Position, take: &mut dyn FnMut(&Prepared), subscribe: &mut dyn FnMut()) -> Recovery {
        let Some(mut retained) = (if is_encoding() { None } else { self.retained() }) else {
            subscribe();
            return Recovery { recovered: false, replayed: 0, position: None };
        };
        let mut replayed = 0;
        let recovered = retained.after(Instant::now(), after).is_some_and(|missed| {
            for message in missed {
                take(message);
                replayed += 1;
            }
            true
        });
        subscribe();
        Recovery { recovered, replayed, position: retained.end() }
    }
}

impl fmt::Debug for NamedTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedTopic").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Far {
    pub(super) fn sequence(&self) -> MutexGuard<'_, Sequence> {
        self.sequence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn heard(message: &Prepared, position: Option<Position>) -> Heard {
    Heard::Message { message: message.message().clone(), position }
}
