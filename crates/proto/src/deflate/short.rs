//! A DEFLATE encoder for short messages: one message, one block (RFC 1951), made at once. Longer ones are zlib's, and so is all
//! inflating.
//!
//! zlib is made for streams. To start one it clears a hash table of 128 KiB, and it counts, searches and sorts in tables that
//! are sized for a window of 32 KiB. For a message of 1 KiB that is most of the work. Here all state fits into a core's first
//! cache, and text comes out as short as at the same level of zlib or shorter, in less than half of the time.
//!
//! ```text
//! message ──► tokens: literals, and matches found through `heads` and `before` ──► frequencies ──► codes
//!                                                                                                    │
//!             payload ◄── the shortest of: stored block, fixed codes, codes of its own ◄─────────────┘
//! ```

use std::mem;
use std::ops::Range;

use super::huffman::Code;

/// The longest message that is taken. From here on zlib catches up.
pub(super) const LONGEST: usize = 4096;

/// What a match costs is about three literals, so shorter ones are not worth it.
const MIN_MATCH: usize = 4;
const MAX_MATCH: usize = 258;

/// A table of 8 KiB: of strings in a message of the longest kind few share a slot.
const HASH_BITS: u32 = 12;

/// Literals, the end of the block, and lengths. The last two only take part in numbering the fixed code (RFC 1951 section 3.2.6).
const LITERALS: usize = 288;
const END_OF_BLOCK: usize = 256;
const DISTANCES: usize = 30;

/// The order in which the lengths of the code for code lengths are stated (RFC 1951 section 3.2.7).
const LENGTH_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The encoder's tables, which are reused. They carry nothing from one message to the next.
#[derive(Debug)]
pub(super) struct Encoder {
    /// By hash, where the last string of four bytes with it starts, plus one; 0 if there is none.
    heads: [u16; 1 << HASH_BITS],
    /// By place, the same for the string before with the same hash.
    before: Vec<u16>,
    /// History and message in one piece, where there is a history.
    joined: Vec<u8>,
    /// A literal is its byte; a match its length times 2^16 plus its distance, which may be 2^15.
    tokens: Vec<u32>,
    literals: [u16; LITERALS],
    distances: [u16; DISTANCES],
    fixed_literals: Code<LITERALS>,
    fixed_distances: Code<DISTANCES>,
}

/// How hard to look for matches: the figures of zlib's levels, and how far.
#[derive(Clone, Copy)]
struct Effort {
    /// From a match of this length on, the search for a better one at the next byte tries a quarter of the strings.
    good: usize,
    /// A match of this length is taken without looking for a better one at the next byte.
    lazy: usize,
    /// A match of this length ends the search.
    nice: usize,
    /// How many strings are tried.
    tries: usize,
    /// How far back they may start.
    reach: usize,
}

impl Effort {
    const fn of(level: u8, window_bits: u8) -> Self {
        let (good, lazy, nice, tries) = match level {
            0..=3 => (4, 4, 16, 4),
            4 => (4, 12, 32, 24),
            5 => (8, 16, 32, 32),
            6 => (8, 16, 128, 128),
            7 => (8, 32, 128, 256),
            8 => (32, 128, 258, 1024),
            _ => (32, 258, 258, 4096),
        };
        Self { good, lazy, nice, tries, reach: 1 << window_bits }
    }
}

#[derive(Clone, Copy)]
struct Match {
    /// Below [`MIN_MATCH`] it is none.
    length: usize,
    distance: usize,
}

const NO_MATCH: Match = Match { length: MIN_MATCH - 1, distance: 0 };

impl Encoder {
    pub(super) fn new() -> Self {
        Self {
            heads: [0; 1 << HASH_BITS],
            before: Vec::new(),
            joined: Vec::new(),
            tokens: Vec::new(),
            literals: [0; LITERALS],
            distances: [0; DISTANCES],
            fixed_literals: Code::of_lengths(std::array::from_fn(fixed_length)),
            fixed_distances: Code::of_lengths([5; DISTANCES]),
        }
    }

