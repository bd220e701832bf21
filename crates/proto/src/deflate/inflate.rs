//! From the payload of a compressed message back to the message (RFC 7692 section 7.2.2), as it arrives and up to a
//! limit.

use std::fmt;
use std::mem;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::error::InflateError;
use super::params::{Params, Side};
use super::pool;
use super::tail::TAIL;
use super::window::Window;

/// The least room to inflate into at a time: zlib's fast loop wants 260 bytes.
const MIN_ROOM: usize = 512;

/// The most room to inflate into at a time, and so the most that `out` grows before any output comes. It is zeroed
/// first, which costs next to nothing beside inflating.
const MAX_ROOM: usize = 32 * 1024;

/// Inflates the messages that one side receives.
///
/// It borrows a codec from the thread's pool while a message is under way. With context takeover it keeps the last
/// bytes that it received, up to the size of the window, from the first message on. Without, it keeps nothing.
pub struct Inflater {
    /// `Some` while a message is under way.
    codec: Option<Box<Inflate>>,
    /// With context takeover, the bytes that the next message may point back into.
    window: Option<Window>,
    /// The position in the current message's output from which on it belongs into the window: the start of the last
    /// stream in it.
    fresh_from: usize,
    /// Whether the payload so far ends exactly with the end of a stream.
    ended: bool,
}

impl Inflater {
    /// An inflater for the messages that `side` receives under `params`.
    pub fn new(params: &Params, side: Side) -> Self {
        let direction = params.received_by(side);
        let window = direction.context_takeover.then(|| Window::new(direction.max_window_bits));
        Self { codec: None, window, fresh_from: 0, ended: false }
    }

    /// Inflates the next piece of a message's payload, and appends the output to `out`. The payload may be cut
    /// anywhere.
    ///
    /// # Errors
    /// [`InflateError::TooBig`] once `out` would have more than `limit` bytes; it then has exactly `limit`.
    /// [`InflateError::Corrupt`] if this is not a DEFLATE stream; `out` then has all the output before the fault,
    /// wherever the payload was cut. After an error the connection must be failed: the next message could point back
    /// into bytes that were lost.
    pub fn inflate(&mut self, piece: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), InflateError> {
        if piece.is_empty() {
            return Ok(());
        }
        let mut filled = out.len();
        if filled > limit {
            return Err(InflateError::TooBig);
        }
        let codec = self.codec.get_or_insert_with(|| {
            self.fresh_from = filled;
            start(self.window.as_ref())
        });
        let mut restarted = None;
        let result = inflate(codec, piece, out, &mut filled, limit, &mut restarted);
        out.truncate(filled.min(limit));
        self.ended = result? == Stop::Ended;
        if let (Some(start), Some(window)) = (restarted, &mut self.window) {
            window.clear();
            self.fresh_from = start;
        }
        Ok(())
    }

    /// Ends the message, after all of its payload has been given to [`inflate`](Self::inflate). `out` is its whole
    /// output.
    ///
    /// # Errors
    /// [`InflateError::Corrupt`] if the payload is cut short.
    pub fn finish(&mut self, out: &[u8]) -> Result<(), InflateError> {
        let codec = self.codec.get_or_insert_with(|| {
            self.fresh_from = out.len();
            pool::inflater()
        });
        // A payload that ends with the end of its stream lacks the first byte of an empty block, which section 7.2.3.4
        // puts behind a block with BFINAL. Some deflaters leave it out and all inflaters accept that, since no output
        // is missing and nothing is ambiguous.
        if !mem::take(&mut self.ended) && !ends_here(codec) {
            return Err(InflateError::Corrupt("its payload ends in the middle of a block"));
        }
        self.give_back();
        if let Some(window) = &mut self.window {
            window.push(out.get(self.fresh_from..).unwrap_or_default());
        }
        Ok(())
    }

