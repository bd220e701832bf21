//! A named topic: publishing and arrivals, on this node and between nodes.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use ropeway_proto::Prepared;
use tokio::time::{Instant, timeout};

use super::envelope::{Content, Envelope};
use super::events::TopicsEvent;
use super::form::{Form, is_encoding};
use super::member::{Member, MemberEvent};
use super::outbox::{Kind, Unheard, Waiting};
use super::retained::Retained;
use super::roster::Roster;
use super::uplink::{ENVELOPE, Link, Uplink};
use crate::connection_id::ConnectionId;
use crate::engine::{History, Name, Outgoing, Position, Presence, Replay, Wanted};
use crate::topic::feed::Feed;
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
    name: Name,
    table: Weak<Table>,
    keeper: Weak<dyn Keeper>,
    form: Arc<Form>,
    holders: AtomicUsize,
    history: Option<(History, Mutex<Retained>)>,
    far: Option<Far>,
    /// The members, if somebody has asked for them or joined.
    roster: Mutex<Option<Box<Roster>>>,
}

/// The part of a topic that spans nodes.
struct Far {
    uplink: Arc<Uplink>,
    /// Whether the engine delivers the topic's publications.
    is_subscribed: AtomicBool,
    /// Whether somebody was told that only messages of this node are heard.
    told_offline: AtomicBool,
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
            told_offline: AtomicBool::new(false),
            traffic: Mutex::default(),
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

    fn retained(&self) -> Option<MutexGuard<'_, Retained>> {
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
        let mut traffic = far.traffic();
        let envelope = Envelope {
            node: far.uplink.node,
            number,
            before: std::mem::replace(&mut traffic.published, number),
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
            traffic.heard.push_back(number);
        }
        drop(traffic);
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

