//! From a message to the payload that carries it (RFC 7692 section 7.2.1).

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::deflater::{Deflater, Shape};
use super::options::Options;
use super::params::{Params, Side};
use super::pool;
use super::tail::TAIL;
use super::window::Window;

/// Compresses the messages that one side sends.
///
/// It borrows a codec from the thread's pool while a call lasts. With context takeover it keeps the last bytes that it
/// sent, up to the size of the window, from the first message on. Without, it keeps nothing.
pub struct Compressor {
    shape: Shape,
    threshold: usize,
    /// With context takeover, the bytes that the next message may point back into.
    window: Option<Window>,
}

impl Compressor {
    /// A compressor for the messages that `side` sends under `params`, with the level, window, memory level and
    /// threshold of `options`.
    pub fn new(params: &Params, side: Side, options: &Options) -> Self {
        let direction = params.sent_by(side);
        let window_bits = direction.max_window_bits.min(options.window_bits);
        let shape = Shape::new(options, window_bits);
        let window = direction.context_takeover.then(|| Window::new(window_bits));
        Self { shape, threshold: options.threshold, window }
    }

    /// Whether a message of this many bytes is worth compressing.
    ///
    /// Call this before [`compress`](Self::compress). A message that was compressed must be sent compressed, even if
    /// that made it longer: with context takeover the next message points back into it.
    pub const fn wants(&self, length: usize) -> bool {
        length >= self.threshold
    }

    /// Compresses nothing from now on. Then a message that was begun need not be finished.
    pub(crate) fn stop(&mut self) {
        self.threshold = usize::MAX;
    }

    /// Compresses one whole message and appends the payload that carries it to `out`.
    pub fn compress(&mut self, message: &[u8], out: &mut Vec<u8>) {
        let history = self.window.as_ref().map_or(&[][..], Window::bytes);
        compress(self.shape, history, message, out);
        self.note(message);
    }

    /// Begins a message that is compressed in slices. The next message must not begin before this one is finished.
    pub(crate) fn begin(&mut self, message: &[u8]) -> Compressing {
        let history = self.window.as_ref().map_or(&[][..], Window::bytes);
        let compressing = Compressing::begin(self.shape, history, message);
        self.note(message);
        compressing
    }

    /// The same for a message that another thread compresses, maybe much later. It takes a codec with its first slice.
    pub(crate) fn begin_later(&mut self, message: &[u8]) -> Compressing {
        let history = self.window.as_ref().map_or(&[][..], Window::bytes).to_vec();
        self.note(message);
        Compressing { codec: Codec::Wanted(self.shape, history), taken: 0 }
    }

    /// Notes a message whose payload was made by [`compress_alone`], with the shape that this returns. That payload
    /// does not point back into earlier messages, but later messages may point back into it.
    pub(crate) fn share(&mut self, message: &[u8]) -> Shape {
        self.note(message);
        self.shape
    }

    /// Adds a message to the window, since the peer will have it too.
    fn note(&mut self, message: &[u8]) {
        if let Some(window) = &mut self.window {
            window.push(message);
        }
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor")
            .field("shape", &self.shape)
            .field("context_takeover", &self.window.is_some())
            .field("threshold", &self.threshold)
            .finish_non_exhaustive()
    }
}

/// The most that is compressed at once. On text made to be slow, zlib takes up to 30 ns a byte, so this is half a
/// millisecond.
pub(crate) const SLICE: usize = 16 * 1024;

/// The number of codecs, on all threads, that hold a message which is being compressed.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// The number of codecs, of about 265 KiB each, that this process has lent to messages that are being compressed.
pub fn codecs_in_use() -> usize {
    IN_USE.load(Ordering::Relaxed)
}

/// A message that is being compressed, slice by slice. It holds a codec from its first slice to its last.
pub(crate) struct Compressing {
    codec: Codec,
    /// The bytes of the message that are compressed.
    taken: usize,
}

enum Codec {
    /// None yet. It will have this shape, and this history.
    Wanted(Shape, Vec<u8>),
    Taken(Lent),
    GivenBack,
}

/// A codec of the pool, counted in [`IN_USE`].
struct Lent(Box<Deflater>);

impl Lent {
    fn new(shape: Shape, history: &[u8], message: &[u8]) -> Self {
        IN_USE.fetch_add(1, Ordering::Relaxed);
        Self(pool::deflater(shape.for_message(message.len()), history, message))
    }

    fn give_back(self) {
        IN_USE.fetch_sub(1, Ordering::Relaxed);
        pool::take_back_deflater(self.0);
    }
}

