//! A deflater that is used for one message after another, of any connection. Its output depends on the window and the
//! message alone. Lending is left to the pool.

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Method, Strategy};

use super::options::Options;

const SHORT_MEM_LEVEL: u8 = 6;

/// A message of fewer bytes than this fits into one block even at that memory level, which bounds the symbols of a
/// block.
const SHORT: usize = 1 << (SHORT_MEM_LEVEL + 6);

/// The most room to compress into at a time. It is zeroed first, which costs next to nothing beside compressing.
const MAX_ROOM: usize = 32 * 1024;

/// How far zlib looks ahead of the position that it compresses. It refills its memory when fewer bytes are ahead.
const MIN_LOOKAHEAD: usize = 262;

/// The settings that are fixed when a deflater is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(super) level: u8,
    pub(super) mem_level: u8,
    pub(super) window_bits: u8,
}

impl Shape {
    /// The shape for a window of this many bits.
    pub(super) fn new(options: &Options, window_bits: u8) -> Self {
        // 9 keeps to an agreed 8, as the module's documentation explains.
        Self { level: options.level, mem_level: options.mem_level, window_bits: window_bits.clamp(9, 15) }
    }

    /// The shape for a message of this many bytes: a short one gets a smaller codec.
    ///
    /// A block has up to 2^(memory level + 6) − 1 symbols. zlib-rs zeroes the memory for them, 3 bytes each, before and
    /// after every block: 48 KiB at level 8, 12 KiB at level 6. A message of under 4 KiB is one block at level 6, too,
    /// and its output is the same. The smaller level saves 7 % of the time for 1 KiB.
    pub(super) fn for_message(self, length: usize) -> Self {
        if length < SHORT { Self { mem_level: self.mem_level.min(SHORT_MEM_LEVEL), ..self } } else { self }
    }
}

/// The position in a deflater's memory where a message follows its dictionary, and the byte there.
///
/// zlib-rs (0.6.8) hashes strings of the dictionary that include the byte behind it, before it is given that byte.
/// Without a remedy it takes the byte that an earlier use left there, which then decides the matches that are found. So
/// the byte must be the one that comes, the first of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seam {
    at: usize,
    byte: u8,
}

impl Seam {
    /// The seam of a message that follows `history`, if that is long enough for such a string.
    pub(super) fn new(history: &[u8], message: &[u8]) -> Option<Self> {
        let byte = *message.first()?;
        (history.len() >= 3).then_some(Self { at: history.len(), byte })
    }
}

/// A deflater of one shape.
pub(super) struct Deflater {
    codec: Deflate,
    shape: Shape,
    /// The seam that its memory is known to hold.
    seam: Option<Seam>,
}

impl Deflater {
    pub(super) fn new(shape: Shape) -> Self {
        let codec = Deflate::new_with_config(DeflateConfig {
            level: i32::from(shape.level),
            method: Method::Deflated,
            // A negative number stands for raw DEFLATE, without zlib's header.
            window_bits: -i32::from(shape.window_bits),
            mem_level: i32::from(shape.mem_level),
            strategy: Strategy::Default,
        });
        Self { codec, shape, seam: None }
    }

    pub(super) const fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) const fn seam(&self) -> Option<Seam> {
        self.seam
    }

    /// Begins a message that follows `history` in its stream, and drops a message that was not finished. All of the
    /// message must then be given to [`compress`](Self::compress), in one piece or several.
    pub(super) fn begin(&mut self, history: &[u8], message: &[u8]) {
        self.codec.reset();
        let seam = Seam::new(history, message);
        if let Some(Seam { byte, .. }) = seam
            && self.seam != seam
        {
            // Writes the byte to its place, at the level that does nothing else, and resets. That clears the hash table
            // once more, so it is skipped if the byte is there already. It often is, since messages of one kind mostly
            // begin alike.
            self.set_level(0);
            let result = self.codec.compress(&[history, &[byte]].concat(), &mut [0], DeflateFlush::NoFlush);
            debug_assert!(result.is_ok(), "a stream that has just begun takes what it is given");
            self.codec.reset();
            self.set_level(self.shape.level);
        }
        if !history.is_empty() {
            self.codec.set_dictionary(history).expect("a stream that has just begun takes a dictionary");
        }
        self.seam = seam.or(self.seam).filter(|seam| self.keeps(*seam, history.len(), message.len()));
    }

    /// Notes that the message will not be finished, so that the memory no longer holds a known seam.
    pub(super) const fn break_off(&mut self) {
        self.seam = None;
    }

    /// Whether the memory will still hold a seam after a message of `length` bytes that began at `start`.
    fn keeps(&self, seam: Seam, start: usize, length: usize) -> bool {
        let size = 1 << self.shape.window_bits;
        let end = start + length;
        // The memory is twice the window. When the position comes near its end, the upper half is copied to the lower
        // one, and the upper one is then overwritten.
        let is_moved = end >= 2 * size - MIN_LOOKAHEAD;
        if seam.at == start {
            !is_moved || (start == size && end <= 2 * size)
        } else {
            // The seam is of an earlier message, and this one had no history long enough to reach it.
            !is_moved && end <= seam.at
        }
    }

    fn set_level(&mut self, level: u8) {
        self.codec.set_level(i32::from(level)).expect("a stream that has just begun takes a level");
    }

    /// Compresses the next piece of a message and appends the output. With the last piece all output is flushed.
    pub(super) fn compress(&mut self, piece: &[u8], is_last: bool, out: &mut Vec<u8>) {
        let flush = if is_last { DeflateFlush::SyncFlush } else { DeflateFlush::NoFlush };
        let mut rest = piece;
        loop {
            let start = out.len();
            // Bytes that do not compress grow by a few. This leaves more room than that, so a short message is done in
            // one round.
            let room = rest.len().min(MAX_ROOM) + 64;
            out.resize(start + room, 0);
            let (read, written) = (self.codec.total_in(), self.codec.total_out());
            self.codec
                .compress(rest, &mut out[start..], flush)
                .expect("a stream that is never finished takes whatever it is given");
            rest = &rest[(self.codec.total_in() - read) as usize..];
            let written = (self.codec.total_out() - written) as usize;
            out.truncate(start + written);
            // zlib's contract: the flush is complete once it leaves room in the output.
            if rest.is_empty() && written < room {
                return;
            }
        }
    }
}