    /// Compresses a message of 1 to [`LONGEST`] bytes that follows on `history` in its stream, and appends the payload that
    /// carries it to `out`, ready to be sent: its last byte has the header of the empty stored block of which RFC 7692 section
    /// 7.2.1 removes the rest. It points back no further than `2^window_bits` bytes, and the history has no more.
    pub(super) fn compress(&mut self, level: u8, window_bits: u8, history: &[u8], message: &[u8], out: &mut Vec<u8>) {
        debug_assert!((1..=LONGEST).contains(&message.len()) && window_bits <= 15 && history.len() <= 1 << window_bits);
        let effort = Effort::of(level, window_bits);
        if history.is_empty() {
            self.tokenize(effort, message, 0);
        } else {
            let mut joined = mem::take(&mut self.joined);
            joined.clear();
            joined.extend_from_slice(history);
            joined.extend_from_slice(message);
            self.tokenize(effort, &joined, history.len());
            self.joined = joined;
        }
        self.write(message, out);
    }

    /// Makes tokens of `data` from `start` on, and counts them.
    fn tokenize(&mut self, effort: Effort, data: &[u8], start: usize) {
        self.heads.fill(0);
        self.literals.fill(0);
        self.distances.fill(0);
        self.tokens.clear();
        if self.before.len() < data.len() {
            self.before.resize(data.len(), 0);
        }
        self.insert_all(data, 0..start);
        // A match waits for one byte: if a longer one starts there, it gives way to a literal (RFC 1951 section 4).
        let mut waiting = NO_MATCH;
        let mut literal_waits = false;
        let mut at = start;
        while at < data.len() {
            let candidate = self.insert(data, at);
            let found = if candidate > 0 && waiting.length < effort.lazy {
                self.longest(effort, data, at, candidate, waiting.length)
            } else {
                NO_MATCH
            };
            if waiting.length >= MIN_MATCH && found.length <= waiting.length {
                self.push_match(waiting);
                let end = at - 1 + waiting.length;
                self.insert_all(data, at + 1..end);
                at = end;
                waiting = NO_MATCH;
                literal_waits = false;
            } else {
                if literal_waits {
                    self.push_literal(data[at - 1]);
                }
                literal_waits = true;
                waiting = found;
                at += 1;
            }
        }
        if literal_waits {
            self.push_literal(data[at - 1]);
        }
        self.literals[END_OF_BLOCK] = 1;
    }

    /// Remembers the string that starts here; gives where the one before with its hash does, plus one.
    #[inline]
    fn insert(&mut self, data: &[u8], at: usize) -> u16 {
        let Some(string) = data[at..].first_chunk() else { return 0 };
        let before = mem::replace(&mut self.heads[hash(*string)], at as u16 + 1);
        self.before[at] = before;
        before
    }

    /// Remembers the strings that start in a range.
    #[inline]
    fn insert_all(&mut self, data: &[u8], range: Range<usize>) {
        let start = range.start;
        let strings = data[start..].windows(4).zip(&mut self.before[range]);
        for (offset, (string, before)) in strings.enumerate() {
            let head = &mut self.heads[hash([string[0], string[1], string[2], string[3]])];
            *before = mem::replace(head, (start + offset) as u16 + 1);
        }
    }

    /// The longest match at `at` that is longer than `least`, among the strings from `candidate` on back; or [`NO_MATCH`].
    #[inline]
    fn longest(&self, effort: Effort, data: &[u8], at: usize, candidate: u16, least: usize) -> Match {
        let here = &data[at..data.len().min(at + MAX_MATCH)];
        let nice = effort.nice.min(here.len());
        let tries = if least >= effort.good { effort.tries / 4 } else { effort.tries };
        let mut found = NO_MATCH;
        let mut length = least;
        let mut candidate = usize::from(candidate);
        for _ in 0..tries {
            // The strings are further and further back.
            if candidate == 0 || length >= here.len() || at - (candidate - 1) > effort.reach {
                break;
            }
            let start = candidate - 1;
            let there = &data[start..start + here.len()];
            // Most strings fail at the byte that would make a match longer than the best.
            if there[length] == here[length] {
                let common = common(there, here);
                if common > length {
                    found = Match { length: common, distance: at - start };
                    length = common;
                    if common >= nice {
                        break;
                    }
                }
            }
            candidate = usize::from(self.before[start]);
        }
        found
    }

    #[inline]
    fn push_literal(&mut self, byte: u8) {
        self.literals[usize::from(byte)] += 1;
        self.tokens.push(u32::from(byte));
    }

