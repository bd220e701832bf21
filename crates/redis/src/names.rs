//! The names of a topic's channel and keys at the broker.

use bytes::Bytes;
use bytestring::ByteString;
use ropeway::engine::Name;

/// The names that topics have at the broker: `rw{:room:42}` is the channel of `room:42`, and its keys are that and a
/// letter. Any text can stand there as it is.
///
/// The braces are a hash tag, so that a cluster keeps all of one topic on one node. The colon is there because a tag
/// must not be empty: it ends at the first `}`, and a name may be empty or begin with one.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    prefix: String,
}

/// A key of a topic.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Key {
    /// The stored messages: a stream.
    Stream,
    /// The epoch and the last offset of the history: a hash.
    History,
    /// The values of members by their keys: a hash.
    Members,
    /// The times at which the lifetimes of members end: a sorted set.
    Lifetimes,
}

impl Names {
    /// Names with a prefix. The error says why it cannot be used.
    pub(crate) fn new(prefix: &str) -> Result<Self, String> {
        if prefix.contains(['{', '}']) {
            return Err(format!(
                "the prefix {prefix:?} has a brace in it, and braces decide on which node of a cluster a key is; \
                 use letters, digits and colons"
            ));
        }
        Ok(Self { prefix: prefix.to_owned() })
    }

    /// The channel of a topic.
    pub(crate) fn channel(&self, topic: &Name) -> String {
        format!("{}{{:{topic}}}", self.prefix)
    }

    /// A key of a topic. No key is the channel of another topic, since a channel ends with a brace.
    pub(crate) fn key(&self, topic: &Name, key: Key) -> String {
        let letter = match key {
            Key::Stream => 's',
            Key::History => 'h',
            Key::Members => 'm',
            Key::Lifetimes => 'l',
        };
        format!("{}{{:{topic}}}{letter}", self.prefix)
    }

    /// The topic of a channel, if the channel is one of ours.
    pub(crate) fn topic(&self, channel: Vec<u8>) -> Option<Name> {
        let channel = Bytes::from(channel);
        let name = channel.strip_prefix(self.prefix.as_bytes())?.strip_prefix(b"{:")?.strip_suffix(b"}")?;
        Name::new(ByteString::try_from(channel.slice_ref(name)).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_a_channel_and_back() {
        let long = "é".repeat(127) + "x";
        let names = Names::new("rw").expect("a good prefix");
        for text in ["", "room:42", "a b", "*", ">", "[a-z]?", "}", "}x", "{", "{a}b", "\0\r\n", "\u{202e}", &long] {
            let name = Name::new(text).expect("at most 255 bytes");
            assert_eq!(names.topic(names.channel(&name).into_bytes()), Some(name), "{text:?}");
        }
        assert_eq!(names.channel(&Name::new("room:42").unwrap()), "rw{:room:42}");
    }

    #[test]
    fn another_channel_has_no_topic() {
        let names = Names::new("rw").expect("a good prefix");
        for channel in ["", "rw", "rw{:}s", "rw{a}", "rx{:a}", "rw{:"] {
            assert_eq!(names.topic(channel.into()), None, "{channel:?}");
        }
        assert_eq!(names.topic(b"rw{:\xff}".to_vec()), None);
    }

    #[test]
    fn braces_in_a_prefix_are_refused() {
        assert!(Names::new("a{b").is_err());
        assert!(Names::new("a}").is_err());
        assert!(Names::new("").is_ok());
    }
}
