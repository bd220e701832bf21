//! The names of topics.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use bytestring::ByteString;

/// The name of a topic: any text of at most 255 bytes. Engines escape what they cannot hold, so `a.b`, `a b`, `*` and
/// `>` are ordinary names.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(ByteString);

impl Name {
    /// The most bytes that a name can have. (With every byte escaped as three, and a prefix, it fits into the kilobyte
    /// that brokers allow for a subject.)
    pub const MAX: usize = 255;

    /// A name. It fails if the text is too long.
    pub fn new(name: impl Into<ByteString>) -> Result<Self, NameError> {
        let name = name.into();
        if name.len() > Self::MAX { Err(NameError { length: name.len() }) } else { Ok(Self(name)) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Name {
    type Error = NameError;

    fn try_from(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// The name of a topic is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameError {
    length: usize,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the name of a topic has {} bytes, and at most {} are allowed; use a shorter name, or a hash of it",
            self.length,
            Name::MAX
        )
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_at_most_255_bytes() {
        for name in ["", "room:42", "a.b", "a b", "*", ">", "é", "\0", "\u{202e}"] {
            assert_eq!(Name::new(name).map(|name| name.to_string()), Ok(name.to_owned()));
        }
        assert!(Name::new("x".repeat(255)).is_ok());
        let error = Name::new("é".repeat(128)).expect_err("256 bytes");
        assert_eq!(
            error.to_string(),
            "the name of a topic has 256 bytes, and at most 255 are allowed; use a shorter name, or a hash of it"
        );
    }
}
