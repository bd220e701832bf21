//! The form of a publication between nodes.
//!
//! ```text
//! version 1 | flags | node u64 | number u64 | before u64 | (except u64) | (key length u32 | key) | payload
//! ```
//!
//! Numbers are big-endian. A node with another version of the envelope is not understood, and its messages count as
//! missing.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use ropeway_proto::Message;

const VERSION: u8 = 1;

/// Flags: the kind is in the two lowest bits.
const KIND: u8 = 0b0000_0011;
const BINARY: u8 = 0b0000_0000;
const TEXT: u8 = 0b0000_0001;
const LOSS: u8 = 0b0000_0010;
const MEMBER: u8 = 0b0000_0011;
/// One connection of the publishing node does not get the message.
const EXCEPT: u8 = 0b0000_0100;
/// The message has a key: its length as `u32`, and its text, before the payload.
const KEYED: u8 = 0b0010_0000;
/// The member has left. Without it, it has joined.
const LEFT: u8 = 0b0001_0000;
/// Messages of this node on this topic were dropped before this one.
const AFTER_LOSS: u8 = 0b0000_1000;
const KNOWN: u8 = KIND | EXCEPT | AFTER_LOSS | LEFT | KEYED;

/// The length without `except`, key and payload.
const HEAD: usize = 2 + 3 * 8;

/// A publication between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    /// The node that published it.
    pub(super) node: u64,
    /// The number of the publication on its node. Numbers grow.
    pub(super) number: u64,
    /// The number of the node's publication on this topic before it, or 0 if it is not known.
    pub(super) before: u64,
    /// Whether publications of the node on this topic were dropped in between.
    pub(super) is_after_loss: bool,
    pub(super) content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Message {
        message: Message,
        /// The number of the connection on the publishing node that does not get it.
        except: Option<u64>,
        /// On a conflated topic the message replaces one with the same key.
        key: Option<Arc<str>>,
    },
    /// No message: it only tells of a loss.
    Loss,
    /// A member of the node has joined or left. Its key is short ASCII text.
    Member { key: String, value: Bytes, has_left: bool },
}

impl Envelope {
    pub(super) fn encode(&self) -> Bytes {
        let (kind, payload, except): (u8, &[u8], Option<u64>) = match &self.content {
            Content::Message { message, except, key } => {
                let kind = if message.is_text() { TEXT } else { BINARY };
                (if key.is_some() { kind | KEYED } else { kind }, message.as_bytes(), *except)
            }
            Content::Loss => (LOSS, &[], None),
            Content::Member { value, has_left, .. } => (if *has_left { MEMBER | LEFT } else { MEMBER }, value, None),
        };
        let mut bytes = BytesMut::with_capacity(HEAD + 8 + payload.len());
        bytes.put_u8(VERSION);
        let loss = if self.is_after_loss { AFTER_LOSS } else { 0 };
        bytes.put_u8(kind | loss | if except.is_some() { EXCEPT } else { 0 });
        bytes.put_u64(self.node);
        bytes.put_u64(self.number);
        bytes.put_u64(self.before);
        if let Some(except) = except {
            bytes.put_u64(except);
        }
        if let Content::Message { key: Some(key), .. } = &self.content {
            bytes.put_u32(key.len() as u32);
            bytes.put_slice(key.as_bytes());
        }
        if let Content::Member { key, .. } = &self.content {
            // Keys are made by `Members::join`, and are shorter than 255 bytes.
            bytes.put_u8(key.len() as u8);
            bytes.put_slice(key.as_bytes());
        }
        bytes.put_slice(payload);
        bytes.freeze()
    }

    /// Whether messages were lost before it.
    pub(super) fn is_lossy(&self) -> bool {
        self.is_after_loss || matches!(self.content, Content::Loss)
    }

    /// Reads an envelope. Returns `None` if it is of another version or broken.
    pub(super) fn decode(mut bytes: Bytes) -> Option<Self> {
        if bytes.len() < HEAD || bytes[0] != VERSION || bytes[1] & !KNOWN != 0 {
            return None;
        }
        let flags = bytes[1];
        let number = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
        let (node, own, before) = (number(2)?, number(10)?, number(18)?);
        let except = if flags & EXCEPT == 0 { None } else { Some(number(HEAD)?) };
        let mut payload = bytes.split_off(HEAD + if except.is_some() { 8 } else { 0 });
        let mut key = None;
        if flags & KEYED != 0 {
            let length = u32::from_be_bytes(payload.get(..4)?.try_into().ok()?) as usize;
            let text = std::str::from_utf8(payload.get(4..)?.get(..length)?).ok()?;
            key = Some(Arc::from(text));
            payload = payload.split_off(4 + length);
        }
        let content = match flags & KIND {
            TEXT => Content::Message { message: Message::from(ByteString::try_from(payload).ok()?), except, key },
            BINARY => Content::Message { message: Message::from(payload), except, key },
            LOSS => Content::Loss,
            _ => {
                let length = usize::from(*payload.first()?);
                let value = if payload.len() > length { payload.split_off(1 + length) } else { return None };
                let key = String::from_utf8(payload[1..].to_vec()).ok()?;
                Content::Member { key, value, has_left: flags & LEFT != 0 }
            }
        };
        Some(Self { node, number: own, before, is_after_loss: flags & AFTER_LOSS != 0, content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelopes() -> Vec<Envelope> {
        let contents = [
            Content::Message { message: Message::from("é"), except: None, key: None },
            Content::Message {
                message: Message::from(vec![0xff, 0]),
                except: Some(u64::MAX),
                key: Some("ACME".into()),
            },
            Content::Message { message: Message::from(""), except: Some(7), key: Some("".into()) },
            Content::Loss,
            Content::Member { key: "a-1".to_owned(), value: Bytes::from_static(b"Ann"), has_left: false },
            Content::Member { key: String::new(), value: Bytes::new(), has_left: true },
        ];
        let envelope = |(index, content)| Envelope {
            node: u64::MAX - index as u64,
            number: 2,
            before: 1,
            is_after_loss: index % 2 == 0,
            content,
        };
        contents.into_iter().enumerate().map(envelope).collect()
    }

    #[test]
    fn an_envelope_is_written_and_read() {
        for envelope in envelopes() {
            assert_eq!(Envelope::decode(envelope.encode()), Some(envelope));
        }
    }

    #[test]
    fn broken_ones_and_other_versions_are_not_understood() {
        for envelope in envelopes() {
            let whole = envelope.encode();
            for length in 0..HEAD {
                assert_eq!(Envelope::decode(whole.slice(..length)), None);
            }
            let mut other = whole.to_vec();
            other[0] = 2;
            assert_eq!(Envelope::decode(other.into()), None);
            let mut unknown = whole.to_vec();
            unknown[1] |= 0x80;
            assert_eq!(Envelope::decode(unknown.into()), None);
        }
        let mut text = envelopes()[0].encode().to_vec();
        text.push(0xff);
        assert_eq!(Envelope::decode(text.into()), None, "text is UTF-8");
        let except = Envelope::decode(envelopes()[1].encode().slice(..HEAD + 4));
        assert_eq!(except, None, "the number of the connection is cut");
    }
}
