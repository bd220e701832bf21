//! The payloads of permessage-deflate (RFC 7692 section 7.2), made and read by another codec than the core's.
//!
//! Both sides keep their window from message to message. For a direction without context takeover, call `restart`
//! before each message. The deflater's window is always 32 KiB: if a smaller one is negotiated, the test has to send
//! less than that. Negotiation is not done here.

use miniz_oxide::MZFlush;
use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// The bytes at the end of a message that are not sent: "remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail
/// end" (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Compresses the messages of one direction.
pub struct Deflater(Box<CompressorOxide>);

impl Deflater {
    /// A deflater with an empty window.
    pub fn new() -> Self {
        // Negative window bits ask for raw deflate, without the zlib header.
        let flags = create_comp_flags_from_zip_params(6, -15, 0);
        Self(Box::new(CompressorOxide::new(flags)))
    }

    /// Empties the window.
    pub fn restart(&mut self) {
        *self = Self::new();
    }

    /// Returns the payload that carries this message.
    pub fn deflate(&mut self, message: &[u8]) -> Vec<u8> {
        let mut payload = self.flush(message);
        payload.truncate(payload.len() - TAIL.len());
        payload
    }

    /// Returns the payload of a fragment that carries this part of a message. More fragments follow.
    pub fn flush(&mut self, mut part: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let step = miniz_oxide::deflate::stream::deflate(&mut self.0, part, &mut chunk, MZFlush::Sync);
            payload.extend(&chunk[..step.bytes_written]);
            part = &part[step.bytes_consumed..];
            // A full chunk may hide more output, so the encoder is asked again. Room that it left shows that the flush
            // is done. If the output ends with the chunk exactly, the next call writes nothing.
            if part.is_empty() && step.bytes_written < chunk.len() {
                break;
            }
        }
        assert!(payload.ends_with(&TAIL), "a flushed stream ends with an empty stored block");
        payload
    }
}

impl Default for Deflater {
    fn default() -> Self {
        Self::new()
    }
}

/// Decompresses the messages of one direction.
pub struct Inflater {
    state: Box<DecompressorOxide>,
    /// A ring of exactly the negotiated size. A distance beyond it yields wrong bytes, so that a test notices it.
    window: Vec<u8>,
    at: usize,
}

impl Inflater {
    /// An inflater with an empty window of 2^`bits` bytes.
    pub fn new(bits: u8) -> Self {
        Self { state: Box::default(), window: vec![0; 1 << bits], at: 0 }
    }

    /// Empties the window.
    pub fn restart(&mut self) {
        self.state.init();
        self.window.fill(0);
    }

    /// Returns the message that this payload carries.
    ///
    /// # Errors
    /// The payload is not a deflate stream.
    pub fn inflate(&mut self, payload: &[u8]) -> Result<Vec<u8>, String> {
        let compressed = [payload, &TAIL].concat();
        let mut compressed = compressed.as_slice();
        let mut message = Vec::new();
        loop {
            let (status, read, written) =
                decompress(&mut self.state, compressed, &mut self.window, self.at, TINFL_FLAG_HAS_MORE_INPUT);
            compressed = &compressed[read..];
            message.extend(&self.window[self.at..self.at + written]);
            self.at = (self.at + written) % self.window.len();
            match status {
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::NeedsMoreInput if compressed.is_empty() => return Ok(message),
                // A final block ends the stream. The next message begins another one.
                TINFLStatus::Done => {
                    self.restart();
                    return Ok(message);
                }
                _ => return Err(format!("not a deflate stream: {status:?}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_inflated_as_they_were_deflated() {
        let (mut deflater, mut inflater) = (Deflater::new(), Inflater::new(15));
        let long: Vec<u8> = (0..100_000_u32).flat_map(|n| (n.wrapping_mul(2_654_435_761)).to_le_bytes()).collect();
        for message in [b"Hello".as_slice(), b"Hello", b"", &long, &long, &vec![0; 1 << 20]] {
            let payload = deflater.deflate(message);
            assert!(inflater.inflate(&payload).unwrap() == message);
        }
    }

    /// The payloads of RFC 7692 sections 7.2.3.1 to 7.2.3.5.
    #[test]
    fn the_examples_of_the_rfc_are_inflated() {
        let mut inflater = Inflater::new(15);
        for payload in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[0xf2, 0x00, 0x11, 0x00, 0x00],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ] {
            assert_eq!(inflater.inflate(payload).as_deref(), Ok(b"Hello".as_slice()), "{payload:02x?}");
        }
    }
}
