//! The last messages of a topic with history: all that there are, if the history is in this process, or a mirror of the
//! engine's.

use std::collections::VecDeque;
use std::time::Duration;

use ropeway_proto::Prepared;
use tokio::time::Instant;

use crate::engine::{History, Position};

/// The last messages of a topic. Messages between `base` and `end` are all there.
#[derive(Debug)]
pub(super) struct Retained {
    history: History,
    /// The place of the newest message that is not here any more, or never was. `None` if no place is known yet.
    base: Option<Position>,
    /// The place of the last message.
    end: Option<Position>,
    /// With the time at which each came.
    messages: VecDeque<(Instant, u64, Prepared)>,
}

impl Retained {
    /// A history in this process.
    pub(super) fn new(history: History, epoch: u64) -> Self {
        let start = Position::new(epoch, 0);
        Self { history, base: Some(start), end: Some(start), messages: VecDeque::new() }
    }

    /// A mirror of an engine's history, of which nothing is known yet.
    pub(super) fn mirror(history: History) -> Self {
        Self { history, base: None, end: None, messages: VecDeque::new() }
    }

    /// The place of the last message, if one is known.
    pub(super) fn end(&self) -> Option<Position> {
        self.end
    }

    /// Forgets all messages. Those after this place are expected next.
    pub(super) fn restart(&mut self, end: Position) {
        self.messages.clear();
        self.base = Some(end);
        self.end = Some(end);
    }

    /// Adds a message behind the last one.
    pub(super) fn push(&mut self, now: Instant, place: Position, message: Prepared) {
        self.messages.push_back((now, place.offset, message));
        self.end = Some(place);
        self.forget_old(now);
    }

    /// Notes that the message of this place is not to be kept, since it is here already.
    pub(super) fn skip(&mut self, place: Position) {
        self.end = Some(place);
    }

    /// Adds older messages in front. Their base is the place after which they are complete. Does nothing if they do not
    /// reach as far as those that are here.
    pub(super) fn prepend(&mut self, now: Instant, base: Position, older: Vec<(Position, Prepared)>) {
        let Some(known) = self.base.filter(|known| known.epoch == base.epoch && base.offset < known.offset) else {
            return;
        };
        let missing: Vec<_> = older.into_iter().filter(|(place, _)| place.offset <= known.offset).collect();
        for (place, message) in missing.into_iter().rev() {
            self.messages.push_front((now, place.offset, message));
        }
        self.base = Some(base);
        // The count does not cut off what somebody asks for now.
    }

    /// The messages after a place, oldest first. `None` if some of them are not here.
    pub(super) fn after(&mut self, now: Instant, place: Position) -> Option<impl Iterator<Item = &Prepared>> {
        self.forget_old(now);
        let (base, end) = (self.base?, self.end?);
        if place.epoch != base.epoch || place.offset < base.offset || place.offset > end.offset {
            return None;
        }
        let start = self.messages.partition_point(|(_, offset, _)| *offset <= place.offset);
        Some(self.messages.range(start..).map(|(_, _, message)| message))
    }

    /// The time after which nothing is left, if messages are there.
    pub(super) fn kept_until(&self) -> Option<Instant> {
        self.messages.back().map(|(came, ..)| *came + self.history.time())
    }

    /// The number of messages.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    fn forget_old(&mut self, now: Instant) {
        let time: Duration = self.history.time();
        let most = self.history.count() as usize;
        let Some(base) = &mut self.base else { return };
        while let Some((came, offset, _)) = self.messages.front() {
            if self.messages.len() <= most && now.saturating_duration_since(*came) < time {
                break;
            }
            base.offset = *offset;
            self.messages.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn texts(retained: &mut Retained, now: Instant, offset: u64) -> Option<Vec<String>> {
        let messages = retained.after(now, Position::new(9, offset))?;
        Some(messages.map(|message| message.message().to_string()).collect())
    }

    fn filled(history: History, now: Instant, count: u64) -> Retained {
        let mut retained = Retained::new(history, 9);
        for offset in 1..=count {
            retained.push(now, Position::new(9, offset), Prepared::from(offset.to_string()));
        }
        retained
    }

    #[test]
    fn exactly_the_messages_after_a_place_are_returned_or_none() {
        let now = Instant::now();
        let mut retained = filled(History::last(3), now, 5);
        assert_eq!(texts(&mut retained, now, 5), Some(vec![]));
        assert_eq!(texts(&mut retained, now, 3), Some(vec!["4".into(), "5".into()]));
        assert_eq!(texts(&mut retained, now, 2), Some(vec!["3".into(), "4".into(), "5".into()]));
        assert_eq!(texts(&mut retained, now, 1), None, "2 is gone");
        assert_eq!(texts(&mut retained, now, 6), None, "there is no such place yet");
        assert!(retained.after(now, Position::new(8, 4)).is_none(), "another epoch");
    }

    #[test]
    fn messages_are_forgotten_after_their_time() {
        let now = Instant::now();
        let mut retained = filled(History::last(9).for_at_most(10 * SECOND), now, 2);
        retained.push(now + 5 * SECOND, Position::new(9, 3), Prepared::from("3"));
        assert_eq!(texts(&mut retained, now + 9 * SECOND, 0).map(|texts| texts.len()), Some(3));
        assert_eq!(texts(&mut retained, now + 10 * SECOND, 0), None);
        assert_eq!(texts(&mut retained, now + 10 * SECOND, 2), Some(vec!["3".into()]));
        assert_eq!(texts(&mut retained, now + 15 * SECOND, 2), None);
        assert_eq!(texts(&mut retained, now + 15 * SECOND, 3), Some(vec![]), "nothing was missed");
    }

    #[test]
    fn a_mirror_knows_what_it_has_heard_and_what_is_put_in_front() {
        let now = Instant::now();
        let mut mirror = Retained::mirror(History::last(3));
        assert!(mirror.after(now, Position::new(9, 0)).is_none());
        mirror.restart(Position::new(9, 20));
        mirror.push(now, Position::new(9, 25), Prepared::from("25"));
        assert_eq!(texts(&mut mirror, now, 20), Some(vec!["25".into()]));
        assert_eq!(texts(&mut mirror, now, 12), None);
        let older = [12, 20, 25].map(|offset| (Position::new(9, offset), Prepared::from(offset.to_string())));
        mirror.prepend(now, Position::new(9, 10), older.to_vec());
        assert_eq!(texts(&mut mirror, now, 10), Some(vec!["12".into(), "20".into(), "25".into()]));
        assert_eq!(mirror.len(), 3);
        mirror.push(now, Position::new(9, 30), Prepared::from("30"));
        assert_eq!(texts(&mut mirror, now, 12).map(|texts| texts.len()), Some(3));
        assert_eq!(texts(&mut mirror, now, 11), None);
    }
}
