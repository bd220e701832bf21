//! Messages as text: bytes in digits, and characters that a terminal would obey made visible.

use std::borrow::Cow;
use std::fmt::Write;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::args::Binary;

/// Text that is safe to show on a terminal: a server must not move the cursor, or worse. Line ends and tabs stay.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let is_obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_obeyed(c) {
            // Writing to a string cannot fail. Control characters end at U+009F.
            let _ = write!(shown, "\\x{:02x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// A binary payload as text; `None` where it is wanted as it is.
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
    fn what_a_terminal_would_obey_is_shown_as_digits() {
        assert_eq!(printable("a\tb\nc \u{e4}"), "a\tb\nc \u{e4}");
        assert_eq!(printable("\x1b[2J\r\x07\u{9b}"), "\\x1b[2J\\x0d\\x07\\x9b");
    }
}
