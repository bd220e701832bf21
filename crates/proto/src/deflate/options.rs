//! What one side is willing to do: the wishes that it brings to the negotiation, and how it compresses.

/// What one side wants of permessage-deflate.
///
/// The four negotiated options carry the names of RFC 7692. A number out of range is brought to the nearest in range.
///
/// ```
/// use ropeway_proto::deflate::Options;
///
/// // A window of 4 KiB and small buffers: a compressor of about 160 KiB rather than 370.
/// let options = Options::context_takeover().server_max_window_bits(12).mem_level(5);
/// # drop(options);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// 0 to 9.
    pub(super) level: u8,
    /// 1 to 9.
    pub(super) mem_level: u8,
    pub(super) threshold: usize,
    /// 8 to 15.
    pub(super) window_bits: u8,
    pub(super) server_no_context_takeover: bool,
    pub(super) client_no_context_takeover: bool,
    /// 8 to 15.
    pub(super) server_max_window_bits: u8,
    /// 8 to 15.
    pub(super) client_max_window_bits: u8,
}

/// zlib's own level, 6, and memory level, 8; windows of 2^15 bytes, kept from message to message unless the peer asks
/// otherwise; and a threshold of 1024 bytes, as in `ws`: what fits into one packet anyway gains little.
impl Default for Options {
    fn default() -> Self {
        Self {
            level: 6,
            mem_level: 8,
            threshold: 1024,
            window_bits: 12,
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        }
    }
}

impl Options {
    /// The defaults, but every message stands for itself: a connection at rest holds no codec, however many there are.
    pub fn no_context_takeover() -> Self {
        Self::default().server_no_context_takeover(true).client_no_context_takeover(true)
    }

    /// The defaults, but with a threshold of 128 bytes: a short message compresses well too once those before it are there
    /// to point back at. A connection's compressor has about 370 KiB, its inflater 47 KiB.
    pub fn context_takeover() -> Self {
        Self::default().threshold(128)
    }

    /// How hard to look for matches, from 0, not at all, and 1, fast, to 9.
    pub fn level(mut self, level: u8) -> Self {
        self.level = level.min(9);
        self
    }

    /// How much a compressor may buffer, from 1 to 9: 7 · 2^(level + 6) bytes, besides 4 · 2^bits for its window and 128 KiB
    /// for its hash table.
    pub fn mem_level(mut self, mem_level: u8) -> Self {
        self.mem_level = mem_level.clamp(1, 9);
        self
    }

    /// The largest window, in bits from 8 to 15, to compress with, where a larger one is agreed. The peer is not told.
    pub fn window_bits(mut self, bits: u8) -> Self {
        self.window_bits = bits.clamp(8, 15);
        self
    }

    /// The length in bytes from which on a message is compressed.
    pub fn threshold(mut self, threshold: usize) -> Self {
        self.threshold = threshold;
        self
    }

    /// Whether the server must forget its window after each message (RFC 7692 section 7.1.1.1): a server does, a client
    /// demands it.
    pub fn server_no_context_takeover(mut self, on: bool) -> Self {
        self.server_no_context_takeover = on;
        self
    }

    /// Whether the client must forget its window after each message (RFC 7692 section 7.1.1.2): a client does, a server
    /// demands it.
    pub fn client_no_context_takeover(mut self, on: bool) -> Self {
        self.client_no_context_takeover = on;
        self
    }

    /// The largest window, in bits from 8 to 15, that the server may compress with (RFC 7692 section 7.1.2.1): a server keeps
    /// to it, a client demands it.
    pub fn server_max_window_bits(mut self, bits: u8) -> Self {
        self.server_max_window_bits = bits.clamp(8, 15);
        self
    }

    /// The largest window, in bits from 8 to 15, that the client may compress with (RFC 7692 section 7.1.2.2): a client keeps
    /// to it, a server demands it of clients that offer to be told.
    pub fn client_max_window_bits(mut self, bits: u8) -> Self {
        self.client_max_window_bits = bits.clamp(8, 15);
        self
    }
}
