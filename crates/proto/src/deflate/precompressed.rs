//! A message compressed once for all the connections that it is sent over. Whether a connection can use it is its compressor's to
//! say: [`Compressor::take_precompressed`](super::Compressor::take_precompressed).

use bytes::Bytes;

use super::compress::compress;
use super::options::Options;
use super::pool::Shape;

/// The compressed payload of a message that stands for itself, to be framed for many connections.
///
/// ```
/// use ropeway_proto::deflate::{Compressor, Options, Params, Precompressed, Side};
///
/// let options = Options::context_takeover();
/// let mut connections = [(); 3].map(|()| Compressor::new(&Params::default(), Side::Server, &options));
///
/// let message = b"the same for everybody, the same for everybody";
/// let precompressed = Precompressed::new(message, &options);
/// for connection in &mut connections {
///     let payload = connection.take_precompressed(message, &precompressed).expect("the windows are large enough");
///     assert!(payload.len() < message.len());
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Precompressed {
    payload: Bytes,
    /// The most bytes that it points back.
    reach: usize,
}

impl Precompressed {
    /// Compresses a message with the level, window and memory level of these options.
    pub fn new(message: &[u8], options: &Options) -> Self {
        let mut payload = Vec::new();
        compress(Shape::new(options, options.window_bits), &[], message, &mut payload);
        Self { payload: payload.into(), reach: message.len().min(1 << options.window_bits) }
    }

    /// What a frame with RSV1 carries. Clones share it.
    pub const fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Whether an inflater with a window of `2^bits` bytes can read it.
    pub(super) const fn fits(&self, bits: u8) -> bool {
        self.reach <= 1 << bits
    }
}
