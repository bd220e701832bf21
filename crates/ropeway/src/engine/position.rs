//! A place in the history of a topic.

use std::fmt;
use std::str::FromStr;

/// A place in the history of a topic: that of a message, or of the last message so far.
///
/// Offsets grow within an epoch. The history has another epoch if it was lost, so a position of the old one cannot be
/// taken for one of the new. The text of a position, such as `5f3a-17`, can be given to a client and read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The number of the history.
    pub epoch: u64,
    /// The number of the message within the history. The first message has at least 1, so 0 is the place before it.
    pub offset: u64,
}

impl Position {
    /// A position.
    pub const fn new(epoch: u64, offset: u64) -> Self {
        Self { epoch, offset }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.offset)
    }
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let (epoch, offset) = text.split_once('-').ok_or(PositionError)?;
        let is_plain = |part: &str| !part.starts_with('+');
        if !is_plain(epoch) || !is_plain(offset) {
            return Err(PositionError);
        }
        let epoch = u64::from_str_radix(epoch, 16).map_err(|_| PositionError)?;
        let offset = offset.parse().map_err(|_| PositionError)?;
        Ok(Self { epoch, offset })
    }
}

/// A text is not a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionError;

impl fmt::Display for PositionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this is not a position; a position is a hexadecimal number, a hyphen and a number, such as 5f3a-17",
        )
    }
}

impl std::error::Error for PositionError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_written_and_read() {
        for position in [Position::new(0, 0), Position::new(0x5f3a, 17), Position::new(u64::MAX, u64::MAX)] {
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        assert_eq!(Position::new(0x5f3a, 17).to_string(), "5f3a-17");
        for text in ["", "-", "1", "1-", "-1", "+1-1", "1-+1", "g-1", "1-1-1", "10000000000000000-1", " 1-1"] {
            assert_eq!(text.parse::<Position>(), Err(PositionError), "{text:?}");
        }
    }
}