    #[inline]
    fn push_match(&mut self, Match { length, distance }: Match) {
        self.literals[length_symbol(length).0] += 1;
        self.distances[distance_symbol(distance).0] += 1;
        self.tokens.push((length << 16 | distance) as u32);
    }

    /// Writes the tokens in the shortest of the three ways, and the header of an empty stored block behind them.
    fn write(&self, message: &[u8], out: &mut Vec<u8>) {
        let own = OwnCodes::of(&self.literals, &self.distances);
        let fixed_cost = self.fixed_literals.cost(&self.literals) + self.fixed_distances.cost(&self.distances);
        let own_cost = own.cost + own.literals.cost(&self.literals) + own.distances.cost(&self.distances);
        // Three bits are a block's header.
        let cost = 3 + fixed_cost.min(own_cost) + self.extra_bits();
        if cost.div_ceil(8) >= 5 + message.len() {
            store(message, out);
            return;
        }
        let mut bits = BitWriter { out, held: 0, count: 0 };
        if own_cost < fixed_cost {
            bits.put(0b100, 3);
            own.write(&mut bits);
            self.write_tokens(&own.literals, &own.distances, &mut bits);
        } else {
            bits.put(0b010, 3);
            self.write_tokens(&self.fixed_literals, &self.fixed_distances, &mut bits);
        }
        bits.put(0b000, 3);
        bits.finish();
    }

    /// How many bits follow on the symbols of lengths and distances.
    fn extra_bits(&self) -> usize {
        let bits_of = |count: u16, bits: usize| usize::from(count) * bits;
        let lengths = self.literals[265..285].iter().enumerate().map(|(at, &count)| bits_of(count, at / 4 + 1));
        let distances = self.distances[4..].iter().enumerate().map(|(at, &count)| bits_of(count, at / 2 + 1));
        lengths.chain(distances).sum()
    }

    #[inline]
    fn write_tokens(&self, literals: &Code<LITERALS>, distances: &Code<DISTANCES>, bits: &mut BitWriter<'_>) {
        for &token in &self.tokens {
            let (length, distance) = ((token >> 16) as usize, (token & 0xffff) as usize);
            if length == 0 {
                bits.put_symbol(literals, distance);
            } else {
                let (symbol, extra, value) = length_symbol(length);
                bits.put_symbol(literals, symbol);
                bits.put(value, extra);
                let (symbol, extra, value) = distance_symbol(distance);
                bits.put_symbol(distances, symbol);
                bits.put(value, extra);
            }
        }
        bits.put_symbol(literals, END_OF_BLOCK);
    }
}

/// Appends the message in a stored block, and the header of an empty one (RFC 1951 section 3.2.4).
fn store(message: &[u8], out: &mut Vec<u8>) {
    let length = message.len() as u16;
    out.push(0x00);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(message);
    out.push(0x00);
}

/// The codes of a block of its own kind, and how they are stated in front of it (RFC 1951 section 3.2.7).
struct OwnCodes {
    literals: Code<LITERALS>,
    distances: Code<DISTANCES>,
    literal_count: usize,
    distance_count: usize,
    /// The lengths of both codes in runs: a symbol of the code for code lengths, and its extra bits.
    runs: [(u8, u8); LITERALS + DISTANCES],
    run_count: usize,
    run_code: Code<19>,
    run_code_count: usize,
    /// How many bits all this has.
    cost: usize,
}

