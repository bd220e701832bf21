//! UTF-8 checked as it arrives: each piece is checked once, and the first byte that cannot be right is reported at
//! once.

/// The bytes cannot be the beginning of any UTF-8 text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotUtf8;

/// The beginning of a code point that the last piece ended within. It has at most three bytes and is always a valid
/// beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Utf8 {
    carry: [u8; 3],
    length: u8,
}

impl Utf8 {
    /// Checks the next piece of a text.
    pub(crate) fn push(&mut self, mut piece: &[u8]) -> Result<(), NotUtf8> {
        while self.length > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return Ok(()) };
            self.push_to_carry(byte)?;
            piece = rest;
        }
        // `simdutf8` only says whether all is valid, so a code point that may be unfinished is split off first.
        let (whole, tail) = piece.split_at(piece.len() - unfinished(piece));
        if simdutf8::basic::from_utf8(whole).is_err() {
            return Err(NotUtf8);
        }
        tail.iter().try_for_each(|&byte| self.push_to_carry(byte))
    }

    /// Checks that the text does not end within a code point.
    pub(crate) fn finish(self) -> Result<(), NotUtf8> {
        if self.length == 0 { Ok(()) } else { Err(NotUtf8) }
    }

    /// Adds a byte to the unfinished code point. It is then complete, or still a valid beginning.
    fn push_to_carry(&mut self, byte: u8) -> Result<(), NotUtf8> {
        let held = usize::from(self.length);
        let mut bytes = [0; 4];
        bytes[..held].copy_from_slice(&self.carry[..held]);
        bytes[held] = byte;
        match std::str::from_utf8(&bytes[..=held]) {
            Ok(_) => self.length = 0,
            // If the error has no length, more bytes can still complete the code point. After four bytes that is never
            // so.
            Err(error) if error.error_len().is_none() => {
                self.carry[held] = byte;
                self.length += 1;
            }
            Err(_) => return Err(NotUtf8),
        }
        Ok(())
    }
}

/// Returns how many bytes at the end are the beginning of a code point whose other bytes are still to come.
fn unfinished(piece: &[u8]) -> usize {
    for back in 1..=piece.len().min(3) {
        let needed = match piece[piece.len() - back] {
            0b1000_0000..=0b1011_1111 => continue,
            0b1100_0000..=0b1101_1111 => 2,
            0b1110_0000..=0b1110_1111 => 3,
            0b1111_0000..=0b1111_0111 => 4,
            _ => 0,
        };
        return if needed > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether no continuation can make this valid, according to the standard library.
    fn hopeless(bytes: &[u8]) -> bool {
        std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_some())
    }

    #[test]
    fn every_sequence_of_interesting_bytes_is_judged_as_std_judges_it_at_every_cut() {
        let interesting = [
            0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xf0, 0xf1, 0xf4, 0xf5,
            0xff,
        ];
        for index in 0..interesting.len().pow(4) {
            let bytes = [0, 1, 2, 3].map(|place| interesting[index / interesting.len().pow(place) % interesting.len()]);
            for cut in 0..=4 {
                let mut utf8 = Utf8::default();
                let first = utf8.push(&bytes[..cut]);
                assert_eq!(first.is_err(), hopeless(&bytes[..cut]), "{bytes:x?} up to {cut}");
                if first.is_err() {
                    continue;
                }
                let second = utf8.push(&bytes[cut..]);
                assert_eq!(second.is_err(), hopeless(&bytes), "{bytes:x?} cut at {cut}");
                if second.is_ok() {
                    assert_eq!(utf8.finish().is_ok(), std::str::from_utf8(&bytes).is_ok(), "{bytes:x?} cut at {cut}");
                }
            }
        }
    }
}
