//! The names of a chat's guests. Each is on one line, belongs to one guest, and cannot be mistaken for a message or a
//! notice.

use std::collections::HashSet;

use unicode_security::skeleton;

use crate::visible::is_hidden;

/// The most characters of a name that are used.
const LONGEST_NAME: usize = 32;

/// The names that are in use.
#[derive(Default)]
pub(super) struct Guests {
    /// The names in the form that [`looks`] returns, so that a name is also refused if it only looks like another.
    taken: HashSet<String>,
    /// The last number that was given to a guest.
    numbered: u64,
}

impl Guests {
    /// Gives a guest the name that the query asks for. If another guest has it, a number is added. If the query has no
    /// name, it is `Guest` with a number.
    pub(super) fn admit(&mut self, query: Option<&str>) -> String {
        if let Some(asked) = query.and_then(name) {
            if self.take(&asked) {
                return asked;
            }
            // The first numbers are tried in turn. If many guests want the same name, the next ones get the number of
            // their visit, so that the cost for each stays the same.
            for number in 2..10 {
                let numbered = format!("{asked} {number}");
                if self.take(&numbered) {
                    return numbered;
                }
            }
            return self.number(&asked);
        }
        self.number("Guest")
    }

    /// Frees the name of a guest who has left.
    pub(super) fn dismiss(&mut self, name: &str) {
        self.taken.remove(&looks(name));
    }

    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }

    fn number(&mut self, name: &str) -> String {
        loop {
            self.numbered += 1;
            let numbered = format!("{name} {}", self.numbered);
            if self.take(&numbered) {
                return numbered;
            }
        }
    }

    fn take(&mut self, name: &str) -> bool {
        self.taken.insert(looks(name))
    }
}

/// The look of a name, by Unicode Technical Standard 39. It is the same for names that look alike, in whichever letters
/// and case they are written.
fn looks(name: &str) -> String {
    skeleton(name).collect::<String>().to_lowercase()
}

/// The name in `?name=Ada`, as one line.
fn name(query: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("name="))?.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&value).decode_utf8_lossy();
    let plain: String = decoded.chars().filter(|&c| c.is_whitespace() || !is_hidden(c)).map(plain).collect();
    let name: String = plain.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST_NAME).collect();
    let name = name.trim_end();
    (!name.is_empty()).then(|| name.to_owned())
}

/// The character itself, or a blank if it looks like a blank or like a character that marks a message (`Ada: hi`) or a
/// notice (`* Ada left`).
fn plain(c: char) -> char {
    let shape: String = skeleton(c.encode_utf8(&mut [0; 4])).collect();
    if c == '\u{2800}' || shape.trim().is_empty() || shape.contains([':', '*']) { ' ' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_decoded_cut_and_kept_to_one_line() {
        assert_eq!(name("room=1&name=Ada+Lovelace").as_deref(), Some("Ada Lovelace"));
        assert_eq!(name("name=%C3%89va%0D%0A").as_deref(), Some("Éva"));
        assert_eq!(name(&format!("name={}", "x".repeat(99))).map(|name| name.len()), Some(32));
        assert_eq!(name("name=%20"), None);
        assert_eq!(name("nickname=Ada"), None);
    }

    #[test]
    fn a_name_has_nothing_that_is_not_seen_or_that_turns_text() {
        let hidden = "\u{202e}E\u{200b}v\u{2066}\u{200d}e\u{1b}\u{feff}\u{3164}\u{e0041}";
        assert_eq!(name(&format!("name={hidden}")).as_deref(), Some("Eve"));
        assert_eq!(name("name=\u{200b}\u{202e}"), None);
        for blank in ["Eve\u{2028}Bob", "Eve\u{a0}\u{2800}\u{3000}Bob", "\tEve\r\nBob "] {
            assert_eq!(name(&format!("name={blank}")).as_deref(), Some("Eve Bob"), "{blank:?}");
        }
    }

    #[test]
    fn a_name_does_not_look_like_a_message_or_a_notice() {
        for colon in ["Bob: hi", "Bob： hi", "Bob∶ hi", "Bob꞉hi", "Bobː hi", "Bob:hi:"] {
            assert_eq!(name(&format!("name={colon}")).as_deref(), Some("Bob hi"), "{colon:?}");
        }
        for star in ["* Bob left", "∗ Bob left", "**Bob left", "⁎Bob left", "\u{200b}*Bob left"] {
            assert_eq!(name(&format!("name={star}")).as_deref(), Some("Bob left"), "{star:?}");
        }
    }

    #[test]
    fn a_name_is_one_guests() {
        let mut guests = Guests::default();
        assert_eq!(guests.admit(Some("name=Bob")), "Bob");
        // The name itself; in small letters; with a zero-width space; with a Cyrillic letter; with a digit; without its
        // blank.
        for (lookalike, named) in [
            ("Bob", "Bob 2"),
            ("bob", "bob 3"),
            ("Bo\u{200b}b", "Bob 4"),
            ("\u{412}ob", "\u{412}ob 5"),
            ("B0b", "B0b 6"),
        ] {
            assert_eq!(guests.admit(Some(&format!("name={lookalike}"))), named);
        }
        assert_eq!(guests.len(), 6);
        guests.dismiss("Bob");
        assert_eq!(guests.admit(Some("name=Bob")), "Bob");
    }

    #[test]
    fn guests_without_a_name_have_different_numbers() {
        let mut guests = Guests::default();
        assert_eq!(guests.admit(Some("name=Guest+2")), "Guest 2");
        assert_eq!([guests.admit(None), guests.admit(Some("name="))], ["Guest 1", "Guest 3"]);
    }

    #[test]
    fn a_crowd_of_one_name_is_told_apart() {
        let mut guests = Guests::default();
        let named: HashSet<_> = (0..3000).map(|_| guests.admit(Some("name=Ada"))).collect();
        assert_eq!((named.len(), guests.len()), (3000, 3000));
        assert!(guests.numbered < 3010, "each takes a number or two: {}", guests.numbered);
    }
}
