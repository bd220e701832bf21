//! A frame's header: two to fourteen bytes.
//!
//! ```text
//!   0                   1                   2                   3
//!   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//!  +-+-+-+-+-------+-+-------------+-------------------------------+
//!  |F|R|R|R|       |M|             |  126: length in 16 bits        |
//!  |I|S|S|S|opcode |A|   length    |  127: length in 64 bits        |
//!  |N|V|V|V|       |S|  0 to 125   +-------------------------------+
//!  | |1|2|3|       |K|             |  then the masking key if MASK  |
//!  +-+-+-+-+-------+-+-------------+-------------------------------+
//! ```

use super::mask::Key;
use crate::error::Violation;

/// The longest header: two bytes, eight of length, four of key.
pub(crate) const MAX_HEADER: usize = 14;

/// The most bytes that a ping or pong carries (RFC 6455 section 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_AND_3: u8 = 0x30;
const MASK: u8 = 0x80;

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    pub(crate) const fn is_control(self) -> bool {
        self as u8 >= 8
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }
}

/// A parsed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    /// RSV1: this frame starts a compressed message (RFC 7692 section 6).
    pub(crate) compressed: bool,
    pub(crate) opcode: Opcode,
    pub(crate) mask: Option<Key>,
    pub(crate) length: u64,
}

/// The rules that a receiver checks each header against, apart from those that are always the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// RFC 6455 section 5.1: a client masks, a server does not.
    pub(crate) masked: bool,
    /// Whether permessage-deflate was negotiated, which alone gives RSV1 a meaning.
    pub(crate) deflate: bool,
}

/// The most common kind of header: a whole uncompressed message in one frame, with a payload of at most 65,535 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlainHeader {
    pub(crate) is_text: bool,
    pub(crate) mask: Option<Key>,
    pub(crate) length: usize,
    /// The size of the header itself in bytes.
    pub(crate) size: usize,
}

impl PlainHeader {
    /// Parses the header at the start of `bytes` if it is a plain one. `None` means only that [`Header::parse`] must be
    /// called.
    #[inline]
    pub(crate) fn parse(bytes: &[u8], rules: Rules) -> Option<Self> {
        let &[first, second, ..] = bytes else { return None };
        let is_text = first == FIN | Opcode::Text as u8;
        if !(is_text || first == FIN | Opcode::Binary as u8) || (second & MASK != 0) != rules.masked {
            return None;
        }
        let (length, at) = match usize::from(second & !MASK) {
            126 => (usize::from(u16::from_be_bytes(*bytes[2..].first_chunk()?)), 4),
            short => (short, 2),
        };
        // The short form ends at 125, and the 16-bit form must not be used for less (section 5.2). 127 stands for the
        // 64-bit form.
        if (length > 125) != (at == 4) {
            return None;
        }
        let (mask, size) = if rules.masked { (Some(*bytes[at..].first_chunk()?), at + 4) } else { (None, at) };
        Some(Self { is_text, mask, length, size })
    }
}

