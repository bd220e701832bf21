//! Publications that come from the engine: doubles are dropped, holes are filled from the history, and gaps are told.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use ropeway_proto::Prepared;
use tokio::time::Instant;

use super::envelope::{Content, Envelope};
use super::named::{Far, NamedTopic, heard};
use super::outbox::Unheard;
use super::retained::Retained;
use super::sequence::Behind;
use crate::connection_id::ConnectionId;
use crate::engine::{Position, Replay, Wanted};
use crate::topic::{Table, To};

/// The most arrivals that wait behind a hole. If there are more, a gap is told.
const MOST_BEHIND: usize = 4096;

/// For the task that talks to the engine.
impl NamedTopic {
    /// Notes whether the engine delivers the topic's publications.
    pub(super) fn set_subscribed(&self, is_subscribed: bool) {
        if let Some(far) = &self.far {
            far.is_refused.store(false, Ordering::Release);
            far.is_subscribed.store(is_subscribed, Ordering::Release);
        }
    }

    /// Notes that the engine has refused to deliver the topic's publications.
    pub(super) fn set_refused(&self) {
        if let Some(far) = &self.far {
            far.is_refused.store(true, Ordering::Release);
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
            let mut sequence = far.sequence();
            // The engine may have delivered it, and ended before it confirmed it.
            if sequence.arrived.get(&far.uplink.node).is_some_and(|last| number <= *last) {
                return;
            }
            sequence.note_heard(number, far.uplink.most_back());
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
                let mut sequence = far.sequence();
                if sequence.behind.len() < MOST_BEHIND {
                    sequence.behind.push(Behind { place, before, envelope });
                    drop(sequence);
                    far.uplink.note_hole(&self.name);
                    return;
                }
                sequence.behind.clear();
                drop(sequence);
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
            Some(far) if self.history().is_some() => far.uplink.note_hole(&self.name),
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
        let behind = std::mem::take(&mut far.sequence().behind);
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
            Content::Loss if self.history().is_none() => {
                self.is_doubled(far, table, envelope);
            }
            Content::Loss => self.tell_gap(table),
            Content::Message { message, key, .. } => {
                let to = To { except: None, key: key.as_ref() };
                // With history, a node with other settings has published it. Its numbers say nothing here.
                let is_doubled = self.history().is_none() && self.is_doubled(far, table, envelope);
                if !is_doubled && self.deliver(table, &Prepared::from(message.clone()), to, None).is_err() {
                    self.tell_gap(table);
                }
            }
        }
    }

    /// Whether a message of another node has arrived before. If some before it are missing, tells of a gap.
    fn is_doubled(&self, far: &Far, table: &Arc<Table>, envelope: &Envelope) -> bool {
        let last = {
            let mut sequence = far.sequence();
            let last = sequence.arrived.get(&envelope.node).copied();
            if last.is_some_and(|last| envelope.number <= last) {
                return true;
            }
            sequence.arrived.insert(envelope.node, envelope.number);
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
            let mut sequence = far.sequence();
            let last = sequence.arrived.get(&envelope.node).copied().unwrap_or(0);
            if envelope.number <= last {
                true
            } else {
                sequence.arrived.insert(envelope.node, envelope.number);
                envelope.node == far.uplink.node && sequence.was_heard(envelope.number)
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
}
