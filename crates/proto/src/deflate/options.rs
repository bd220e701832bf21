//! The wishes that one side brings to the negotiation, and its settings for compressing.

/// The wishes of one side for permessage-deflate.
///
/// The four negotiated options carry the names of RFC 7692. A number that is out of range is replaced by the nearest
/// one in range.
///
/// ```
/// # use ropeway_proto::deflate::Options;
/// // A window of 1 KiB: short messages still point back into the one before.
/// let options = Options::context_takeover().window_bits(10).client_max_window_bits(10);
/// # drop(options);
/// ```
///
/// # What it costs
/// Codecs are shared by all connections of a thread. Without context takeover a connection holds nothing between
/// messages. With it, a connection holds the last bytes that it sent and received, up to the size of the two windows;
/// that memory grows with the messages. The table was measured with 1,000 connections in turn and messages of JSON at
/// level 6. `bits` are `window_bits` and the peer's agreed window. The times are for compressing and for inflating one
/// message, on one core of a virtual machine:
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

/// Level 6 and memory level 8, which are zlib's own defaults. Compresses with a window of 2^12 bytes. Lets the peer use
/// up to 2^15 bytes, and keeps both windows from message to message unless either side asks otherwise. The threshold is
/// 1024 bytes, as in `ws`: a message that fits into one packet anyway gains little.
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
    /// The defaults, but each message is compressed by itself: a connection holds nothing between messages.
    pub fn no_context_takeover() -> Self {
        Self::default().server_no_context_takeover(true).client_no_context_takeover(true)
    }

    /// The defaults, but with a threshold of 128 bytes: short messages compress well too, once there are earlier ones
    /// to point back at. A connection then holds up to 4 KiB of what it sent and up to 32 KiB of what it received. A
    /// server can lower the latter to 4 KiB with [`client_max_window_bits`](Self::client_max_window_bits) of 12, for
    /// clients that support it, as browsers do.
    pub fn context_takeover() -> Self {
        Self::default().threshold(128)
    }

    /// How hard to look for matches: 0 is not at all, 1 is fastest, 9 is hardest.
    ///
    /// 6 by default. With a window of 2^12 bytes, level 3 makes messages of 8 to 64 KiB 1 to 9 % longer and takes 65 to
    /// 85 % of the time. For 64 KiB of JSON, level 1 takes a third of the time and makes it 1.7 times as long.
    pub fn level(mut self, level: u8) -> Self {
        self.level = level.min(9);
        self
    }

    /// How much memory a codec may use for buffering, from 1 to 9: 7 · 2^(level + 6) bytes, besides 4 · 2^bits for its
    /// window and 128 KiB for its hash table. There is one codec for each thread that compresses at the same time, and
    /// another one, of level 6 at most, for messages under 4 KiB.
    pub fn mem_level(mut self, mem_level: u8) -> Self {
        self.mem_level = mem_level.clamp(1, 9);
        self
    }

    /// The largest window to compress with, in bits from 8 to 15, if a larger one is agreed. The peer is not told.
    ///
    /// 12 by default. Messages of up to 3.7 KiB that are compressed by themselves lose nothing by it. 20 to 55 KiB of
    /// HTML, prose or source code are 7 to 10 % longer than with 15 bits. 64 KiB of JSON, whose lines all resemble each
    /// other, are 1 % longer and take 40 % of the time.
    pub fn window_bits(mut self, bits: u8) -> Self {
        self.window_bits = bits.clamp(8, 15);
        self
    }

    /// The shortest message that is compressed, in bytes.
    pub fn threshold(mut self, threshold: usize) -> Self {
        self.threshold = threshold;
        self
    }

    /// Whether the server must forget its window after each message (RFC 7692 section 7.1.1.1). A server that sets this
    /// does so; a client demands it of the server.
    pub fn server_no_context_takeover(mut self, on: bool) -> Self {
        self.server_no_context_takeover = on;
        self
    }

    /// Whether the client must forget its window after each message (RFC 7692 section 7.1.1.2). A client that sets this
    /// does so; a server demands it of the client.
    pub fn client_no_context_takeover(mut self, on: bool) -> Self {
        self.client_no_context_takeover = on;
        self
    }

    /// The largest window that the server may compress with, in bits from 8 to 15 (RFC 7692 section 7.1.2.1). A server
    /// that sets this obeys it; a client demands it of the server.
    pub fn server_max_window_bits(mut self, bits: u8) -> Self {
        self.server_max_window_bits = bits.clamp(8, 15);
        self
    }

    /// The largest window that the client may compress with, in bits from 8 to 15 (RFC 7692 section 7.1.2.2). A client
    /// that sets this obeys it; a server demands it of clients that offer to accept a limit.
    pub fn client_max_window_bits(mut self, bits: u8) -> Self {
        self.client_max_window_bits = bits.clamp(8, 15);
        self
    }
}
