//! Connections whose turn ended before their work did. Each is listed once, and all get a turn before any gets a
//! second.

use std::collections::BTreeSet;

/// Connections by key.
#[derive(Debug, Default)]
pub(super) struct Again {
    keys: BTreeSet<usize>,
    /// The position at which the next round continues.
    next: usize,
}

impl Again {
    pub(super) fn insert(&mut self, key: usize) {
        self.keys.insert(key);
    }

    /// Removes a connection that is gone.
    pub(super) fn remove(&mut self, key: usize) {
        self.keys.remove(&key);
    }

    /// Called before each turn. The list is mostly empty.
    #[inline]
    pub(super) fn contains(&self, key: usize) -> bool {
        !self.keys.is_empty() && self.keys.contains(&key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Takes the next connections, at most `most`.
    pub(super) fn take(&mut self, most: usize) -> Vec<usize> {
        if self.keys.len() <= most {
            self.next = 0;
            return std::mem::take(&mut self.keys).into_iter().collect();
        }
        let round = self.keys.range(self.next..).chain(self.keys.range(..self.next));
        let taken: Vec<usize> = round.copied().take(most).collect();
        for key in &taken {
            self.keys.remove(key);
        }
        self.next = taken.last().map_or(0, |last| last + 1);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(keys: impl IntoIterator<Item = usize>) -> Again {
        Again { keys: keys.into_iter().collect(), next: 0 }
    }

    #[test]
    fn each_is_there_once() {
        let mut again = of([7, 7, 3]);
        again.insert(7);
        assert!(again.contains(7) && !again.contains(4));
        assert_eq!(again.take(10), [3, 7]);
        assert!(again.is_empty());
    }

    #[test]
    fn all_have_a_turn_before_anyone_has_two() {
        let mut again = of(0..5);
        let mut turns = [0; 5];
        for _ in 0..10 {
            for key in again.take(2) {
                turns[key] += 1;
                // It has work left again, like all the others.
                again.insert(key);
            }
            let (most, least) = (turns.iter().max().unwrap(), turns.iter().min().unwrap());
            assert!(most - least <= 1, "{turns:?}");
        }
        assert_eq!(turns, [4; 5]);
    }

    #[test]
    fn one_that_is_gone_has_no_turn() {
        let mut again = of([1, 2, 3]);
        again.remove(2);
        assert_eq!(again.take(1), [1]);
        assert_eq!(again.take(1), [3]);
        assert!(again.take(1).is_empty());
    }
}