impl Header {
    /// Parses the header at the start of `bytes`; returns it with its size, or `None` if bytes are missing. An error in
    /// the bytes that are there is returned even if others are missing.
    #[expect(clippy::inline_always, reason = "else its result is copied twice: 5 % of a ping's instructions")]
    #[inline(always)]
    pub(crate) fn parse(bytes: &[u8], rules: Rules) -> Result<Option<(Self, usize)>, Violation> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let (opcode, fin, compressed) = parse_first(first, rules)?;
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        match (second & MASK != 0, rules.masked) {
            (false, true) => return Err(Violation::MaskMissing),
            (true, false) => return Err(Violation::MaskUnexpected),
            _ => {}
        }
        let short = second & !MASK;
        if opcode.is_control() && (usize::from(short) > MAX_CONTROL_PAYLOAD || (short == 1 && opcode == Opcode::Close))
        {
            return Err(wrong_control_length(short));
        }
        let (length, at) = match short {
            126 => {
                let Some(field) = bytes[2..].first_chunk() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*field)), 4)
            }
            127 => {
                let Some(field) = bytes[2..].first_chunk() else { return Ok(None) };
                (u64::from_be_bytes(*field), 10)
            }
            short => (u64::from(short), 2),
        };
        // RFC 6455 section 5.2: "the minimal number of bytes MUST be used to encode the length", and of the 64-bit form "the
        // most significant bit MUST be 0".
        if length >> 63 != 0 {
            return Err(Violation::LengthTopBit);
        }
        if (short == 126 && length < 126) || (short == 127 && length <= 0xffff) {
            return Err(Violation::LengthNotMinimal);
        }
        let (mask, size) = if rules.masked {
            let Some(key) = bytes[at..].first_chunk() else { return Ok(None) };
            (Some(*key), at + 4)
        } else {
            (None, at)
        };
        Ok(Some((Self { fin, compressed, opcode, mask, length }, size)))
    }

    /// The same, not inlined: for a header that came in pieces, and for one of our own.
    #[inline(never)]
    pub(crate) fn parse_outlined(bytes: &[u8], rules: Rules) -> Result<Option<(Self, usize)>, Violation> {
        Self::parse(bytes, rules)
    }

    /// The length of the frame at the start of `bytes`, which is one that this side encoded. At least its header must
    /// be there.
    pub(crate) fn frame_length(bytes: &[u8]) -> usize {
        let rules = Rules { masked: bytes[1] & MASK != 0, deflate: true };
        let header = Self::parse_outlined(bytes, rules);
        debug_assert!(matches!(header, Ok(Some(_))), "a frame of our own");
        header.ok().flatten().map_or(bytes.len(), |(header, size)| size + header.length as usize)
    }

    /// Appends the header's bytes.
    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let first = self.opcode as u8 | if self.fin { FIN } else { 0 } | if self.compressed { RSV1 } else { 0 };
        if self.length > 125 {
            return self.write_long(first, out);
        }
        // The key's four bytes are always appended, and cut off if there is no key. So the code is short and free of
        // branches for both roles.
        let (bit, [a, b, c, d]) = self.mask.map_or((0, [0; 4]), |key| (MASK, key));
        out.extend_from_slice(&[first, bit | self.length as u8, a, b, c, d]);
        if self.mask.is_none() {
            out.truncate(out.len() - size_of::<Key>());
        }
    }

    /// Appends a header whose length needs the 16-bit or the 64-bit form.
    #[inline(never)]
    fn write_long(&self, first: u8, out: &mut Vec<u8>) {
        let mut bytes = [0; MAX_HEADER];
        bytes[0] = first;
        let mut size = if self.length <= 0xffff {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&(self.length as u16).to_be_bytes());
            4
        } else {
            bytes[1] = 127;
            bytes[2..10].copy_from_slice(&self.length.to_be_bytes());
            10
        };
        if let Some(key) = self.mask {
            bytes[1] |= MASK;
            bytes[size..size + 4].copy_from_slice(&key);
            size += 4;
        }
        out.extend_from_slice(&bytes[..size]);
    }
}

/// The violation of a control frame of a length that it cannot have.
#[cold]
fn wrong_control_length(length: u8) -> Violation {
    if usize::from(length) > MAX_CONTROL_PAYLOAD {
        // RFC 6455 section 5.5: control frames have a payload of 125 bytes or less.
        Violation::ControlTooLong(length)
    } else {
        // RFC 6455 section 5.5.1: the body of a close frame, if it has one, begins with a code of two bytes.
        Violation::ClosePayloadOfOneByte
    }
}

/// Checks and reads the first byte: FIN, the reserved bits, the opcode.
#[inline]
fn parse_first(first: u8, rules: Rules) -> Result<(Opcode, bool, bool), Violation> {
    // RFC 6455 section 5.2: "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values".
    if first & RSV2_AND_3 != 0 {
        return Err(Violation::ReservedBits);
    }
    let bits = first & 0x0f;
    let Some(opcode) = Opcode::from_bits(bits) else { return Err(Violation::ReservedOpcode(bits)) };
    let (fin, compressed) = (first & FIN != 0, first & RSV1 != 0);
    // RFC 7692 section 6.1: RSV1 is set on the first frame of a compressed message and on no other.
    if compressed && (!rules.deflate || opcode.is_control() || opcode == Opcode::Continuation) {
        return Err(Violation::UnexpectedCompression);
    }
    // RFC 6455 section 5.5: control frames "MUST NOT be fragmented".
    if opcode.is_control() && !fin {
        return Err(Violation::FragmentedControl);
    }
    Ok((opcode, fin, compressed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_frame_is_decoded_whole_and_never_in_part() {
        for length in [0, 1, 125, 126, 65_535, 65_536, (1 << 63) - 1] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let header = Header { fin: true, compressed: true, opcode: Opcode::Binary, mask, length };
                let rules = Rules { masked: mask.is_some(), deflate: true };
                let mut bytes = Vec::new();
                header.write(&mut bytes);
                for cut in 0..bytes.len() {
                    assert_eq!(Header::parse(&bytes[..cut], rules), Ok(None), "{length} cut at {cut}");
                }
                let size = bytes.len();
                bytes.push(0xff);
                assert_eq!(Header::parse(&bytes, rules), Ok(Some((header, size))));
            }
        }
    }
}
