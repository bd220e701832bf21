//! Huffman codes as DEFLATE has them (RFC 1951 section 3.2.2): from frequencies to lengths to codes. Which symbols there are is
//! the encoder's to know.

/// More bits than any code of DEFLATE has: 15 of literals, lengths and distances, 7 of the code for code lengths.
const LENGTHS: usize = 16;

/// A code for symbols from 0 to `N` - 1.
#[derive(Debug)]
pub(super) struct Code<const N: usize> {
    /// How many bits a symbol has; 0 if it does not occur.
    lengths: [u8; N],
    /// The bits of each symbol, the first one lowest: that is how they are packed (section 3.1.1).
    bits: [u16; N],
}

impl<const N: usize> Code<N> {
    /// The best code for symbols that occur so often, of at most `max` bits each.
    ///
    /// The sum of the frequencies is below 2^16. The code has two symbols at least, as zlib's have: inflaters differ over codes
    /// with fewer.
    pub(super) fn of(frequencies: &[u16; N], max: usize) -> Self {
        // A key sorts by frequency and still knows its symbol.
        let mut keys = [0_u32; N];
        let mut count = 0;
        for (symbol, &frequency) in frequencies.iter().enumerate() {
            if frequency > 0 {
                keys[count] = u32::from(frequency) << 16 | symbol as u32;
                count += 1;
            }
        }
        for (symbol, &frequency) in frequencies.iter().enumerate().take(2) {
            if frequency == 0 && count < 2 {
                keys[count] = 1 << 16 | symbol as u32;
                count += 1;
            }
        }
        let keys = &mut keys[..count];
        keys.sort_unstable();

        let mut lengths = [0; N];
        let mut rarest_first = keys.iter();
        for (length, &count) in Self::counts(keys, max).iter().enumerate().rev() {
            for key in rarest_first.by_ref().take(usize::from(count)) {
                lengths[(key & 0xffff) as usize] = length as u8;
            }
        }
        Self::of_lengths(lengths)
    }

    /// The code that these lengths stand for: "codes of a given bit length all have lexicographically consecutive values, in the
    /// same order as the symbols they represent", and shorter ones come first (section 3.2.2).
    pub(super) fn of_lengths(lengths: [u8; N]) -> Self {
        let mut counts = [0_u16; LENGTHS];
        for &length in &lengths {
            counts[usize::from(length)] += 1;
        }
        counts[0] = 0;
        let mut next = [0_u16; LENGTHS];
        for length in 1..LENGTHS {
            next[length] = (next[length - 1] + counts[length - 1]) << 1;
        }
        let mut bits = [0; N];
        for (bits, &length) in bits.iter_mut().zip(&lengths) {
            if length > 0 {
                let code = &mut next[usize::from(length)];
                *bits = code.reverse_bits() >> (16 - length);
                *code += 1;
            }
        }
        Self { lengths, bits }
    }

    pub(super) const fn lengths(&self) -> &[u8; N] {
        &self.lengths
    }

    /// A symbol's bits, and how many there are.
    #[inline]
    pub(super) const fn symbol(&self, symbol: usize) -> (u64, u32) {
        (self.bits[symbol] as u64, self.lengths[symbol] as u32)
    }

    /// How many bits symbols have together that occur so often.
    pub(super) fn cost(&self, frequencies: &[u16; N]) -> usize {
        frequencies.iter().zip(&self.lengths).map(|(&count, &length)| usize::from(count) * usize::from(length)).sum()
    }

    /// How many symbols have each length, given the keys of all symbols, rarest first: two at least.
    fn counts(keys: &[u32], max: usize) -> [u16; LENGTHS] {
        // Huffman's algorithm. The nodes over the leaves are made in the order of their weights, so the lightest two of all are
        // always the next leaves or the oldest nodes without a parent.
        let mut weights = [0_u32; N];
        let mut parents = [0_u16; N];
        let mut leaf_parents = [0_u16; N];
        let (mut leaf, mut inner) = (0, 0);
        let root = keys.len() - 2;
        for node in 0..=root {
            for _ in 0..2 {
                if leaf < keys.len() && (inner == node || keys[leaf] >> 16 <= weights[inner]) {
                    weights[node] += keys[leaf] >> 16;
                    leaf_parents[leaf] = node as u16;
                    leaf += 1;
                } else {
                    weights[node] += weights[inner];
                    parents[inner] = node as u16;
                    inner += 1;
                }
            }
        }
        let mut depths = weights;
        depths[root] = 0;
        for node in (0..root).rev() {
            depths[node] = depths[usize::from(parents[node])] + 1;
        }
        let mut counts = [0; LENGTHS];
        for &parent in &leaf_parents[..keys.len()] {
            counts[(depths[usize::from(parent)] as usize + 1).min(max)] += 1;
        }

        // Lengths that were cut to `max` take more room than there is: the sum of 2^-length must be 1. Each step takes a leaf from the
        // lowest level and hangs it under one as deep as can be above, which makes room for one code of `max` bits.
        let mut taken: u32 =
            counts.iter().enumerate().skip(1).map(|(length, &count)| u32::from(count) << (max - length.min(max))).sum();
        while taken > 1 << max {
            let Some(above) = (1..max).rev().find(|&length| counts[length] > 0) else { break };
            counts[max] -= 1;
            counts[above] -= 1;
            counts[above + 1] += 2;
            taken -= 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_are_those_of_the_example_in_rfc_1951_section_3_2_2() {
        let code = Code::of_lengths([3, 3, 3, 3, 3, 2, 4, 4]);
        let expected = ["010", "011", "100", "101", "110", "00", "1110", "1111"];
        for (symbol, expected) in expected.iter().enumerate() {
            let (bits, length) = code.symbol(symbol);
            let text: String = (0..length).map(|bit| if bits >> bit & 1 == 1 { '1' } else { '0' }).collect();
            assert_eq!(text, *expected);
        }
    }

    #[test]
    fn there_are_two_symbols_at_least() {
        assert_eq!(Code::of(&[0; 5], 7).lengths(), &[1, 1, 0, 0, 0]);
        assert_eq!(Code::of(&[0, 9, 0], 7).lengths(), &[1, 1, 0]);
        assert_eq!(Code::of(&[0, 0, 0, 9], 7).lengths(), &[1, 0, 0, 1]);
    }

    #[test]
    fn frequencies_that_ask_for_long_codes_are_kept_to_the_limit() {
        let mut fibonacci = [1_u16; 20];
        for at in 2..20 {
            fibonacci[at] = fibonacci[at - 1] + fibonacci[at - 2];
        }
        let longest = |max| Code::of(&fibonacci, max).lengths().iter().copied().max();
        assert_eq!([7, 15].map(longest), [Some(7), Some(15)]);
    }

    proptest! {
        #[test]
        fn codes_fill_their_space_exactly_and_the_more_frequent_symbol_is_never_longer(
            frequencies in prop::array::uniform32(prop_oneof![Just(0_u16), 1..5_u16, 0..2_000_u16]),
            max in prop::sample::select(vec![7_usize, 15]),
        ) {
            let code = Code::of(&frequencies, max);
            let room: u32 = code.lengths().iter().filter(|&&length| length > 0).map(|&length| 1 << (15 - length)).sum();
            prop_assert_eq!(room, 1 << 15);
            for (&a, &a_length) in frequencies.iter().zip(code.lengths()) {
                prop_assert!(usize::from(a_length) <= max);
                for (&b, &b_length) in frequencies.iter().zip(code.lengths()) {
                    prop_assert!(a <= b || b == 0 || a_length <= b_length);
                }
            }
        }
    }
}
