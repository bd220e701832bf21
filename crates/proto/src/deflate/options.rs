//! What one side is willing to do: the wishes that it brings to the negotiation, and how it compresses.

/// What one side wants of permessage-deflate.
///
/// The four negotiated options carry the names of RFC 7692. A number out of range is brought to the nearest in range.
///
/// ```
/// use ropeway_proto::deflate::Options;
///
/// // A window of 1 KiB: short messages still point back into the one before.
/// let options = Options::context_takeover().window_bits(10).client_max_window_bits(10);
/// # drop(options);
/// ```
///
/// # What it costs
/// Codecs are shared by all connections of a thread. Without context takeover a connection holds nothing between messages;
/// with it, the last bytes that it sent and received, up to the size of the two windows: memory is taken as they come, from
/// the first message on. Measured with 1,000 connections in turn and messages of JSON at level 6, by `window_bits` and the
/// peer's agreed window; time is for compressing and inflating one message, on a core of a virtual machine:
///
/// | messages | mode | bytes held a connection | compressed to | µs |
/// |---|---|---:|---:|---:|
/// | 1 KiB | no context takeover | 0 | 29 % | 12 + 2 |
/// | | context takeover, 10 bits | 1 + 1 KiB | 21 % | 12 + 2 |
/// | | context takeover, 12 bits | 4 + 4 KiB | 19 % | 17 + 2 |
/// | | context takeover, 15 bits | 32 + 32 KiB | 17 % | 55 + 4 |
/// | | for comparison: codecs of its own, 15 bits | 371 + 47 KiB | 17 % | 76 + 5 |
/// | 300 bytes | no context takeover | 0 | 48 % | 8 + 1 |
/// | | context takeover, 10 bits | 1 + 1 KiB | 25 % | 6 + 1 |
/// | | context takeover, 12 bits | 4 + 4 KiB | 21 % | 10 + 1 |
/// | | context takeover, 15 bits | 32 + 32 KiB | 19 % | 27 + 2 |
/// | | for comparison: codecs of its own, 15 bits | 371 + 47 KiB | 19 % | 44 + 1 |
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

/// zlib's own level, 6, and memory level, 8; a window of 2^12 bytes to compress with; the peer's of up to 2^15 bytes, kept from
/// message to message unless either side asks otherwise; and a threshold of 1024 bytes, as in `ws`: what fits into one packet
/// anyway gains little.
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
    /// The defaults, but every message stands for itself: a connection holds nothing between messages.
    pub fn no_context_takeover() -> Self {
        Self::default().server_no_context_takeover(true).client_no_context_takeover(true)
    }

    /// The defaults, but with a threshold of 128 bytes: a short message compresses well too once those before it are there
    /// to point back at. A connection then holds up to 4 KiB of what it sent and up to 32 of what it received; a server that
    /// sets [`client_max_window_bits`](Self::client_max_window_bits) to 12 holds no more than 4 of that from clients that can
    /// keep to it, as browsers can.
    pub fn context_takeover() -> Self {
        Self::default().threshold(128)
    }

    /// How hard to look for matches, from 0, not at all, and 1, fast, to 9.
    ///
    /// 6 by default. With a window of 2^12 bytes, level 3 makes messages of 8 to 64 KiB 1 to 9 % longer in 65 to 85 % of the time.
    /// Level 1 of 64 KiB of JSON takes a third, and makes it 1.7 times as long.
    pub fn level(mut self, level: u8) -> Self {
        self.level = level.min(9);
        self
    }

    /// How much a codec that compresses may buffer, from 1 to 9: 7 · 2^(level + 6) bytes, besides 4 · 2^bits for its window and
    /// 128 KiB for its hash table. There are as many of them as threads that compress at the same time, and for messages under
    /// 4 KiB as many again, of level 6 at most.
    pub fn mem_level(mut self, mem_level: u8) -> Self {
        self.mem_level = mem_level.clamp(1, 9);
        self
    }

    /// The largest window, in bits from 8 to 15, to compress with, where a larger one is agreed. The peer is not told.
    ///
    /// 12 by default. Messages of up to 3.7 KiB that stand for themselves lose nothing by it; of 20 to 55 KiB of HTML, prose and
    /// source code they come out 7 to 10 % longer than with 15 bits. 64 KiB of JSON, whose lines resemble each other all the way
    /// back, come out 1 % longer in 40 % of the time.
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
