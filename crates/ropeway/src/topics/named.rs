//! A named topic: publishing and arrivals, on this node and between nodes.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use ropeway_proto::Prepared;
use tokio::time::{Instant, timeout};

use super::envelope::{Content, Envelope};
use super::events::TopicsEvent;
use super::form::{Form, is_encoding};
use super::outbox::{Unheard, Waiting};
use super::retained::Retained;
use super::uplink::{Link, Uplink};
use crate::connection_id::ConnectionId;
use crate::engine::{History, Name, Outgoing, Position, Replay, Wanted};
use crate::topic::{Heard, Named, PublishError, Published, Reach, Recovery, Table};

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
    name: Name,
    keeper: Weak<dyn Keeper>,
    form: Arc<Form>,
    holders: AtomicUsize,
    history: Option<(History, Mutex<Retained>)>,
    far: Option<Far>,
}

/// The part of a topic that spans nodes.
struct Far {
    uplink: Arc<Uplink>,
    /// Whether the engine delivers the topic's publications.
    is_subscribed: AtomicBool,
    traffic: Mutex<Traffic>,
}

#[derive(Debug, Default)]
struct Traffic {
    /// The number of this node's last publication on the topic.
    published: u64,
    /// For each node: the number of its last publication that has arrived.
    arrived: HashMap<u64, u64>,
    /// With history: this node's publications that its subscribers have heard without a position, while the engine was
    /// down.
    heard: VecDeque<u64>,
    /// With history: arrivals behind a hole.
    behind: Vec<Behind>,
}

/// An arrival behind a hole.
#[derive(Debug)]
struct Behind {
    place: Position,
    /// The offset of the message before it.
    before: u64,
    envelope: Envelope,
}

/// The most arrivals that wait behind a hole. If there are more, a gap is told.
const MOST_BEHIND: usize = 4096;

impl NamedTopic {
    pub(super) fn new(
        name: Name,
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
            traffic: Mutex::default(),
        };
        Self {
            name,
            keeper,
            form: Arc::clone(form),
            holders: AtomicUsize::new(0),
            history: history.map(|history| (history, Mutex::new(retained(history)))),
            far: uplink.map(far),
        }
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