    fn give_back(&mut self) {
        if let Some(codec) = self.codec.take() {
            pool::take_back_inflater(codec);
        }
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("context_takeover", &self.window.is_some())
            .field("is_midway", &self.codec.is_some())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// Where the end of a piece lies within the payload's streams.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// In the middle of a stream.
    Midway,
    /// At the end of a stream: of a block with BFINAL.
    Ended,
}

/// Takes an inflater from the pool and gives it the window.
#[expect(clippy::unnecessary_box_returns, reason = "it stays in the pool's box")]
fn start(window: Option<&Window>) -> Box<Inflate> {
    let mut codec = pool::inflater();
    if let Some(window) = window {
        codec.set_dictionary(window.bytes()).expect("a stream without a header takes a dictionary");
    }
    codec
}

/// Inflates all of the piece to `out` from `filled` on, and moves `filled` behind the output. The bytes of `out` behind
/// that are unused room. If a stream starts in the piece, sets `restarted` to the position in `out` where the last one
/// starts.
fn inflate(
    codec: &mut Inflate,
    piece: &[u8],
    out: &mut Vec<u8>,
    filled: &mut usize,
    limit: usize,
    restarted: &mut Option<usize>,
) -> Result<Stop, InflateError> {
    let mut rest = piece;
    // Text is about four times as long when it is inflated.
    let mut room = piece.len().saturating_mul(4).clamp(MIN_ROOM, MAX_ROOM);
    loop {
        if *filled == out.len() {
            // Room for one byte beyond the limit, which tells a message that is too big from one that just fits.
            out.resize(filled.saturating_add(room).min(limit.saturating_add(1)), 0);
            room = (room * 2).min(MAX_ROOM);
        }
        let (read, written) = (codec.total_in(), codec.total_out());
        let result = codec.decompress(rest, &mut out[*filled..], InflateFlush::NoFlush);
        rest = &rest[(codec.total_in() - read) as usize..];
        *filled += (codec.total_out() - written) as usize;
        if *filled > limit {
            return Err(InflateError::TooBig);
        }
        match result {
            Err(_) => return Err(InflateError::Corrupt("its payload is no DEFLATE stream")),
            // RFC 7692 section 7.2.1 lets a message have blocks with BFINAL, and "the next DEFLATE block follows".
            // zlib, on which most peers are built, takes that block for the start of another stream with an empty
            // window.
            Ok(Status::StreamEnd) => {
                codec.reset(false);
                *restarted = Some(*filled);
                if rest.is_empty() {
                    return Ok(Stop::Ended);
                }
            }
            // If room is left, the inflater stopped for lack of input.
            Ok(_) if *filled < out.len() => return Ok(Stop::Midway),
            Ok(_) => {}
        }
    }
}

/// Returns whether the payload was whole. RFC 7692 section 7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail
/// end of the payload of the message", and inflate those too.
///
/// Behind a whole payload they complete an empty stored block: there is no output, and the inflater is between two
/// blocks. To see that, one more byte is appended, and the inflater is asked to stop at the end of a block. If it
/// leaves that byte unread, it is between two blocks.
fn ends_here(codec: &mut Inflate) -> bool {
    let (read, written) = (codec.total_in(), codec.total_out());
    let result = codec.decompress(&[TAIL[0], TAIL[1], TAIL[2], TAIL[3], 0x00], &mut [0], InflateFlush::Block);
    result.is_ok() && codec.total_in() - read == TAIL.len() as u64 && codec.total_out() == written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inflater(context_takeover: bool) -> Inflater {
        let params = Params { client_no_context_takeover: !context_takeover, ..Params::default() };
        Inflater::new(&params, Side::Server)
    }

    fn inflated(inflater: &mut Inflater, pieces: &[&[u8]], limit: usize) -> Result<Vec<u8>, InflateError> {
        let mut out = Vec::new();
        for piece in pieces {
            inflater.inflate(piece, &mut out, limit)?;
        }
        inflater.finish(&out)?;
        Ok(out)
    }

    const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

    /// A payload, and the message that it carries.
    const CASES: &[(&[u8], &[u8])] = &[
        // RFC 7692 section 7.2.3.1: one compressed block.
        (HELLO, b"Hello"),
        // Section 7.2.3.3: one stored block.
        (&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], b"Hello"),
        // Section 7.2.3.4: a block with BFINAL.
        (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], b"Hello"),
        // Section 7.2.3.5: two blocks.
        (&[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00], b"Hello"),
        // Section 7.2.3.6: nothing.
        (&[0x00], b""),
        // The last block, which is cut short, has BFINAL.
        (&[0x01], b""),
        (&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x04], b"Hello"),
        // Several empty blocks, the first of them with fixed codes.
        (&[0x02, 0x00, 0x00, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0xff, 0xff, 0x00], b""),
        // A stream with BFINAL that nothing follows.
        (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], b"Hello"),
        // Two streams with BFINAL.
        (&[0xf3, 0x48, 0x05, 0x00, 0xcb, 0xc9, 0xc9, 0x07, 0x00, 0x00], b"Hello"),
    ];

    #[test]
    fn payloads_are_inflated_however_they_are_cut() {
        for context_takeover in [false, true] {
            let mut inflater = inflater(context_takeover);
            for (payload, message) in CASES {
                for cut in 0..=payload.len() {
                    let (front, back) = payload.split_at(cut);
                    let result = inflated(&mut inflater, &[front, b"", back], 100);
                    assert_eq!(result.as_deref(), Ok(*message), "{payload:02x?} cut at {cut}");
                }
                let bytes: Vec<&[u8]> = payload.chunks(1).collect();
                assert_eq!(inflated(&mut inflater, &bytes, 100).as_deref(), Ok(*message), "{payload:02x?} in bytes");
            }
        }
    }

    #[test]
    fn message_may_point_back_into_those_before_it_with_context_takeover_only() {
        let again: &[u8] = &[0xf2, 0x00, 0x11, 0x00, 0x00]; // RFC 7692 section 7.2.3.2
        let mut keeps = inflater(true);
        let mut forgets = inflater(false);
        for inflater in [&mut keeps, &mut forgets] {
            assert_eq!(inflated(inflater, &[HELLO], 100).as_deref(), Ok(b"Hello".as_slice()));
        }
        assert_eq!(inflated(&mut keeps, &[again], 100).as_deref(), Ok(b"Hello".as_slice()));
        assert!(matches!(inflated(&mut forgets, &[again], 100), Err(InflateError::Corrupt(_))));
    }

    #[test]
    fn a_payload_that_is_no_whole_stream_is_corrupt() {
        let mut payloads: Vec<Vec<u8>> = CASES
            .iter()
            .map(|(payload, _)| [*payload, &[0xff]].concat()) // Bytes behind the end.
            .collect();
        payloads.extend((0..HELLO.len()).map(|end| HELLO[..end].to_vec()));
        payloads.extend([
            vec![0x06],                                                 // A block of the type that is reserved.
            vec![0x07],                                                 // The same with BFINAL.
            vec![0xf2, 0x00, 0x11, 0x00, 0x00],                         // A distance that leads to before the message.
            vec![0x00, 0x05, 0x00, 0xfa, 0xfe],                         // A stored block whose length is not confirmed.
            vec![0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c], // A stored block cut short.
            vec![0x00, 0x00, 0x00, 0xff, 0xff], // A payload that ends with a block, and lacks the header of the next.
            vec![0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0xf2], // A second stream, cut short.
        ]);
        for payload in payloads {
            for context_takeover in [false, true] {
                let result = inflated(&mut inflater(context_takeover), &[&payload], 100);
                assert!(matches!(result, Err(InflateError::Corrupt(_))), "{payload:02x?} gave {result:?}");
            }
        }
    }

    /// A message of zeros, and its payload, which is about a thousandth as long.
    fn bomb(length: usize) -> (Vec<u8>, Vec<u8>) {
        let message = vec![0; length];
        let mut payload = Vec::new();
        let options = super::super::Options::default();
        super::super::Compressor::new(&Params::default(), Side::Client, &options).compress(&message, &mut payload);
        (message, payload)
    }

    #[test]
    fn a_message_cannot_point_back_beyond_the_end_of_a_stream() {
        const FINAL_HELLO: &[u8] = &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        const HELLO_AGAIN: &[u8] = &[0xf2, 0x00, 0x11, 0x00, 0x00];
        let mut connection = inflater(true);
        for payload in [
            HELLO,
            HELLO_AGAIN,
            &[FINAL_HELLO, HELLO].concat(),
            HELLO_AGAIN,
            &[HELLO_AGAIN, &TAIL, FINAL_HELLO].concat(),
        ] {
            let pieces: Vec<_> = payload.chunks(3).collect();
            assert!(inflated(&mut connection, &pieces, 100).is_ok_and(|out| out.ends_with(b"Hello")), "{payload:02x?}");
        }
        assert!(inflated(&mut connection, &[HELLO_AGAIN], 100).is_err());
    }

    #[test]
    fn limit_is_exact() {
        for length in [1, 511, 512, 513, 32 * 1024, 1 << 20] {
            let (message, payload) = bomb(length);
            for pieces in [vec![payload.as_slice()], payload.chunks(1).collect()] {
                assert!(inflated(&mut inflater(true), &pieces, length).is_ok_and(|out| out == message), "{length}");
                assert_eq!(inflated(&mut inflater(true), &pieces, length - 1), Err(InflateError::TooBig), "{length}");
            }
        }
        assert_eq!(inflated(&mut inflater(true), &[&[0]], 0), Ok(Vec::new()));
        assert_eq!(inflated(&mut inflater(true), &[HELLO], usize::MAX).as_deref(), Ok(b"Hello".as_slice()));
    }

    #[test]
    fn limit_counts_what_was_there_before() {
        let mut out = b"before".to_vec();
        assert_eq!(inflater(true).inflate(HELLO, &mut out, 10), Err(InflateError::TooBig));
        assert_eq!(out, b"beforeHell");
        assert_eq!(inflater(true).inflate(HELLO, &mut out, 9), Err(InflateError::TooBig));
        assert_eq!(out, b"beforeHell");
    }

    #[test]
    fn storage_grows_with_what_comes_out() {
        let mut out = Vec::new();
        inflater(true).inflate(HELLO, &mut out, usize::MAX).unwrap();
        assert!(out.capacity() <= MIN_ROOM);

        let (_, payload) = bomb(64 << 20);
        let mut out = Vec::new();
        assert_eq!(inflater(true).inflate(&payload, &mut out, 100_000), Err(InflateError::TooBig));
        assert_eq!(out.len(), 100_000);
        assert!(out.capacity() <= 2 * (100_000 + MAX_ROOM));
    }

    #[test]
    fn it_holds_a_codec_only_inside_a_message() {
        pool::on_new_thread(|| {
            let mut inflater = inflater(true);
            let mut out = Vec::new();
            for _ in 0..2 {
                inflater.inflate(&HELLO[..3], &mut out, 100).unwrap();
                assert!(inflater.codec.is_some());
                inflater.inflate(&HELLO[3..], &mut out, 100).unwrap();
                inflater.finish(&out).unwrap();
                assert!(inflater.codec.is_none());
                assert_eq!(pool::kept(), [0, 1]);
            }
            assert_eq!(out, b"HelloHello");
        });
    }

    #[test]
    fn codec_of_a_connection_that_failed_serves_the_next_one() {
        pool::on_new_thread(|| {
            let mut failing = inflater(true);
            assert!(failing.inflate(&[0x07], &mut Vec::new(), 100).is_err());
            drop(failing);
            assert_eq!(pool::kept(), [0, 1]);
            assert_eq!(inflated(&mut inflater(true), &[HELLO], 100).as_deref(), Ok(b"Hello".as_slice()));
            assert_eq!(pool::kept(), [0, 1]);
        });
    }
}