    fn deliver(
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

/// For the task that talks to the engine.
impl NamedTopic {
    /// Notes whether the engine delivers the topic's publications.
    pub(super) fn set_subscribed(&self, is_subscribed: bool) {
        if let Some(far) = &self.far {
            far.is_subscribed.store(is_subscribed, Ordering::Release);
        }
    }

    /// Whether somebody was told since the last call that only messages of this node are heard.
    pub(super) fn take_told_offline(&self) -> bool {
        self.far.as_ref().is_some_and(|far| far.told_offline.swap(false, Ordering::AcqRel))
    }

    /// Delivers a message that this node's subscribers were to hear when it came back from the engine, which is down.
    pub(super) fn hear_offline(&self, number: u64, unheard: &Unheard) {
        let Some(far) = &self.far else { return };
        {
            let mut traffic = far.traffic();
            // The engine may have delivered it, and ended before it confirmed it.
            if traffic.arrived.get(&far.uplink.node).is_some_and(|last| number <= *last) {
                return;
            }
            traffic.heard.push_back(number);
        }
        let Unheard { table, message, except, key } = unheard;
        if self.deliver(table, message, To { except: *except, key: key.as_ref() }, None).is_err() {
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
                self.arrive_without_place(far, table, &envelope);
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
        } else if !replay.is_complete {
            let was_known = retained.end();
            // Messages behind the hole are here already.
            let first = behind.iter().find(|behind| behind.place.epoch == replay.end.epoch);
            let end = first.map_or(replay.end, |first| Position::new(replay.end.epoch, first.before));
            retained.restart(end);
            if was_known.is_some_and(|known| known != end) {
                self.tell_gap(table);
            }
        }
        if retained.end().is_none() {
            retained.restart(replay.end);
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

    fn arrive_without_place(&self, far: &Far, table: &Arc<Table>, envelope: &Envelope) {
        match &envelope.content {
            Content::Member { key, value, has_left } => {
                let key = Arc::from(key.as_str());
                self.with_roster(|roster| if *has_left { roster.left(&key) } else { roster.joined(&key, value) });
            }
            // It tells of the gap. Its number says that there is no other before the next message.
            Content::Loss if self.history.is_none() => {
                self.is_doubled(far, table, envelope);
            }
            Content::Loss => self.tell_gap(table),
            Content::Message { message, key, .. } => {
                let to = To { except: None, key: key.as_ref() };
                // With history, a node with other settings has published it. Its numbers say nothing here.
                let is_doubled = self.history.is_none() && self.is_doubled(far, table, envelope);
                if !is_doubled && self.deliver(table, &Prepared::from(message.clone()), to, None).is_err() {
                    self.tell_gap(table);
                }
            }
        }
    }

    /// Whether a message of another node has arrived before. If some before it are missing, tells of a gap.
    fn is_doubled(&self, far: &Far, table: &Arc<Table>, envelope: &Envelope) -> bool {
        let last = {
            let mut traffic = far.traffic();
            let last = traffic.arrived.get(&envelope.node).copied();
            if last.is_some_and(|last| envelope.number <= last) {
                return true;
            }
            traffic.arrived.insert(envelope.node, envelope.number);
            last
        };
        if envelope.is_after_loss || last.is_some_and(|last| envelope.before > last) {
            self.tell_gap(table);
        }
        false
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
        let is_own = envelope.node == far.uplink.node;
        if envelope.is_lossy() {
            // Messages before and after it are not in one piece.
            retained.restart(place);
            if !is_own && (!is_known || matches!(envelope.content, Content::Loss)) {
                self.tell_gap(table);
            }
        }
        let Content::Message { message, except, key } = &envelope.content else {
            retained.skip(place);
            return;
        };
        let message = Prepared::from(message.clone());
        let encoded = self.form.encode(&self.name, &message, Some(place));
        let except = except.filter(|_| is_own).and_then(ConnectionId::from_u64);
        if !is_known
            && table.publish(&encoded, To { except, key: key.as_ref() }, || heard(&message, Some(place))).is_err()
        {
            self.tell_gap(table);
        }
        retained.push(Instant::now(), place, encoded);
    }

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

/// The members.
impl NamedTopic {
    pub(super) fn topic_name(&self) -> &Name {
        &self.name
    }

    /// The number of this node, or 0 without an engine.
    pub(super) fn node(&self) -> u64 {
        self.far.as_ref().map_or(0, |far| far.uplink.node)
    }

    /// The state of the connection with the engine, if there is one.
    pub(super) fn link(&self) -> Option<Link> {
        self.far.as_ref().map(|far| far.uplink.link())
    }

    /// Whether a member of this key has joined on this node.
    pub(super) fn is_own_key(&self, key: &str) -> bool {
        key.split_once('-').is_some_and(|(node, _)| u64::from_str_radix(node, 16) == Ok(self.node()))
    }

    pub(super) fn members_here(&self) -> Vec<Member> {
        let member =
            |(key, value): (&Arc<str>, &Bytes)| Member { key: Arc::clone(key), value: value.clone(), is_here: true };
        self.roster().as_ref().map_or_else(Vec::new, |roster| roster.here().map(member).collect())
    }

    pub(super) fn join(&self, key: &Arc<str>, value: &Bytes) {
        self.roster().get_or_insert_default().join_here(key, value);
        if let Some(far) = &self.far {
            far.uplink.join(self.presence(key, value));
            self.tell_nodes(far, key, value, false);
        }
    }

    pub(super) fn leave(&self, key: &Arc<str>) {
        let left = self.with_roster(|roster| roster.leave_here(key)).flatten();
        if let (Some(far), Some(value)) = (&self.far, left) {
            far.uplink.leave(key);
            self.tell_nodes(far, key, &value, true);
        }
    }

    pub(super) fn read_members(&self) -> Arc<Feed<MemberEvent>> {
        let feed = self.roster().get_or_insert_default().read();
        if let Some(far) = &self.far {
            far.uplink.note_members(&self.name);
        }
        feed
    }

    /// Whether somebody reads the changes of the members.
    pub(super) fn is_watched(&self) -> bool {
        self.roster().as_ref().is_some_and(|roster| roster.is_read())
    }

    /// Notes the members, as the engine has them.
    pub(super) fn note_members(&self, all: Vec<Presence>) {
        let all: Vec<_> = all.into_iter().map(|member| (member.key.into(), member.value)).collect();
        let is_own = |key: &str| self.is_own_key(key);
        self.with_roster(|roster| roster.update(&all, is_own));
    }

    /// Tells the other nodes of a change at once. If they miss it, they find it when they ask the engine.
    fn tell_nodes(&self, far: &Far, key: &Arc<str>, value: &Bytes, has_left: bool) {
        let mut outbox = far.uplink.outbox();
        if !outbox.is_up() {
            return;
        }
        let number = outbox.next_number();
        let content = Content::Member { key: key.as_ref().to_owned(), value: value.clone(), has_left };
        let envelope = Envelope { node: far.uplink.node, number, before: 0, is_after_loss: false, content };
        let outgoing = Outgoing { topic: self.name.clone(), body: envelope.encode(), history: None };
        outbox.push(Waiting { outgoing, number, unheard: None, kind: Kind::Member, topic: None });
        drop(outbox);
        far.uplink.ring();
    }

    fn presence(&self, key: &Arc<str>, value: &Bytes) -> Presence {
        Presence { topic: self.name.clone(), key: key.as_ref().to_owned(), value: value.clone() }
    }

    /// Changes the members, if there is a list of them. It is dropped if it is no longer needed.
    fn with_roster<T>(&self, change: impl FnOnce(&mut Roster) -> T) -> Option<T> {
        let mut roster = self.roster();
        let result = change(roster.as_mut()?);
        if roster.as_ref().is_some_and(|roster| roster.is_empty()) {
            *roster = None;
        }
        Some(result)
    }

    fn roster(&self) -> MutexGuard<'_, Option<Box<Roster>>> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
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
                .wait_for(|| match far.uplink.link() {
                    Link::Down => {
                        far.told_offline.store(true, Ordering::Release);
                        Some(Reach::Offline)
                    }
                    Link::Up(_) if far.is_subscribed.load(Ordering::Acquire) => Some(Reach::AllNodes),
                    _ if !self.is_heard() => Some(Reach::Unheard),
                    Link::Up(_) | Link::Starting => None,
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
            let Link::Up(session) = far.uplink.link() else { return };
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
