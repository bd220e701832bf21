//! The form of a message on a channel: a mark, the position if there is one, and the body.

use bytes::Bytes;
use ropeway::engine::Position;

/// The mark of a message without a position.
pub(crate) const PLAIN: u8 = b'.';

/// The mark of a message with a position: then come the epoch (hexadecimal), a hyphen, the offset and a colon. The
/// script `publish.lua` writes this. Offsets have no holes, so the message before has the offset that is one less.
const PLACED: u8 = b'+';

/// A position and a colon have at most this many bytes: 16 hexadecimal digits, a hyphen, 20 digits, a colon.
const LONGEST_PLACE: usize = 38;

/// The bytes that a channel's message has besides its body, at most.
pub(crate) const OVERHEAD: usize = LONGEST_PLACE + 1;

/// A message without a position.
pub(crate) fn plain(body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(1 + body.len());
    message.push(PLAIN);
    message.extend_from_slice(body);
    message
}

/// Reads a message of a channel: its body, and its place if it has one. It is `None` if no engine has written it.
pub(crate) fn read(message: Vec<u8>) -> Option<(Bytes, Option<(Position, u64)>)> {
    let message = Bytes::from(message);
    match *message.first()? {
        PLAIN => Some((message.slice(1..), None)),
        PLACED => {
            let end = 1 + message[1..].iter().take(LONGEST_PLACE).position(|&byte| byte == b':')?;
            let position: Position = std::str::from_utf8(&message[1..end]).ok()?.parse().ok()?;
            let before = position.offset.checked_sub(1)?;
            Some((message.slice(end + 1..), Some((position, before))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_written_and_read() {
        assert_eq!(read(plain(b"")), Some((Bytes::new(), None)));
        assert_eq!(read(plain(b"+1-1:x")), Some((Bytes::from("+1-1:x"), None)));
        let placed = read(b"+5f3a-17:a:b".to_vec());
        assert_eq!(placed, Some((Bytes::from("a:b"), Some((Position::new(0x5f3a, 17), 16)))));
        let longest = format!("+{}-{}:", "f".repeat(16), u64::MAX);
        assert_eq!(longest.len(), OVERHEAD);
        assert_eq!(
            read(longest.into_bytes()),
            Some((Bytes::new(), Some((Position::new(u64::MAX, u64::MAX), u64::MAX - 1))))
        );
    }

    #[test]
    fn a_message_of_another_program_is_told_apart() {
        for message in
            ["", "hello", "+", "+1-1", "+x-1:", "+1-0:", "+1:1", "+11111111111111111111111111111111111111-1:"]
        {
            assert_eq!(read(message.into()), None, "{message:?}");
        }
    }
}
