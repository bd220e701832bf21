//! One block of DEFLATE (RFC 1951 section 3.2) from the tokens of a message, in the shortest of the three ways there are. Finding
//! matches is the short encoder's.

use super::huffman::Code;

/// The longest match there is (RFC 1951 section 3.2.5).
pub(super) const MAX_MATCH: usize = 258;

/// Literals, the end of the block, and lengths. The last two only take part in numbering the fixed code (RFC 1951 section 3.2.6).
const LITERALS: usize = 288;
const END_OF_BLOCK: usize = 256;
const DISTANCES: usize = 30;

/// The order in which the lengths of the code for code lengths are stated (RFC 1951 section 3.2.7).
const LENGTH_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The tokens of one message, and how often each symbol occurs among them.
#[derive(Debug)]
pub(super) struct Block {
    /// A literal is its byte; a match its length times 2^16 plus its distance, which may be 2^15.
    tokens: Vec<u32>,
    literals: [u16; LITERALS],
    distances: [u16; DISTANCES],
    fixed_literals: Code<LITERALS>,
    fixed_distances: Code<DISTANCES>,
}

impl Block {
    pub(super) fn new() -> Self {
        Self {
            tokens: Vec::new(),
            literals: [0; LITERALS],
            distances: [0; DISTANCES],
            fixed_literals: Code::of_lengths(std::array::from_fn(fixed_length)),
            fixed_distances: Code::of_lengths([5; DISTANCES]),
        }
    }

    /// Starts a new block, which has room for 2^16 - 2 tokens.
    pub(super) fn clear(&mut self) {
        self.tokens.clear();
        self.literals.fill(0);
        self.literals[END_OF_BLOCK] = 1;
        self.distances.fill(0);
    }

    #[inline]
    pub(super) fn push_literal(&mut self, byte: u8) {
        self.literals[usize::from(byte)] += 1;
        self.tokens.push(u32::from(byte));
    }

    #[inline]
    pub(super) fn push_match(&mut self, length: usize, distance: usize) {
        self.literals[length_symbol(length).0] += 1;
        self.distances[distance_symbol(distance).0] += 1;
        self.tokens.push((length << 16 | distance) as u32);
    }

    /// Appends the tokens, which stand for `message`, in the shortest of the three ways, and behind them the header of an empty
    /// stored block.
    pub(super) fn write(&self, message: &[u8], out: &mut Vec<u8>) {
        let own = OwnCodes::of(&self.literals, &self.distances);
        let fixed_cost = self.fixed_literals.cost(&self.literals) + self.fixed_distances.cost(&self.distances);
        let own_cost = own.cost + own.literals.cost(&self.literals) + own.distances.cost(&self.distances);
        // Three bits are a block's header.
        let cost = 3 + fixed_cost.min(own_cost) + self.extra_bits();
        if cost.div_ceil(8) >= 5 + message.len() {
            store(message, out);
            return;
        }
        // And three more are the empty block's.
        out.reserve((cost + 3).div_ceil(8));
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
    use super::*;

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
}