impl OwnCodes {
    fn of(literals: &[u16; LITERALS], distances: &[u16; DISTANCES]) -> Self {
        let literals = Code::of(literals, 15);
        let distances = Code::of(distances, 15);
        let count = |lengths: &[u8]| lengths.iter().rposition(|&length| length > 0).map_or(0, |last| last + 1);
        let (literal_count, distance_count) = (count(literals.lengths()), count(distances.lengths()));
        let mut lengths = [0; LITERALS + DISTANCES];
        lengths[..literal_count].copy_from_slice(&literals.lengths()[..literal_count]);
        lengths[literal_count..literal_count + distance_count].copy_from_slice(&distances.lengths()[..distance_count]);

        let mut runs = [(0, 0); LITERALS + DISTANCES];
        let mut frequencies = [0; 19];
        let mut run_count = 0;
        let mut push = |symbol: u8, extra: usize| {
            frequencies[usize::from(symbol)] += 1;
            runs[run_count] = (symbol, extra as u8);
            run_count += 1;
        };
        for run in lengths[..literal_count + distance_count].chunk_by(|a, b| a == b) {
            let length = run[0];
            let mut rest = run.len();
            if length > 0 {
                push(length, 0);
                rest -= 1;
            }
            while rest > 0 {
                let taken = match (length, rest) {
                    (0, 11..) => rest.min(138),
                    (0, 3..) => rest,
                    (1.., 3..) => rest.min(6),
                    _ => 1,
                };
                match (length, taken) {
                    (_, 1) => push(length, 0),
                    (0, 11..) => push(18, taken - 11),
                    (0, _) => push(17, taken - 3),
                    _ => push(16, taken - 3),
                }
                rest -= taken;
            }
        }
        let run_code = Code::of(&frequencies, 7);
        let last = LENGTH_ORDER.iter().rposition(|&symbol| run_code.lengths()[symbol] > 0);
        let run_code_count = last.map_or(4, |last| (last + 1).max(4));
        let run_extras: usize =
            (16..19).map(|symbol| usize::from(frequencies[symbol]) * run_extra(symbol as u8) as usize).sum();
        let cost = 14 + 3 * run_code_count + run_code.cost(&frequencies) + run_extras;
        Self { literals, distances, literal_count, distance_count, runs, run_count, run_code, run_code_count, cost }
    }

    fn write(&self, bits: &mut BitWriter<'_>) {
        bits.put(self.literal_count as u64 - 257, 5);
        bits.put(self.distance_count as u64 - 1, 5);
        bits.put(self.run_code_count as u64 - 4, 4);
        for &symbol in &LENGTH_ORDER[..self.run_code_count] {
            bits.put(u64::from(self.run_code.lengths()[symbol]), 3);
        }
        for &(symbol, extra) in &self.runs[..self.run_count] {
            bits.put_symbol(&self.run_code, usize::from(symbol));
            bits.put(u64::from(extra), run_extra(symbol));
        }
    }
}

/// How many extra bits a symbol of the code for code lengths has.
const fn run_extra(symbol: u8) -> u32 {
    match symbol {
        16 => 2,
        17 => 3,
        18 => 7,
        _ => 0,
    }
}

/// How many bits a literal or length has in the fixed code (RFC 1951 section 3.2.6).
const fn fixed_length(symbol: usize) -> u8 {
    match symbol {
        0..144 | 280.. => 8,
        144..256 => 9,
        256..280 => 7,
    }
}

/// A length's symbol, and how many extra bits with which value follow it (RFC 1951 section 3.2.5).
#[inline]
const fn length_symbol(length: usize) -> (usize, u32, u64) {
    let over = length - 3;
    match over {
        0..8 => (257 + over, 0, 0),
        255 => (285, 0, 0),
        _ => {
            let extra = over.ilog2() - 2;
            (257 + 4 * extra as usize + (over >> extra), extra, over as u64 & ((1 << extra) - 1))
        }
    }
}

/// A distance's symbol, and how many extra bits with which value follow it (RFC 1951 section 3.2.5).
#[inline]
const fn distance_symbol(distance: usize) -> (usize, u32, u64) {
    let over = distance - 1;
    if over < 4 {
        return (over, 0, 0);
    }
    let extra = over.ilog2() - 1;
    (2 * extra as usize + (over >> extra), extra, over as u64 & ((1 << extra) - 1))
}

/// Knuth's multiplicative hash, by 2^32 over the golden ratio.
#[inline]
const fn hash(string: [u8; 4]) -> usize {
    (u32::from_le_bytes(string).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

/// How many bytes two strings of the same length have in common at their start.
#[inline]
fn common(a: &[u8], b: &[u8]) -> usize {
    let mut same = 0;
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        let difference = word(a) ^ word(b);
        if difference != 0 {
            return same + (difference.trailing_zeros() / 8) as usize;
        }
        same += 8;
    }
    same + a[same..].iter().zip(&b[same..]).take_while(|(a, b)| a == b).count()
}

#[inline]
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Packs bits into bytes, the lowest first (RFC 1951 section 3.1.1).
struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    held: u64,
    /// How many bits are held: fewer than 32 between two calls.
    count: u32,
}