    fn retained(&self) -> Option<MutexGuard<'_, Retained>> {
        self.history.as_ref().map(|(_, retained)| retained.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Publishes in this process alone, with history if there is some.
    fn publish_in_process(
        &self,
        table: &Arc<Table>,
        message: &Prepared,
        except: Option<ConnectionId>,
    ) -> Result<Published, PublishError> {
        let Some(mut retained) = self.retained() else {
            return self.deliver(table, message, except, None).map(Published::here);
        };
        let end = retained.end().unwrap_or(Position::new(0, 0));
        let place = Position::new(end.epoch, end.offset + 1);
        let encoded = self.form.encode(&self.name, message, Some(place));
        let local = table.publish(&encoded, except, || heard(message, Some(place)))?;
        retained.push(Instant::now(), place, encoded);
        Ok(Published { local, position: Some(place), engine: None })
    }

    fn publish_far(
        &self,
        far: &Far,
        table: &Arc<Table>,
        message: &Prepared,
        except: Option<ConnectionId>,
    ) -> Result<Published, PublishError> {
        let limit = far.uplink.max_message();
        if message.message().len() > limit {
            return Err(PublishError::TooLarge { limit });
        }
        let mut local = None;
        if self.history.is_none() {
            local = Some(self.deliver(table, message, except, None)?);
        }
        let mut outbox = far.uplink.outbox();
        let is_up = outbox.is_up();
        let number = outbox.next_number();
        let mut traffic = far.traffic();
        let envelope = Envelope {
            node: far.uplink.node,
            number,
            before: std::mem::replace(&mut traffic.published, number),
            is_after_loss: outbox.take_loss(&self.name),
            content: Content::Message { message: message.message().clone(), except: except.map(ConnectionId::as_u64) },
        };
        let unheard =
            (local.is_none() && is_up).then(|| Unheard { table: Arc::clone(table), message: message.clone(), except });
        if local.is_none() && !is_up {
            traffic.heard.push_back(number);
        }
        drop(traffic);
        let outgoing = Outgoing { topic: self.name.clone(), body: envelope.encode(), history: self.history() };
        let delivery = outbox.push(Waiting { outgoing, number, unheard });
        drop(outbox);
        far.uplink.ring();
        let local = match local {
            Some(local) => local,
            None if is_up => table.len(),
            // It is in the outbox, so it is published. If a loop has no room, its subscribers are told of a gap.
            None => self.deliver(table, message, except, None).unwrap_or_else(|_full| {
                self.tell_gap(table);
                0
            }),
        };
        Ok(Published { local, position: None, engine: Some(delivery) })
    }

    fn deliver(
        &self,
        table: &Arc<Table>,
        message: &Prepared,
        except: Option<ConnectionId>,
        position: Option<Position>,
    ) -> Result<usize, PublishError> {
        table.publish(&self.form.encode(&self.name, message, position), except, || heard(message, position))
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

/// For the task that talks to the engine.
impl NamedTopic {
    /// Notes whether the engine delivers the topic's publications.
    pub(super) fn set_subscribed(&self, is_subscribed: bool) {
        if let Some(far) = &self.far {
            far.is_subscribed.store(is_subscribed, Ordering::Release);
        }
    }

    /// Delivers a message that this node's subscribers were to hear when it came back from the engine, which is down.
    pub(super) fn hear_offline(&self, number: u64, unheard: &Unheard) {
        let Some(far) = &self.far else { return };
        far.traffic().heard.push_back(number);
        let Unheard { table, message, except } = unheard;
        if self.deliver(table, message, *except, None).is_err() {
            self.tell_gap(table);
        }
    }

    /// Delivers an arrival. With history, `place` is its position and the offset of the message before it.
    pub(super) async fn arrive(&self, table: &Arc<Table>, envelope: Envelope, place: Option<(Position, u64)>) {
        // A loop that is behind holds up the engine's deliveries, not its own connections.
        poll_fn(|cx| if table.has_room(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        let Some(far) = &self.far else { return };
        let Some((place, before)) = place else {
            if envelope.node != far.uplink.node {
                self.arrive_in_any_order(far, table, &envelope);
            }
            return;
        };
        let Some(mut retained) = self.retained() else { return };
        match retained.end() {
            None => retained.restart(Position::new(place.epoch, before)),
            Some(end) if end.epoch != place.epoch => {
                retained.restart(Position::new(place.epoch, before));
                self.tell_gap(table);
            }
            Some(end) if place.offset <= end.offset => return,
            Some(end) if before > end.offset => {
                let mut traffic = far.traffic();
                if traffic.behind.len() < MOST_BEHIND {
                    traffic.behind.push(Behind { place, before, envelope });
                    drop(traffic);
                    far.uplink.note_hole(&self.name);
                    return;
                }
                traffic.behind.clear();
                drop(traffic);
                retained.restart(Position::new(place.epoch, before));
                self.tell_gap(table);
            }
            Some(_) => {}
        }
        self.arrive_in_order(far, table, &mut retained, &envelope, place);
    }

    /// Tells all that messages may be missing, or has the engine asked for them if there is history.
    pub(super) fn tell_missed(&self, table: &Arc<Table>) {
        match &self.far {
            Some(far) if self.history.is_some() => far.uplink.note_hole(&self.name),
            _ => self.tell_gap(table),
        }
    }

    /// The request to the engine.
    pub(super) fn wanted(&self) -> Wanted {
        Wanted { topic: self.name.clone(), history: self.history() }
    }

    /// Delivers what was missed, as the engine has it.
    pub(super) fn heal(&self, table: &Arc<Table>, replay: Replay) {
        let (Some(far), Some(mut retained)) = (&self.far, self.retained()) else { return };
        let behind = std::mem::take(&mut far.traffic().behind);
        if retained.end().is_none() {
            // From here on the history can prove that nothing was missed. The topic is not yet said to be subscribed, so
            // messages that arrive late are older than the promise.
            retained.restart(replay.end);
        }
        if !replay.is_complete {
            let was_known = retained.end();
            // Messages behind the hole are here already.
            let first = behind.iter().find(|behind| behind.place.epoch == replay.end.epoch);
            let end = first.map_or(replay.end, |first| Position::new(replay.end.epoch, first.before));
            retained.restart(end);
            if was_known.is_some_and(|known| known != end) {
                self.tell_gap(table);
            }
        }
        let missed = replay.messages.into_iter().filter_map(|(place, body)| Some((place, Envelope::decode(body)?)));
        for (place, envelope) in missed.chain(behind.into_iter().map(|behind| (behind.place, behind.envelope))) {
            let is_new = retained.end().is_none_or(|end| end.epoch == place.epoch && end.offset < place.offset);
            if is_new {
                self.arrive_in_order(far, table, &mut retained, &envelope, place);
            }
        }
    }

    /// The place of the last message that this node has of a topic with history.
    pub(super) fn end(&self) -> Option<Position> {
        self.retained()?.end()
    }

    fn arrive_in_any_order(&self, far: &Far, table: &Arc<Table>, envelope: &Envelope) {
        let last = {
            let mut traffic = far.traffic();
            let last = traffic.arrived.get(&envelope.node).copied();
            if last.is_some_and(|last| envelope.number <= last) {
                return;
            }
            traffic.arrived.insert(envelope.node, envelope.number);
            last
        };
        if envelope.is_after_loss
            || matches!(envelope.content, Content::Loss)
            || last.is_some_and(|last| envelope.before > last)
        {
            self.tell_gap(table);
        }
        if let Content::Message { message, .. } = &envelope.content
            && self.deliver(table, &Prepared::from(message.clone()), None, None).is_err()
        {
            self.tell_gap(table);
        }
    }

    fn arrive_in_order(
        &self,
        far: &Far,
        table: &Arc<Table>,
        retained: &mut Retained,
        envelope: &Envelope,
        place: Position,
    ) {
        let is_known = {
            let mut traffic = far.traffic();
            let last = traffic.arrived.get(&envelope.node).copied().unwrap_or(0);
            if envelope.number <= last {
                true
            } else {
                traffic.arrived.insert(envelope.node, envelope.number);
                envelope.node == far.uplink.node && traffic.was_heard(envelope.number)
            }
        };
        let Content::Message { message, except } = &envelope.content else {
            retained.skip(place);
            return;
        };
        let message = Prepared::from(message.clone());
        let encoded = self.form.encode(&self.name, &message, Some(place));
        let is_own = envelope.node == far.uplink.node;
        let except = except.filter(|_| is_own).and_then(ConnectionId::from_u64);
        if !is_known && table.publish(&encoded, except, || heard(&message, Some(place))).is_err() {
            self.tell_gap(table);
        }
        retained.push(Instant::now(), place, encoded);
    }

    /// The messages of a replay in the form in which subscribers get them.
    fn encoded(&self, messages: Vec<(Position, bytes::Bytes)>) -> Vec<(Position, Prepared)> {
        let encoded = messages.into_iter().filter_map(|(place, body)| {
            let Content::Message { message, .. } = Envelope::decode(body)?.content else { return None };
            Some((place, self.form.encode(&self.name, &Prepared::from(message), Some(place))))
        });
        encoded.collect()
    }
}

impl Named for NamedTopic {
    fn name(&self) -> &Name {
        &self.name
    }

    fn has_engine(&self) -> bool {
        self.far.is_some()
    }

    fn publish(
        &self,
        table: &Arc<Table>,
        message: &Prepared,
        except: Option<ConnectionId>,
    ) -> Result<Published, PublishError> {
        if is_encoding() {
            return Err(PublishError::Encoding);
        }
        match &self.far {
            None => self.publish_in_process(table, message, except),
            Some(far) => self.publish_far(far, table, message, except),
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

    fn reach<'a>(&'a self, table: &'a Table) -> Pin<Box<dyn Future<Output = Reach> + Send + 'a>> {
        Box::pin(async move {
            let Some(far) = &self.far else { return Reach::Process };
            far.uplink
                .wait_for(|| match far.uplink.link() {
                    Link::Down => Some(Reach::Offline),
                    Link::Up(_) if far.is_subscribed.load(Ordering::Acquire) => Some(Reach::AllNodes),
                    _ if !table.is_heard() => Some(Reach::Unheard),
                    Link::Up(_) | Link::Starting => None,
                })
                .await
        })
    }

    fn position(&self) -> Option<Position> {
        if is_encoding() { None } else { self.end() }
    }

    fn fetch<'a>(&'a self, table: &'a Table, after: Position) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            let (Some(far), Some(history)) = (&self.far, self.history()) else { return };
            // The mirror is complete from the time on at which the engine delivers.
            let _ = timeout(CALL, self.reach(table)).await;
            let is_there = self.retained().is_some_and(|mut retained| retained.after(Instant::now(), after).is_some());
            let Link::Up(session) = far.uplink.link() else { return };
            if is_there {
                return;
            }
            let Ok(Ok(replay)) = timeout(CALL, session.replay(&self.name, history, Some(after))).await else { return };
            if replay.is_complete {
                let older = self.encoded(replay.messages);
                if let Some(mut retained) = self.retained() {
                    retained.prepend(Instant::now(), after, older);
                }
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
    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Traffic {
    /// Whether this node's subscribers have heard one of its publications without a position. Those before it that the
    /// engine never got are forgotten.
    fn was_heard(&mut self, number: u64) -> bool {
        while let Some(first) = self.heard.front().copied().filter(|first| *first <= number) {
            self.heard.pop_front();
            if first == number {
                return true;
            }
        }
        false
    }
}

fn heard(message: &Prepared, position: Option<Position>) -> Heard {
    Heard::Message { message: message.message().clone(), position }
}
