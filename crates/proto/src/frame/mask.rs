//! Masking (RFC 6455 section 5.3): a four-byte key laid over the payload again and again, by exclusive or.

/// A masking key.
pub(crate) type Key = [u8; 4];

/// Masks or unmasks `payload` in place. `offset` is the position of its first byte within the frame's payload.
///
/// One flat loop over words: compilers turn it into vector instructions of the machine's width.
#[inline]
pub(crate) fn apply(payload: &mut [u8], key: Key, offset: u64) {
    // In little-endian order the key's first byte is the lowest, so the key is rotated down to begin at a later byte.
    let word = u32::from_le_bytes(key).rotate_right(8 * (offset % 4) as u32);
    if word == 0 {
        return;
    }
    let pair = u64::from(word) << 32 | u64::from(word);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_le_bytes(*bytes) ^ pair).to_le_bytes();
    }
    let (half, rest) = rest.as_chunks_mut::<4>();
    for bytes in half {
        *bytes = (u32::from_le_bytes(*bytes) ^ word).to_le_bytes();
    }
    // At most three bytes are left.
    for (byte, key) in rest.iter_mut().zip(word.to_le_bytes()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_by_one(payload: &mut [u8], key: Key, offset: u64) {
        for (index, byte) in payload.iter_mut().enumerate() {
            *byte ^= key[((index as u64 + offset) % 4) as usize];
        }
    }

    #[test]
    fn every_length_and_offset_is_masked_as_byte_by_byte() {
        for length in 0..200_u8 {
            for offset in 0..4 {
                let mut fast: Vec<u8> = (0..length).collect();
                let mut slow = fast.clone();
                apply(&mut fast, [0x37, 0xfa, 0x21, 0x3d], offset);
                one_by_one(&mut slow, [0x37, 0xfa, 0x21, 0x3d], offset);
                assert_eq!(fast, slow, "length {length}, offset {offset}");
            }
        }
    }

    #[test]
    fn masking_twice_gives_the_payload_back() {
        let mut payload = *b"a ropeway carries cars both ways on one line";
        apply(&mut payload, [1, 2, 3, 4], 7);
        apply(&mut payload, [1, 2, 3, 4], 7);
        assert_eq!(&payload, b"a ropeway carries cars both ways on one line");
    }
}
