//! Notices of guests that join a chat or leave it. If each guest were told of each, the number of messages would be the
//! square of the number of guests. So the messages a second are limited, and guests that come faster than that share a
//! notice.

use std::time::{Duration, Instant};

/// The time that a message to one guest uses up, so that notices are at most 1,000 messages a second.
const A_MESSAGE: Duration = Duration::from_millis(1);

/// How far ahead of its time a notice may be sent. So in a small room everyone is told at once.
const AHEAD: Duration = Duration::from_secs(1);

/// The longest pause after one notice, in the largest of rooms.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How many guests are named in a notice. The others are only counted.
const NAMED: usize = 3;

pub(super) struct Notices {
    /// The place of the guests that are counted, such as `here`.
    place: String,
    joined: Crowd,
    left: Crowd,
    /// The time that is used up by the messages so far.
    paid: Option<Instant>,
    /// Whether a call of [`Notices::due`] is coming.
    awaited: bool,
}

/// The answer to a change: the notices to send, or when to ask again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tell {
    /// Send these to everyone.
    Now(Vec<String>),
    /// Send nothing yet. Call [`Notices::due`] at this time.
    At(Instant),
    /// Nothing to do, or a call is coming already.
    Nothing,
}

impl Notices {
    /// Notices of the guests at a place, such as `here`.
    pub(super) fn of_guests(place: impl Into<String>) -> Self {
        Self { place: place.into(), joined: Crowd::default(), left: Crowd::default(), paid: None, awaited: false }
    }

    /// A guest has joined. `here` is the number of guests now.
    pub(super) fn joined(&mut self, name: &str, here: usize, now: Instant) -> Tell {
        self.joined.add(name);
        self.tell(here, now)
    }

    /// A guest has left. `here` is the number of guests that are left.
    pub(super) fn left(&mut self, name: &str, here: usize, now: Instant) -> Tell {
        self.left.add(name);
        self.tell(here, now)
    }

    /// The time of a [`Tell::At`] has come.
    pub(super) fn due(&mut self, here: usize, now: Instant) -> Tell {
        self.awaited = false;
        self.tell(here, now)
    }

    fn tell(&mut self, here: usize, now: Instant) -> Tell {
        if self.awaited {
            return Tell::Nothing;
        }
        let paid = self.paid.map_or(now, |paid| paid.max(now));
        let early = paid.duration_since(now).saturating_sub(AHEAD);
        if !early.is_zero() {
            self.awaited = true;
            return Tell::At(now + early);
        }
        let place = &self.place;
        let told: Vec<_> = [(&mut self.joined, "joined"), (&mut self.left, "left")]
            .into_iter()
            .filter_map(|(crowd, verb)| Some(format!("* {} {verb} ({here} {place})", crowd.take()?)))
            .collect();
        if told.is_empty() {
            return Tell::Nothing;
        }
        let messages = u32::try_from(here * told.len()).unwrap_or(u32::MAX);
        self.paid = Some(paid + A_MESSAGE.saturating_mul(messages).min(LONGEST_PAUSE));
        Tell::Now(told)
    }
}

/// Some guests. Only the first of them are kept by name.
#[derive(Default)]
struct Crowd {
    names: Vec<String>,
    others: usize,
}

impl Crowd {
    fn add(&mut self, name: &str) {
        if self.names.len() < NAMED {
            self.names.push(name.to_owned());
        } else {
            self.others += 1;
        }
    }

    /// Returns all of them in words, and forgets them. `None` if there are none.
    fn take(&mut self) -> Option<String> {
        let Self { mut names, others } = std::mem::take(self);
        match others {
            0 => {}
            1 => names.push("1 other".to_owned()),
            others => names.push(format!("{others} others")),
        }
        let last = names.pop()?;
        Some(if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(told: &[&str]) -> Tell {
        Tell::Now(told.iter().map(|&notice| notice.to_owned()).collect())
    }

    #[test]
    fn in_a_small_room_everyone_is_told_at_once() {
        let mut notices = Notices::of_guests("here");
        let at = Instant::now();
        assert_eq!(notices.joined("Ada", 1, at), now(&["* Ada joined (1 here)"]));
        assert_eq!(notices.joined("Bob", 2, at), now(&["* Bob joined (2 here)"]));
        assert_eq!(notices.left("Ada", 1, at), now(&["* Ada left (1 here)"]));
    }

    #[test]
    fn guests_that_come_fast_share_a_notice() {
        let mut notices = Notices::of_guests("here");
        let at = Instant::now();
        assert_eq!(notices.joined("Ada", 1500, at), now(&["* Ada joined (1500 here)"]));
        assert_eq!(notices.joined("Bob", 1501, at), Tell::At(at + Duration::from_millis(500)));
        for here in 1502..1550 {
            assert_eq!(notices.joined("Eve", here, at), Tell::Nothing, "it is waited for already");
        }
        assert_eq!(notices.left("Bob", 1548, at), Tell::Nothing);
        let later = at + Duration::from_millis(500);
        assert_eq!(
            notices.due(1548, later),
            now(&["* Bob, Eve, Eve and 46 others joined (1548 here)", "* Bob left (1548 here)"])
        );
        assert_eq!(notices.due(1548, later + Duration::from_secs(9)), Tell::Nothing);
    }

    #[test]
    fn a_crowd_costs_no_square_of_messages() {
        let mut notices = Notices::of_guests("here");
        let start = Instant::now();
        let (mut messages, mut told, mut due) = (0, 0, None);
        // 3,000 guests in three seconds, and then the time until all of them are announced.
        for step in 0..60_000 {
            let at = start + Duration::from_millis(step);
            let here = usize::try_from(step.min(2999)).unwrap() + 1;
            let mut tell = Vec::new();
            if due.is_some_and(|due| due <= at) {
                due = None;
                tell.push(notices.due(here, at));
            }
            if step < 3000 {
                tell.push(notices.joined("Ada", here, at));
            }
            for tell in tell {
                match tell {
                    Tell::Now(notices) => {
                        messages += here * notices.len();
                        told = here;
                    }
                    Tell::At(at) => assert_eq!(due.replace(at), None, "one timer at a time"),
                    Tell::Nothing => {}
                }
            }
        }
        assert_eq!(told, 3000, "the last count is everyone's");
        // A notice for each guest would be 4,501,500 messages.
        assert!(messages < 10_000, "{messages}");
    }
}
