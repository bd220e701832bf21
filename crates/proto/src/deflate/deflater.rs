//! One deflater, used for one message after another, of whichever connections. What comes out depends on the window and the
//! message alone. Lending it is the pool's.

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Method, Strategy};

use super::options::Options;

const SHORT_MEM_LEVEL: u8 = 6;

/// A message of fewer bytes has no more symbols than a block of that memory level.
const SHORT: usize = 1 << (SHORT_MEM_LEVEL + 6);

/// The room to compress into at a time. It is zeroed first, which costs next to nothing beside compressing.
const MAX_ROOM: usize = 32 * 1024;

/// How far zlib looks ahead of where it compresses: it fills its memory up when there is less.
const MIN_LOOKAHEAD: usize = 262;

/// What is fixed when a deflater is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(super) level: u8,
    pub(super) mem_level: u8,
    pub(super) window_bits: u8,
}

impl Shape {
    /// For a window of this many bits.
    pub(super) fn new(options: &Options, window_bits: u8) -> Self {
        // 9 keeps to an agreed 8, as the module's documentation explains.
        Self { level: options.level, mem_level: options.mem_level, window_bits: window_bits.clamp(9, 15) }
    }

    /// For a message of this many bytes: a short one gets a smaller codec.
    ///
    /// A block has up to 2^(memory level + 6) − 1 symbols, and zlib-rs zeroes the room for them, 3 bytes each, before and after
    /// every block: 48 KiB at level 8. At level 6 it is 12, and a message of under 4 KiB still is one block, the same one. That
    /// takes 7 % off the time for 1 KiB.
    pub(super) fn for_message(self, length: usize) -> Self {
        if length < SHORT { Self { mem_level: self.mem_level.min(SHORT_MEM_LEVEL), ..self } } else { self }
    }
}

/// Where in a deflater's memory a message follows on its dictionary, and the byte there.
///
/// zlib-rs takes the last three bytes of a dictionary and the one behind them, which it has not been given yet, for a string to
/// be found: so what the memory has there from an earlier use decides which strings of the window are found (seen in 0.6.8).
/// There has to be what will be there, the first byte of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seam {
    at: usize,
    byte: u8,
}

impl Seam {
    /// Of a message that follows on `history`, if that is long enough to have such a string.
    pub(super) fn new(history: &[u8], message: &[u8]) -> Option<Self> {
        let byte = *message.first()?;
        (history.len() >= 3).then_some(Self { at: history.len(), byte })
    }
}

/// A deflater of a certain shape.
pub(super) struct Deflater {
    codec: Deflate,
    shape: Shape,
    /// A seam that its memory has, whatever else is in it.
    seam: Option<Seam>,
}

impl Deflater {
    pub(super) fn new(shape: Shape) -> Self {
        let codec = Deflate::new_with_config(DeflateConfig {
            level: i32::from(shape.level),
            method: Method::Deflated,
            // Negative stands for raw DEFLATE, without zlib's header.
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

    /// Begins a message that follows on `history` in its stream, whatever it was in the middle of. All of the message has to be
    /// given to [`compress`](Self::compress) then, in one piece or several.
    pub(super) fn begin(&mut self, history: &[u8], message: &[u8]) {
        self.codec.reset();
        let seam = Seam::new(history, message);
        if let Some(Seam { byte, .. }) = seam
            && self.seam != seam
        {
            // Written to where it belongs, at the level that does nothing but that, and forgotten. This clears the hash table once
            // more, so it is worth a look whether the byte is there already: messages of one kind mostly begin alike.
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

    /// The rest of the message will not be given to it.
    pub(super) const fn break_off(&mut self) {
        self.seam = None;
    }

    /// Whether the memory still has a seam after a message of `length` bytes that began at `start`.
    fn keeps(&self, seam: Seam, start: usize, length: usize) -> bool {
        let size = 1 << self.shape.window_bits;
        let end = start + length;
        // The memory is twice the window. Near its end, the upper half is copied to the lower one, and what is still to come
        // overwrites the upper one.
        let is_moved = end >= 2 * size - MIN_LOOKAHEAD;
        if seam.at == start {
            !is_moved || (start == size && end <= 2 * size)
        } else {
            // It was not this message's: there is no history that is long enough to have reached it.
            !is_moved && end <= seam.at
        }
    }

    fn set_level(&mut self, level: u8) {
        self.codec.set_level(i32::from(level)).expect("a stream that has just begun takes a level");
    }

    /// Appends what comes of the next piece of a message; behind the last one all of it, and a flush.
    pub(super) fn compress(&mut self, piece: &[u8], is_last: bool, out: &mut Vec<u8>) {
        let flush = if is_last { DeflateFlush::SyncFlush } else { DeflateFlush::NoFlush };
        let mut rest = piece;
        loop {
            let start = out.len();
            // What does not compress grows by a few bytes. Beyond that the first round is the last for a short message.
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