impl Compressing {
    fn begin(shape: Shape, history: &[u8], message: &[u8]) -> Self {
        Self { codec: Codec::Taken(Lent::new(shape, history, message)), taken: 0 }
    }

    /// Compresses the next slice of `message`, which must be the same in every call, and appends the output. Returns
    /// whether this was the last slice.
    pub(crate) fn step(&mut self, message: &[u8], out: &mut Vec<u8>) -> bool {
        if let Codec::Wanted(shape, history) = &self.codec {
            self.codec = Codec::Taken(Lent::new(*shape, history, message));
        }
        let Codec::Taken(deflater) = &mut self.codec else { return true };
        let rest = &message[self.taken..];
        let piece = &rest[..rest.len().min(SLICE)];
        let is_last = piece.len() == rest.len();
        deflater.0.compress(piece, is_last, out);
        self.taken += piece.len();
        if is_last {
            if let Codec::Taken(deflater) = std::mem::replace(&mut self.codec, Codec::GivenBack) {
                deflater.give_back();
            }
            debug_assert!(out.ends_with(&TAIL), "a flushed stream ends with an empty stored block");
            out.truncate(out.len() - TAIL.len());
        }
        is_last
    }

    /// The bytes of the message that are compressed.
    pub(crate) const fn taken(&self) -> usize {
        self.taken
    }
}

impl Drop for Compressing {
    fn drop(&mut self) {
        if let Codec::Taken(mut deflater) = std::mem::replace(&mut self.codec, Codec::GivenBack) {
            deflater.0.break_off();
            deflater.give_back();
        }
    }
}

impl fmt::Debug for Compressing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressing").field("taken", &self.taken).finish_non_exhaustive()
    }
}

/// Returns the payload of a message that does not point back into earlier ones.
pub(crate) fn compress_alone(shape: Shape, message: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    compress(shape, &[], message, &mut payload);
    payload
}

