//! Messages: owned ([`Message`]), or lent for the time of an event ([`MessageRef`]).

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use bytestring::ByteString;

/// A message that owns its payload. Cloning it is cheap: the payload is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// UTF-8 text.
    Text(ByteString),
    /// Any bytes.
    Binary(Bytes),
}

impl Message {
    /// The payload, whichever type it has.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(payload) => payload,
        }
    }

    /// The text, if this is a text message.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// Whether this is a text message.
    pub const fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// The payload's length in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The payload, whichever type it has, without a copy.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(payload) => payload,
        }
    }
}

/// Shows text as it is, and of a binary message the length.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        MessageRef::from(self).fmt(f)
    }
}

/// A message whose payload is lent or owned. A message that was received whole in one frame is lent from the read
/// buffer. A message that was put together or inflated is owned, and [`MessageRef::into_owned`] returns it without a
/// copy.
#[derive(Debug, PartialEq, Eq)]
pub enum MessageRef<'a> {
    /// UTF-8 text.
    Text(Text<'a>),
    /// Any bytes.
    Binary(Payload<'a>),
}

impl MessageRef<'_> {
    /// The payload, whichever type it has.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(payload) => payload,
        }
    }

    /// The text, if this is a text message.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// Whether this is a text message.
    pub const fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// The payload's length in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lends the same message again. An owned payload is shared, not copied.
    pub fn reborrow(&self) -> MessageRef<'_> {
        match self {
            Self::Text(Text::Lent(text)) => MessageRef::Text(Text::Lent(text)),
            Self::Text(Text::Owned(text)) => MessageRef::Text(Text::Owned(text.clone())),
            Self::Binary(Payload::Lent(payload)) => MessageRef::Binary(Payload::Lent(payload)),
            Self::Binary(Payload::Owned(payload)) => MessageRef::Binary(Payload::Owned(payload.clone())),
        }
    }

    /// Returns the message as an owned one. A lent payload is copied, an owned one is moved.
    pub fn into_owned(self) -> Message {
        match self {
            Self::Text(Text::Lent(text)) => Message::Text(text.into()),
            Self::Text(Text::Owned(text)) => Message::Text(text),
            Self::Binary(payload) => Message::Binary(payload.into_bytes()),
        }
    }
}

/// Shows text as it is, and of a binary message the length.
impl fmt::Display for MessageRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Binary(payload) => write!(f, "[{} bytes]", payload.len()),
        }
    }
}

/// Bytes that are lent or owned.
#[derive(Debug)]
pub enum Payload<'a> {
    /// Lent from the buffer that was read into.
    Lent(&'a [u8]),
    /// Owned, cheap to clone.
    Owned(Bytes),
}

impl Payload<'_> {
    /// The bytes behind the first `count`, which must be there.
    pub(crate) fn skip(self, count: usize) -> Self {
        match self {
            Self::Lent(bytes) => Self::Lent(&bytes[count..]),
            Self::Owned(bytes) => Self::Owned(bytes.slice(count..)),
        }
    }

    /// Returns the bytes as owned ones. They are copied if they were lent.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Lent(bytes) => Bytes::copy_from_slice(bytes),
            Self::Owned(bytes) => bytes,
        }
    }
}

impl Deref for Payload<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl PartialEq for Payload<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Payload<'_> {}

/// Text that is lent or owned.
#[derive(Debug)]
pub enum Text<'a> {
    /// Lent from the buffer that was read into.
    Lent(&'a str),
    /// Owned, cheap to clone.
    Owned(ByteString),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Lent(text) => text,
            Self::Owned(text) => text,
        }
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text<'_> {}

/// Implements `From` for both kinds of message, for each type that a user is likely to have.
macro_rules! from {
    ($($type:ty => $kind:ident($value:ident) $owned:expr, $lent:expr;)*) => {$(
        impl From<$type> for Message {
            fn from($value: $type) -> Self {
                Self::$kind($owned)
            }
        }
        impl<'a> From<$type> for MessageRef<'a> {
            fn from($value: $type) -> Self {
                Self::$kind($lent)
            }
        }
    )*};
}

from! {
    String => Text(text) text.into(), Text::Owned(text.into());
    ByteString => Text(text) text, Text::Owned(text);
    Vec<u8> => Binary(payload) payload.into(), Payload::Owned(payload.into());
    Bytes => Binary(payload) payload, Payload::Owned(payload);
}

impl From<&String> for Message {
    fn from(text: &String) -> Self {
        Self::Text(text.as_str().into())
    }
}

impl<const N: usize> From<&[u8; N]> for Message {
    fn from(payload: &[u8; N]) -> Self {
        Self::Binary(Bytes::copy_from_slice(payload))
    }
}

impl From<&Self> for Message {
    fn from(message: &Self) -> Self {
        message.clone()
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<&'a str> for MessageRef<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Text::Lent(text))
    }
}

impl<'a> From<&'a String> for MessageRef<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(Text::Lent(text))
    }
}

impl From<&[u8]> for Message {
    fn from(payload: &[u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(payload))
    }
}

impl<'a> From<&'a [u8]> for MessageRef<'a> {
    fn from(payload: &'a [u8]) -> Self {
        Self::Binary(Payload::Lent(payload))
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for MessageRef<'a> {
    fn from(payload: &'a [u8; N]) -> Self {
        Self::Binary(Payload::Lent(payload))
    }
}

impl From<Message> for MessageRef<'_> {
    fn from(message: Message) -> Self {
        match message {
            Message::Text(text) => Self::Text(Text::Owned(text)),
            Message::Binary(payload) => Self::Binary(Payload::Owned(payload)),
        }
    }
}

impl<'a> From<&'a Message> for MessageRef<'a> {
    fn from(message: &'a Message) -> Self {
        match message {
            Message::Text(text) => Self::Text(Text::Lent(text)),
            Message::Binary(payload) => Self::Binary(Payload::Lent(payload)),
        }
    }
}

impl From<MessageRef<'_>> for Message {
    fn from(message: MessageRef<'_>) -> Self {
        message.into_owned()
    }
}
