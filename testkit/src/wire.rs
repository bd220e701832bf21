//! Frames on the wire as RFC 6455 section 5.2 draws them: a second, deliberately simple encoder and decoder.
//!
//! It shares no code with `ropeway-proto`, so that a mistake there cannot cancel itself out in a round trip. It encodes
//! forbidden frames as well as allowed ones. Scripted peers use it too. It knows nothing of messages, closing and other
//! rules about sequences of frames. Compressed payloads are left to [`crate::deflate`].

use std::fmt;

use crate::notation;

/// The opcode of a frame that continues a fragmented message.
pub const CONTINUATION: u8 = 0;
/// The opcode of a text message.
pub const TEXT: u8 = 1;
/// The opcode of a binary message.
pub const BINARY: u8 = 2;
/// The opcode of a close frame.
pub const CLOSE: u8 = 8;
/// The opcode of a ping.
pub const PING: u8 = 9;
/// The opcode of a pong.
pub const PONG: u8 = 10;

/// The first reserved bit in [`Frame::rsv`]. It marks compressed messages.
pub const RSV1: u8 = 0b100;
/// The second reserved bit in [`Frame::rsv`].
pub const RSV2: u8 = 0b010;
/// The third reserved bit in [`Frame::rsv`].
pub const RSV3: u8 = 0b001;

/// The masking key that scripted clients use for every frame. It is the one of the examples in RFC 6455 section 5.7.
pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One frame. Every bit may be wrong.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// Whether this is the last frame of its message.
    pub fin: bool,
    /// The reserved bits: any of [`RSV1`], [`RSV2`], [`RSV3`].
    pub rsv: u8,
    /// The opcode, 0 to 15.
    pub opcode: u8,
    /// The masking key, if the payload is masked.
    pub mask: Option<[u8; 4]>,
    /// How the payload length is written. For decoded frames it is always [`Length::Shortest`].
    pub length: Length,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
}

/// How the payload length is written in a frame's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    /// The only form that RFC 6455 allows: "the minimal number of bytes MUST be used to encode the length".
    Shortest,
    /// Two bytes after the 126, whether they are needed or not.
    Bits16,
    /// Eight bytes after the 127, whether they are needed or not.
    Bits64,
    /// The shortest form of this number, even if the payload has another length.
    Declared(u64),
}

impl Frame {
    /// A final, unmasked frame.
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { fin: true, rsv: 0, opcode, mask: None, length: Length::Shortest, payload: payload.into() }
    }

    /// A close frame: empty, or a code and a reason.
    pub fn close(body: Option<(u16, &str)>) -> Self {
        Self::new(CLOSE, body.map_or(Vec::new(), |(code, reason)| close_payload(code, reason)))
    }

    /// The same frame without FIN: more fragments of its message follow.
    pub fn unfinished(mut self) -> Self {
        self.fin = false;
        self
    }

    /// The same frame with these reserved bits set.
    pub fn with_rsv(mut self, bits: u8) -> Self {
        self.rsv |= bits;
        self
    }

    /// The same frame with its payload masked, or not.
    pub fn with_mask(mut self, key: Option<[u8; 4]>) -> Self {
        self.mask = key;
        self
    }

    /// Returns the bytes of the frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.payload.len() + 14);
        self.encode_into(&mut out);
        out
    }

    /// Appends the bytes of the frame.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.fin) << 7 | (self.rsv & 7) << 4 | (self.opcode & 15));
        let real = self.payload.len() as u64;
        let (length, form) = match self.length {
            Length::Shortest => (real, shortest(real)),
            Length::Declared(declared) => (declared, shortest(declared)),
            form => (real, form),
        };
        // The mask bit, above the seven bits of length.
        let mask_bit = u8::from(self.mask.is_some()) << 7;
        match form {
            Length::Bits16 => {
                out.push(mask_bit + 126);
                out.extend(u16::try_from(length).expect("a 16-bit length is below 65536").to_be_bytes());
            }
            Length::Bits64 => {
                out.push(mask_bit + 127);
                out.extend(length.to_be_bytes());
            }
            Length::Shortest | Length::Declared(_) => out.push(mask_bit + length as u8),
        }
        match self.mask {
            Some(key) => {
                out.extend(key);
                out.extend(masked(&self.payload, key));
            }
            None => out.extend(&self.payload),
        }
    }

    /// Parses the frame at the start of `bytes`. Returns it with its size, or `None` if bytes are missing.
    ///
    /// Reserved bits and opcodes are reported, not checked.
    ///
    /// # Errors
    /// The length is not in its shortest form, or has its most significant bit set.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let &[first, second, ref rest @ ..] = bytes else {
            return Ok(None);
        };
        let (form, length_bytes) = match second & 127 {
            126 => (Length::Bits16, 2),
            127 => (Length::Bits64, 8),
            _ => (Length::Shortest, 0),
        };
        let Some((written, rest)) = rest.split_at_checked(length_bytes) else {
            return Ok(None);
        };
        let length = match form {
            Length::Shortest => u64::from(second & 127),
            _ => written.iter().fold(0, |length, &byte| length << 8 | u64::from(byte)),
        };
        if shortest(length) != form || length >> 63 != 0 {
            return Err(Malformed { length, written: form });
        }
        let (mask, rest) = match (second & 128, rest) {
            (0, rest) => (None, rest),
            (_, &[a, b, c, d, ref rest @ ..]) => (Some([a, b, c, d]), rest),
            _ => return Ok(None),
        };
        let Some(payload) = usize::try_from(length).ok().and_then(|length| rest.get(..length)) else {
            return Ok(None);
        };
        let payload = mask.map_or_else(|| payload.to_vec(), |key| masked(payload, key));
        let taken = bytes.len() - rest.len() + payload.len();
        let frame = Self {
            fin: first & 128 != 0,
            rsv: first >> 4 & 7,
            opcode: first & 15,
            mask,
            length: Length::Shortest,
            payload,
        };
        Ok(Some((frame, taken)))
    }
}