impl BitWriter<'_> {
    /// Up to 32 bits.
    #[inline]
    fn put(&mut self, value: u64, count: u32) {
        self.held |= value << self.count;
        self.count += count;
        if self.count >= 32 {
            self.out.extend_from_slice(&(self.held as u32).to_le_bytes());
            self.held >>= 32;
            self.count -= 32;
        }
    }

    #[inline]
    fn put_symbol<const N: usize>(&mut self, code: &Code<N>, symbol: usize) {
        let (bits, count) = code.symbol(symbol);
        self.put(bits, count);
    }

    fn finish(self) {
        self.out.extend_from_slice(&self.held.to_le_bytes()[..self.count.div_ceil(8) as usize]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use testkit::deflate::Inflater as Reference;

    use super::*;

    fn compressed(level: u8, window_bits: u8, history: &[u8], message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Encoder::new().compress(level, window_bits, history, message, &mut out);
        out
    }

    #[test]
    fn hello_is_compressed_as_in_rfc_7692_section_7_2_3_1() {
        assert_eq!(compressed(6, 15, b"", b"Hello"), [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    }

    #[test]
    fn hello_again_points_back_and_is_shorter_than_in_rfc_7692_section_7_2_3_2() {
        // There it is a literal and a match of four bytes at the distance 5, here it is one match of five.
        assert_eq!(compressed(6, 15, b"Hello", b"Hello"), [0x02, 0x13, 0x00, 0x00]);
    }

    #[test]
    fn what_does_not_compress_is_stored() {
        let noise: Vec<u8> = (0..100_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let payload = compressed(9, 15, b"", &noise);
        assert_eq!(payload[..5], [0, 100, 0, 155, 255]);
        assert_eq!((&payload[5..105], &payload[105..]), (&noise[..], &[0][..]));
    }

    #[test]
    fn every_length_and_distance_has_the_symbol_of_rfc_1951_section_3_2_5() {
        // The table in the RFC goes up by these steps: how many symbols have each number of extra bits.
        let mut next = 3;
        for symbol in 257..285 {
            let extra = if symbol < 265 { 0 } else { (symbol as u32 - 261) / 4 };
            for value in 0..1 << extra {
                if next < MAX_MATCH {
                    assert_eq!(length_symbol(next), (symbol, extra, value));
                }
                next += 1;
            }
        }
        assert_eq!((next, length_symbol(MAX_MATCH)), (MAX_MATCH + 1, (285, 0, 0)));
        let mut next = 1;
        for symbol in 0..DISTANCES {
            let extra = if symbol < 4 { 0 } else { (symbol as u32 - 2) / 2 };
            for value in 0..1 << extra {
                assert_eq!(distance_symbol(next), (symbol, extra, value));
                next += 1;
            }
        }
        assert_eq!(next, (1 << 15) + 1);
    }

    /// Words, noise, and one byte many times over: what makes blocks of all three kinds, with long and short matches.
    fn bytes(length: usize) -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 1..length),
            (any::<u8>(), 1..length).prop_map(|(byte, length)| vec![byte; length]),
            prop::collection::vec(
                prop::sample::select(vec!["rope", "way", " ", "car", "cable", "\n", "é"]),
                1..length / 5
            )
            .prop_map(|words| words.concat().into_bytes()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn messages_come_back_and_keep_to_the_window(
            level in 1..=9_u8,
            window_bits in 8..=15_u8,
            history in bytes(6_000),
            messages in prop::collection::vec(bytes(LONGEST), 1..4),
        ) {
            let mut encoder = Encoder::new();
            for message in &messages {
                let history = &history[history.len().saturating_sub(1 << window_bits)..];
                // Another codec, with a window of exactly the agreed size, which has seen the history in a stored block.
                let mut reference = Reference::new(window_bits);
                let mut stored = Vec::new();
                store(history, &mut stored);
                prop_assert!(reference.inflate(&stored).is_ok_and(|out| out == history));
                let mut payload = b"before".to_vec();
                encoder.compress(level, window_bits, history, message, &mut payload);
                prop_assert!(payload.len() <= 6 + message.len() + 6, "no more than a stored block");
                prop_assert!(reference.inflate(&payload[6..]).as_ref() == Ok(message));
            }
        }
    }
}
