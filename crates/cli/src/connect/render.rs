//! Messages as text: bytes as digits, text on one line, and the beginning of long messages.

use anstream::adapter::strip_str;
use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::args::Binary;
use crate::visible::escaped;

/// Text on one line, safe to show on a terminal.
pub(crate) fn escaped_line(text: &str) -> String {
    escaped(text).replace('\n', "\\n")
}

/// The first part of a text, at most `most` bytes, and the number of bytes left out.
pub(crate) fn beginning(text: &str, most: usize) -> (&str, usize) {
    let shown = &text[..text.floor_char_boundary(most)];
    (shown, text.len() - shown.len())
}

/// Text for a terminal without colours.
pub(crate) fn without_colour(text: &str) -> String {
    strip_str(text).to_string()
}

/// A binary payload as text. `None` if it is to be written as it is.
pub(crate) fn digits(payload: &[u8], binary: Binary) -> Option<String> {
    match binary {
        Binary::Hex => Some(hex::encode(payload)),
        Binary::Base64 => Some(BASE64_STANDARD.encode(payload)),
        Binary::Raw => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(escaped_line("a\nb\r"), "a\\nb\\x0d");
    }

    #[test]
    fn a_beginning_ends_between_characters() {
        assert_eq!(beginning("a\u{d55c}b", 3), ("a", 4));
        assert_eq!(beginning("a\u{d55c}b", 4), ("a\u{d55c}", 1));
        assert_eq!(beginning("ab", 9), ("ab", 0));
    }
}