/// Parses all whole frames in `bytes`. Returns them and the bytes that are left.
///
/// # Errors
/// As [`Frame::decode`].
pub fn decode_all(mut bytes: &[u8]) -> Result<(Vec<Frame>, &[u8]), Malformed> {
    let mut frames = Vec::new();
    while let Some((frame, taken)) = Frame::decode(bytes)? {
        frames.push(frame);
        bytes = &bytes[taken..];
    }
    Ok((frames, bytes))
}

/// The payload of a close frame with a body.
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// Masks or unmasks, which is the same operation: RFC 6455 section 5.3, one byte at a time.
pub fn masked(payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
}

/// A payload length that RFC 6455 section 5.2 forbids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed {
    length: u64,
    written: Length,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a payload length of {} written as {:?}", self.length, self.written)
    }
}

impl std::error::Error for Malformed {}

impl fmt::Display for Frame {
    /// The frame in the shorthand of the test cases.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.opcode {
            CONTINUATION => f.write_str("continuation")?,
            TEXT => f.write_str("text")?,
            BINARY => f.write_str("binary")?,
            CLOSE => f.write_str("close")?,
            PING => f.write_str("ping")?,
            PONG => f.write_str("pong")?,
            other => write!(f, "opcode {other}")?,
        }
        for (bit, name) in [(RSV1, " rsv1"), (RSV2, " rsv2"), (RSV3, " rsv3")] {
            if self.rsv & bit != 0 {
                f.write_str(name)?;
            }
        }
        if !self.fin {
            f.write_str(" fragment")?;
        }
        match self.mask {
            Some(key) if key != KEY => write!(f, " key {}", notation::hex(&key).replace(' ', ""))?,
            Some(_) => f.write_str(" masked")?,
            None => {}
        }
        match (self.opcode, self.payload.as_slice()) {
            (CLOSE, &[high, low, ref reason @ ..]) => {
                write!(f, " {}{}", u16::from_be_bytes([high, low]), notation::payload(reason))
            }
            (_, payload) => f.write_str(&notation::payload(payload)),
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// "The minimal number of bytes MUST be used to encode the length" (RFC 6455 section 5.2).
fn shortest(length: u64) -> Length {
    match length {
        0..126 => Length::Shortest,
        126..65536 => Length::Bits16,
        _ => Length::Bits64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_are_encoded_and_decoded() {
        let examples: [(&[u8], Frame); 6] = [
            (&[0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f], Frame::new(TEXT, "Hello")),
            (
                &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58],
                Frame::new(TEXT, "Hello").with_mask(Some(KEY)),
            ),
            (&[0x01, 0x03, 0x48, 0x65, 0x6c], Frame::new(TEXT, "Hel").unfinished()),
            (&[0x80, 0x02, 0x6c, 0x6f], Frame::new(CONTINUATION, "lo")),
            (&[0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f], Frame::new(PING, "Hello")),
            (
                &[0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58],
                Frame::new(PONG, "Hello").with_mask(Some(KEY)),
            ),
        ];
        for (bytes, frame) in examples {
            assert_eq!(frame.encode(), bytes);
            assert_eq!(Frame::decode(bytes), Ok(Some((frame, bytes.len()))));
            for cut in 0..bytes.len() {
                assert_eq!(Frame::decode(&bytes[..cut]), Ok(None), "cut at {cut}");
            }
        }
    }

    #[test]
    fn each_length_is_written_in_its_shortest_form() {
        for (length, header) in [
            (125, vec![0x82, 125]),
            (126, vec![0x82, 126, 0, 126]),
            (65535, vec![0x82, 126, 255, 255]),
            (65536, vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = Frame::new(BINARY, vec![7; length]);
            let bytes = frame.encode();
            assert_eq!(bytes[..header.len()], header);
            assert_eq!(Frame::decode(&bytes), Ok(Some((frame, bytes.len()))));
        }
    }

    #[test]
    fn a_longer_form_than_needed_is_malformed() {
        for length in [Length::Bits16, Length::Bits64] {
            let frame = Frame { length, ..Frame::new(BINARY, vec![7; 125]) };
            assert_eq!(Frame::decode(&frame.encode()), Err(Malformed { length: 125, written: length }));
        }
    }
}