/// Appends the payload of a message that may point back into `history`.
fn compress(shape: Shape, history: &[u8], message: &[u8], out: &mut Vec<u8>) {
    if message.is_empty() {
        // RFC 7692 section 7.2.3.6: the header of an empty stored block. It is written here, since zlib does not flush
        // again if there is nothing new.
        out.push(0x00);
        return;
    }
    let mut compressing = Compressing::begin(shape, history, message);
    // The slices are the same as for a message that is compressed over several turns: their ends show in the output.
    while !compressing.step(message, out) {}
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    fn compressor(params: Params, options: &Options) -> Compressor {
        Compressor::new(&params, Side::Server, options)
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
    fn a_shared_message_is_compressed_as_without_context_takeover() {
        let message = b"ropeway ".repeat(200);
        for bits in [8, 9, 12, 15] {
            let forgetful = Params { server_max_window_bits: bits, ..FORGETFUL };
            let expected = compressed(&mut compressor(forgetful, &Options::default()), &message);
            let params = Params { server_max_window_bits: bits, ..Params::default() };
            let mut compressor = compressor(params, &Options::default());
            compressed(&mut compressor, &message);
            assert_eq!(compress_alone(compressor.share(&message), &message), expected);
        }
    }

    #[test]
    fn a_shared_message_can_be_pointed_back_into_with_context_takeover() {
        let mut compressor = compressor(Params::default(), &Options::default());
        let shape = compressor.share(b"Hello");
        assert_eq!(compress_alone(shape, b"Hello"), [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
        assert_eq!(compressed(&mut compressor, b"Hello"), [0xf2, 0x00, 0x11, 0x00, 0x00]);
    }

    #[test]
    fn messages_from_the_threshold_on_are_wanted() {
        let compressor = compressor(Params::default(), &Options::default().threshold(100));
        assert_eq!([0, 99, 100, 101].map(|length| compressor.wants(length)), [false, false, true, true]);
    }

    #[test]
    fn codecs_go_back_to_the_pool_whether_the_window_is_kept_or_not() {
        for params in [FORGETFUL, Params::default()] {
            pool::on_new_thread(move || {
                let mut compressor = compressor(params, &Options::default());
                for _ in 0..2 {
                    compressed(&mut compressor, b"Hello");
                    assert_eq!(pool::kept(), [1, 0]);
                }
                compressed(&mut compressor, &[b'a'; 5_000]);
                assert_eq!(pool::kept(), [2, 0], "of another size");
            });
        }
    }

    #[test]
    fn compressing_in_slices_has_the_same_output_as_in_one_call() {
        let noise: Vec<u8> = (0..50_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 20) as u8 % 7).collect();
        for params in [FORGETFUL, Params::default()] {
            let mut ends = [(); 2].map(|()| compressor(params, &Options::default()));
            for length in [50_000, SLICE, SLICE + 1, 100, 3 * SLICE, 0] {
                let message = &noise[..length];
                let whole = compressed(&mut ends[0], message);
                if length == 0 {
                    continue;
                }
                let (mut compressing, mut out) = (ends[1].begin(message), Vec::new());
                let mut steps = 1;
                while !compressing.step(message, &mut out) {
                    steps += 1;
                }
                assert!(out == whole, "{length} bytes");
                assert_eq!(steps, length.div_ceil(SLICE));
            }
        }
    }

    #[test]
    fn a_message_that_is_broken_off_gives_its_codec_back() {
        pool::on_new_thread(|| {
            let mut compressor = compressor(Params::default(), &Options::default());
            let message = vec![b'a'; 3 * SLICE];
            let mut compressing = compressor.begin(&message);
            compressing.step(&message, &mut Vec::new());
            assert_eq!(pool::kept(), [0, 0]);
            drop(compressing);
            assert_eq!(pool::kept(), [1, 0]);
        });
    }

    #[test]
    fn it_keeps_only_the_window_and_only_with_context_takeover() {
        let kept = |params, options: Options| {
            let mut compressor = compressor(params, &options);
            for length in [100, 5_000, 100] {
                compressed(&mut compressor, &vec![b'a'; length]);
            }
            compressor.window.map_or(0, |window| window.bytes().len())
        };
        assert_eq!(kept(FORGETFUL, Options::default()), 0);
        assert_eq!(kept(Params::default(), Options::default()), 4096);
        assert_eq!(kept(Params::default(), Options::default().window_bits(15)), 5_200);
        assert_eq!(kept(Params { server_max_window_bits: 8, ..Params::default() }, Options::default()), 256);
    }

    #[test]
    fn short_message_comes_out_of_a_smaller_codec_as_out_of_a_larger_one() {
        let shape = Shape::new(&Options::default(), 12);
        // Seven random bits a byte: there is almost nothing to point back at, so there are about as many symbols as
        // bytes.
        let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        let noise: Vec<u8> = iter::successors(Some(1), next).map(|state| (state >> 25) as u8).take(4095).collect();
        for message in [&noise[..], &noise[..1024], b"Hello", &b"ropeway ".repeat(511)] {
            assert_ne!(shape.for_message(message.len()), shape);
            let mut large = Vec::new();
            pool::deflater(shape, &[], message).compress(message, true, &mut large);
            let mut small = Vec::new();
            compress(shape, &[], message, &mut small);
            assert_eq!([&small[..], &TAIL].concat(), large);
        }
        assert_eq!(shape.for_message(4096), shape);
    }

    #[test]
    fn the_output_depends_on_window_and_message_alone() {
        pool::on_new_thread(|| {
            let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
            let mut states = iter::successors(Some(1_u32), next);
            let mut random = |below: usize| states.next().map_or(0, |state| (state >> 16) as usize) % below;
            let mut differing = Vec::new();
            for try_ in 0..12_000 {
                let options = Options::default().level([6_u8, 6, 6, 2, 4, 8, 9][random(7)]);
                let shape = Shape::new(&options, [9, 9, 12][random(3)]);
                let lengths =
                    ([0, 0, 57, 500, 500, 512][random(6)], [random(100), random(600), random(1_500)][random(3)]);
                // Only a few letters, so that there is much to point back at.
                let mut letters = |length: usize| (0..length).map(|_| b"abcd"[random(4)]).collect::<Vec<u8>>();
                let (history, mut message) = (letters(lengths.0), letters(lengths.1));
                if try_ % 4 > 0 {
                    // Messages of one kind begin alike.
                    message.splice(..message.len().min(1), *b"a");
                }
                let mut pooled = Vec::new();
                compress(shape, &history, &message, &mut pooled);
                let mut fresh = Vec::new();
                pool::without(|| compress(shape, &history, &message, &mut fresh));
                if pooled != fresh {
                    differing.push(try_);
                }
            }
            assert!(differing.is_empty(), "{} differ, the first of them {:?}", differing.len(), differing.first());
        });
    }

    #[test]
    fn another_connection_does_not_point_back_into_what_a_codec_has_seen() {
        let long = b"ropeway ".repeat(1000);
        let mut lengths = Vec::new();
        for _ in 0..2 {
            let mut compressor = compressor(Params::default(), &Options::default());
            lengths.push([&b"Hello"[..], b"Hello", &long, &long].map(|text| compressed(&mut compressor, text).len()));
        }
        let [first, second] = lengths[..] else { unreachable!() };
        assert_eq!(first, second);
        assert!(first[1] < first[0] && first[3] < first[2], "it does point back into its own: {first:?}");
    }
}
