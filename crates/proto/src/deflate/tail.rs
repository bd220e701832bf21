//! The four bytes by which the payload of a message differs from a flushed DEFLATE stream.

/// The last bytes of a flushed stream, which are not sent.
///
/// RFC 7692 section 7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end." They are the length of
/// an empty stored block and its complement. The header of that block is in the last byte that is sent.
pub(super) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
