//! The numbers of a topic's publications, by which doubles and holes are seen.

use std::collections::{HashMap, VecDeque};

use super::envelope::Envelope;
use crate::engine::Position;

#[derive(Debug, Default)]
pub(super) struct Sequence {
    /// The number of this node's last publication on the topic.
    pub(super) published: u64,
    /// For each node: the number of its last publication that has arrived.
    pub(super) arrived: HashMap<u64, u64>,
    /// With history: this node's publications that its subscribers have heard without a position, while the engine was
    /// down.
    heard: VecDeque<u64>,
    /// With history: arrivals behind a hole.
    pub(super) behind: Vec<Behind>,
}

/// An arrival behind a hole.
#[derive(Debug)]
pub(super) struct Behind {
    pub(super) place: Position,
    /// The offset of the message before it.
    pub(super) before: u64,
    pub(super) envelope: Envelope,
}

impl Sequence {
    /// Notes that this node's subscribers have heard one of its publications without a position. At most `most` of these
    /// can come back from the engine: the newest.
    pub(super) fn note_heard(&mut self, number: u64, most: usize) {
        self.heard.push_back(number);
        if self.heard.len() > most {
            self.heard.pop_front();
        }
    }

    /// Whether this node's subscribers have heard one of its publications without a position. Those before it that the
    /// engine never got are forgotten.
    pub(super) fn was_heard(&mut self, number: u64) -> bool {
        while let Some(first) = self.heard.front().copied().filter(|first| *first <= number) {
            self.heard.pop_front();
            if first == number {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publications_that_cannot_come_back_are_forgotten() {
        let mut sequence = Sequence::default();
        (1..=1000).for_each(|number| sequence.note_heard(number, 3));
        assert_eq!(sequence.heard, [998, 999, 1000]);
        assert!(!sequence.was_heard(997) && sequence.was_heard(998) && !sequence.was_heard(998));
        assert!(sequence.was_heard(1000));
        assert!(sequence.heard.is_empty(), "999 never reached the engine");
    }
}
