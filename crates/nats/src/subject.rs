//! The subjects of an application. A topic's name is one token of a subject, whatever is in it.
//!
//! ```text
//! rw.t.NAME.-          a message without history
//! rw.t.NAME.EPOCH      a message of a history, as all nodes hear it
//! rw.h.HISTORY.NAME    a message of a history on its way into the stream
//! rw.m.NAME.KEY        a member
//! rw.i.…               answers to this connection alone
//! rw.q, rw.g           questions and greetings between the nodes of a cluster
//! ```

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ropeway::engine::Name;

/// All bytes but these and letters and digits of ASCII are escaped. That is more than NATS needs, but what is left has
/// no meaning in any shell, log or rule of permissions.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b':').remove(b'~');

/// The token of the empty name. No other name has it, since a `%` is followed by two digits in all others.
const EMPTY: &str = "%";

/// The last token of messages without history.
pub(crate) const NO_EPOCH: &str = "-";

/// Subjects below a prefix.
#[derive(Clone, Debug)]
pub(crate) struct Subjects {
    prefix: String,
}

impl Subjects {
    /// The prefix is one token: see [`is_token`].
    pub(crate) fn below(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The subject for publishing without history.
    pub(crate) fn publish(&self, topic: &Name) -> String {
        format!("{}.t.{}.{NO_EPOCH}", self.prefix, token(topic))
    }

    /// The subject for subscribing: to messages without history, and to those of any epoch.
    pub(crate) fn subscribe(&self, topic: &Name) -> String {
        format!("{}.t.{}.*", self.prefix, token(topic))
    }

    /// Where nodes of a cluster ask whether a server knows their subscriptions.
    pub(crate) fn question(&self) -> String {
        format!("{}.q", self.prefix)
    }

    /// Where nodes of a cluster tell which server they are at.
    pub(crate) fn greeting(&self) -> String {
        format!("{}.g", self.prefix)
    }

    /// Where the answers to this connection go.
    pub(crate) fn inbox(&self) -> String {
        format!("{}.i", self.prefix)
    }
}

/// A topic's name as one token.
pub(crate) fn token(topic: &Name) -> String {
    if topic.is_empty() { EMPTY.into() } else { utf8_percent_encode(topic, ESCAPED).to_string() }
}

/// Whether a text can be a prefix: one token that needs no escapes, and that can also be a part of a stream's name.
pub(crate) fn is_token(prefix: &str) -> bool {
    !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use percent_encoding::percent_decode_str;

    use super::*;

    fn hard_names() -> Vec<String> {
        let mut names: Vec<String> = [
            "",
            "a.b",
            "a b",
            "*",
            ">",
            "a.*",
            ".",
            "..",
            "%",
            "%25",
            "%2E",
            "%%",
            "a%2Eb",
            "$JS.API",
            "_INBOX.x",
            "é",
            "e\u{301}",
            "房间",
            "\u{202e}",
            "\u{feff}",
            "\0",
            "\r\n",
            "\t",
            "PUB x 0\r\n",
            "-",
            "_",
            "room:42",
            "A",
            "a",
            " ",
            "\u{a0}",
            "/",
            "\\",
            "?",
            "#",
            "\"",
            "{{wildcard(1)}}",
        ]
        .map(String::from)
        .to_vec();
        names.extend((0..=127_u8).map(|byte| char::from(byte).to_string()));
        names.push("房".repeat(85));
        names.push(".".repeat(255));
        names
    }

    #[test]
    fn any_name_is_one_token_and_no_two_names_have_the_same() {
        let mut seen: HashMap<String, String> = HashMap::new();
        for name in hard_names() {
            let token = token(&Name::new(name.clone()).expect("short enough"));
            assert!(!token.is_empty(), "{name:?}");
            assert!(
                token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:~%".contains(&byte)),
                "{name:?}: {token}"
            );
            assert!(token.len() <= 3 * 255, "{name:?}");
            let back = if token == EMPTY { String::new() } else { decode(&token) };
            assert_eq!(back, name, "the token can be read again");
            if let Some(other) = seen.insert(token.clone(), name.clone()) {
                assert_eq!(other, name, "both have the token {token}");
            }
        }
    }

    fn decode(token: &str) -> String {
        percent_decode_str(token).decode_utf8().expect("UTF-8").into_owned()
    }

    #[test]
    fn subjects_are_below_the_prefix() {
        let subjects = Subjects::below("rw");
        let topic = Name::new("room.42").expect("short enough");
        assert_eq!(subjects.publish(&topic), "rw.t.room%2E42.-");
        assert_eq!(subjects.subscribe(&topic), "rw.t.room%2E42.*");
    }

    #[test]
    fn a_prefix_is_one_plain_token() {
        for prefix in ["rw", "my-app_2"] {
            assert!(is_token(prefix), "{prefix:?}");
        }
        for prefix in ["", "a.b", "a b", "*", ">", "é", "$JS"] {
            assert!(!is_token(prefix), "{prefix:?}");
        }
    }
}
