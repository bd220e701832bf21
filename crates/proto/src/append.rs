//! Appending payloads, plain or masked. The speed does not depend on where source and target lie in memory.

use crate::frame::mask::{self, Key};

/// Some C libraries copy more than this at once with `rep movsb`. If source and target have nearly the same offset in
/// their pages, that is several times slower on some processors (AMD's Zen 4; glibc bug 30994): an echo of 16 KiB
/// messages lost half of its speed to it.
const PIECE: usize = 2 * 1024;

/// Appends `bytes`.
#[inline]
pub(crate) fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() > PIECE {
        return in_pieces(out, bytes);
    }
    out.extend_from_slice(bytes);
}

#[inline(never)]
fn in_pieces(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len());
    for piece in bytes.chunks(PIECE) {
        out.extend_from_slice(piece);
    }
}

/// Appends `bytes` and masks them on the way. Copying first and masking then would walk over the bytes twice.
#[inline]
pub(crate) fn append_masked(out: &mut Vec<u8>, bytes: &[u8], key: Key) {
    out.reserve(bytes.len());
    let (blocks, rest) = bytes.as_chunks::<64>();
    for block in blocks {
        append_block(out, *block, key, 0);
    }
    match rest.len() {
        // The whole blocks are a multiple of the key's length, so the key starts anew here.
        0..4 => out.extend(rest.iter().zip(key).map(|(byte, key)| byte ^ key)),
        4..8 => append_ends::<4>(out, rest, key),
        8..16 => append_ends::<8>(out, rest, key),
        16..32 => append_ends::<16>(out, rest, key),
        _ => append_ends::<32>(out, rest, key),
    }
}

/// Appends `bytes`, which are `N` to `2 * N` long, as two blocks that may overlap: the first `N` bytes and the last
/// `N`. Where they overlap, the last block overwrites the first.
#[inline]
fn append_ends<const N: usize>(out: &mut Vec<u8>, bytes: &[u8], key: Key) {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) {
        let (at, behind) = (out.len(), bytes.len() - N);
        append_block(out, *first, key, 0);
        out.truncate(at + behind);
        append_block(out, *last, key, behind);
    }
}

/// Appends a block of a fixed length, which compilers keep in registers.
#[inline]
fn append_block<const N: usize>(out: &mut Vec<u8>, mut block: [u8; N], key: Key, offset: usize) {
    mask::apply(&mut block, key, offset as u64);
    out.extend_from_slice(&block);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masking_while_appending_equals_masking_in_place() {
        let payload: Vec<u8> = (0..=255).cycle().take(300).collect();
        for length in 0..=payload.len() {
            for key in [[0; 4], [0x37, 0xfa, 0x21, 0x3d]] {
                let mut appended = b"before".to_vec();
                append_masked(&mut appended, &payload[..length], key);
                let mut expected = payload[..length].to_vec();
                mask::apply(&mut expected, key, 0);
                assert_eq!(appended, [b"before", expected.as_slice()].concat(), "length {length}");
            }
        }
    }

    #[test]
    fn bytes_longer_than_a_piece_are_appended_whole() {
        for length in [0, 1, PIECE, PIECE + 1, 3 * PIECE + 5] {
            let payload: Vec<u8> = (0..=255).cycle().take(length).collect();
            let mut appended = b"before".to_vec();
            append(&mut appended, &payload);
            assert_eq!(appended, [b"before", payload.as_slice()].concat(), "length {length}");
        }
    }
}
