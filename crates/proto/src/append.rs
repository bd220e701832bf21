//! Appending payloads, at the same speed wherever they lie.

/// More than this at once is copied with `rep movsb` by some C libraries. Where source and target have nearly the same place in
/// their pages, that is several times slower on some processors (AMD's Zen 4; glibc bug 30994): an echo of 16 KiB messages lost
/// half of its speed to it.
const PIECE: usize = 2 * 1024;

/// Appends `bytes`.
#[inline]
pub(crate) fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() <= PIECE {
        out.extend_from_slice(bytes);
    } else {
        append_in_pieces(out, bytes);
    }
}

#[inline(never)]
fn append_in_pieces(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len());
    for piece in bytes.chunks(PIECE) {
        out.extend_from_slice(piece);
    }
}
