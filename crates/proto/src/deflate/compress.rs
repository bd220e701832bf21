//! From a message to the payload that carries it (RFC 7692 section 7.2.1).

use std::fmt;
use std::sync::Arc;

use zlib_rs::{Deflate, DeflateFlush};

use super::TAIL;
use super::options::Options;
use super::params::{Params, Side};
use super::pool::{Pool, Shape};
use super::short;

/// The room to compress into at a time. It is zeroed first, which costs next to nothing beside compressing.
const MAX_ROOM: usize = 32 * 1024;

/// Compresses the messages that one side sends.
///
/// With context takeover it has a deflater of its own from its first message on; without, it borrows one from the pool for
/// the length of a call.
pub struct Compressor {
    shape: Shape,
    /// As agreed; the shape's are what zlib can do.
    max_window_bits: u8,
    context_takeover: bool,
    threshold: usize,
    pool: Arc<Pool>,
    /// Holds the window that the next message may point back into. Always `None` without context takeover.
    codec: Option<Box<Deflate>>,
}

impl Compressor {
    /// For the messages that `side` sends under `params`, with the level, memory level and threshold of `options`.
    pub fn new(params: &Params, side: Side, options: &Options, pool: Arc<Pool>) -> Self {
        let direction = params.sent_by(side);
        let shape = Shape {
            level: options.level,
            mem_level: options.mem_level,
            // 9 keeps to an agreed 8, as the module's documentation explains.
            window_bits: direction.max_window_bits.clamp(9, 15),
        };
        Self {
            shape,
            max_window_bits: direction.max_window_bits,
            context_takeover: direction.context_takeover,
            threshold: options.threshold,
            pool,
            codec: None,
        }
    }

    /// Whether a message of this many bytes is worth compressing.
    ///
    /// To be asked before [`compress`](Self::compress), never after: with context takeover the peer must see what was
    /// compressed, however long it came out, for the next message points back into it.
    pub const fn wants(&self, length: usize) -> bool {
        length >= self.threshold
    }

    /// Compresses one whole message and appends the payload that carries it to `out`.
    pub fn compress(&mut self, message: &[u8], out: &mut Vec<u8>) {
        if message.is_empty() {
            // RFC 7692 section 7.2.3.6: the header of an empty stored block. zlib has nothing to flush twice in a row.
            out.push(0x00);
            return;
        }
        if !self.context_takeover && self.shape.level > 0 && message.len() <= short::LONGEST {
            let mut encoder = self.pool.encoder();
            encoder.compress(self.shape.level, self.max_window_bits, &[], message, out);
            self.pool.take_back_encoder(encoder);
            return;
        }
        let mut codec = self.codec.take().unwrap_or_else(|| self.pool.deflater(self.shape));
        deflate(&mut codec, message, out);
        debug_assert!(out.ends_with(&TAIL), "a flushed stream ends with an empty stored block");
        out.truncate(out.len() - TAIL.len());
        if self.context_takeover {
            self.codec = Some(codec);
        } else {
            self.pool.take_back_deflater(self.shape, codec);
        }
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        if let Some(codec) = self.codec.take() {
            self.pool.take_back_deflater(self.shape, codec);
        }
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor")
            .field("shape", &self.shape)
            .field("context_takeover", &self.context_takeover)
            .field("threshold", &self.threshold)
            .field("has_codec", &self.codec.is_some())
            .finish_non_exhaustive()
    }
}

/// Appends all of the message and a flush behind it.
fn deflate(codec: &mut Deflate, message: &[u8], out: &mut Vec<u8>) {
    let mut rest = message;
    loop {
        let start = out.len();
        // What does not compress grows by a few bytes. Beyond that the first round is the last for a short message.
        let room = rest.len().min(MAX_ROOM) + 64;
        out.resize(start + room, 0);
        let (read, written) = (codec.total_in(), codec.total_out());
        codec
            .compress(rest, &mut out[start..], DeflateFlush::SyncFlush)
            .expect("a stream that is never finished takes whatever it is given");
        rest = &rest[(codec.total_in() - read) as usize..];
        let written = (codec.total_out() - written) as usize;
        out.truncate(start + written);
        // zlib's contract: the flush is complete once it leaves room in the output.
        if rest.is_empty() && written < room {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compressor(params: Params, options: &Options) -> Compressor {
        Compressor::new(&params, Side::Server, options, Arc::default())
    }

    fn compressed(compressor: &mut Compressor, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        compressor.compress(message, &mut out);
        out
    }

    const FORGETFUL: Params = Params {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };

    #[test]
    fn hello_is_compressed_as_in_rfc_7692_section_7_2_3_1() {
        let mut compressor = compressor(FORGETFUL, &Options::default());
        for _ in 0..3 {
            assert_eq!(compressed(&mut compressor, b"Hello"), [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
        }
    }

    #[test]
    fn hello_again_points_back_as_in_rfc_7692_section_7_2_3_2() {
        let mut compressor = compressor(Params::default(), &Options::default());
        assert_eq!(compressed(&mut compressor, b"Hello"), [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
        assert_eq!(compressed(&mut compressor, b"Hello"), [0xf2, 0x00, 0x11, 0x00, 0x00]);
    }

    #[test]
    fn empty_message_is_one_zero_byte_wherever_it_stands() {
        let mut compressor = compressor(Params::default(), &Options::default());
        for message in ["", "", "Hello", "", ""] {
            let expected: &[u8] = if message.is_empty() { &[0] } else { &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00] };
            assert_eq!(compressed(&mut compressor, message.as_bytes()), expected);
        }
    }

    #[test]
    fn payload_is_appended_to_what_is_there() {
        let mut out = b"before".to_vec();
        compressor(FORGETFUL, &Options::default()).compress(b"Hello", &mut out);
        assert_eq!(out, b"before\xf2\x48\xcd\xc9\xc9\x07\x00");
    }

    #[test]
    fn messages_from_the_threshold_on_are_wanted() {
        let compressor = compressor(Params::default(), &Options::default().threshold(100));
        assert_eq!([0, 99, 100, 101].map(|length| compressor.wants(length)), [false, false, true, true]);
    }

    #[test]
    fn without_context_takeover_it_holds_no_codec_at_rest() {
        let pool = Arc::new(Pool::default());
        let mut compressor = Compressor::new(&FORGETFUL, Side::Client, &Options::default(), Arc::clone(&pool));
        assert!(compressor.codec.is_none());
        compressed(&mut compressor, b"Hello");
        assert!(compressor.codec.is_none());
        assert!(format!("{pool:?}").contains("encoders: 1"));
        compressed(&mut compressor, &[b'a'; short::LONGEST + 1]);
        assert!(compressor.codec.is_none());
        assert!(format!("{pool:?}").contains("deflaters: 1"));
    }

    #[test]
    fn with_context_takeover_it_holds_a_codec_from_its_first_message_until_it_is_dropped() {
        let pool = Arc::new(Pool::default());
        let mut compressor = Compressor::new(&Params::default(), Side::Client, &Options::default(), Arc::clone(&pool));
        compressed(&mut compressor, b"");
        assert!(compressor.codec.is_none());
        compressed(&mut compressor, b"Hello");
        assert!(compressor.codec.is_some());
        assert!(format!("{pool:?}").contains("deflaters: 0"));
        drop(compressor);
        assert!(format!("{pool:?}").contains("deflaters: 1"));
        // Whoever gets it next must not point back into what it holds.
        let mut next = Compressor::new(&Params::default(), Side::Client, &Options::default(), pool);
        assert_eq!(compressed(&mut next, b"Hello"), [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    }
}
