//! Masking (RFC 6455 section 5.3): a four-byte key laid over the payload again and again, by exclusive or.

/// A masking key.
pub(crate) type Key = [u8; 4];

/// How much is masked at a step: a multiple of what any machine's vector registers hold, so that the compiler uses them.
const BLOCK: usize = 64;

/// Masks or unmasks `payload` in place, which begins `offset` bytes into the frame's payload.
pub(crate) fn apply(payload: &mut [u8], key: Key, offset: u64) {
    let mut key = key;
    key.rotate_left((offset % 4) as usize);
    if key == [0; 4] {
        return;
    }
    let word = u32::from_ne_bytes(key);
    let pair = u64::from(word) << 32 | u64::from(word);
    let (blocks, rest) = payload.as_chunks_mut::<BLOCK>();
    for block in blocks {
        for lane in block.as_chunks_mut::<8>().0 {
            *lane = (u64::from_ne_bytes(*lane) ^ pair).to_ne_bytes();
        }
    }
    let (words, rest) = rest.as_chunks_mut::<8>();
    for lane in words {
        *lane = (u64::from_ne_bytes(*lane) ^ pair).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
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
