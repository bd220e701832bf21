//! The four bytes between a flushed DEFLATE stream and the payload that carries it.

/// The end of a flushed stream, which is not sent.
///
/// RFC 7692 section 7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end." They are the length, and its
/// complement, of an empty stored block, whose header stays in the last byte that is sent.
pub(super) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
