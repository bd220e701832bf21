//! Appending payloads, at the same speed wherever they lie.

use crate::frame::mask::{self, Key};

/// More than this at once is copied with `rep movsb` by some C libraries. Where source and target have nearly the same place in
/// their pages, that is several times slower on some processors (AMD's Zen 4; glibc bug 30994): an echo of 16 KiB messages lost
/// half of its speed to it.
const PIECE: usize = 2 * 1024;

/// Appends `bytes`.
#[inline]
pub(crate) fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() > PIECE {
        return in_pieces(out, bytes, append);
    }
    out.extend_from_slice(bytes);
}

/// Appends `bytes`, masked; of many each piece while it is in a core's nearest cache.
#[inline(never)]
pub(crate) fn append_masked(out: &mut Vec<u8>, bytes: &[u8], key: Key) {
    // So every piece begins with the key's first byte.
    const { assert!(PIECE.is_multiple_of(size_of::<Key>())) };
    if bytes.len() > PIECE {
        return in_pieces(out, bytes, |out, piece| append_masked(out, piece, key));
    }
    let at = out.len();
    out.extend_from_slice(bytes);
    mask::apply(&mut out[at..], key, 0);
}

#[inline(never)]
fn in_pieces(out: &mut Vec<u8>, bytes: &[u8], append: impl Fn(&mut Vec<u8>, &[u8])) {
    out.reserve(bytes.len());
    for piece in bytes.chunks(PIECE) {
        append(out, piece);
    }
}
