//! Messages as text: bytes in digits, and characters made visible that would change how others are read.

use std::borrow::Cow;
use std::fmt::Write;

use anstream::adapter::strip_str;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

use super::args::Binary;

/// Text that is safe to show on a terminal: a server must not move the cursor, reorder what stands beside its text, or say
/// something that cannot be seen. Line ends and tabs stay.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    // Most text is ASCII without control characters, which is known at once.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t')) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut before = '\n';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if is_safe(before, c, chars.peek().copied()) {
            shown.push(c);
        } else if u32::from(c) <= 0xff {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\x{:02x}", u32::from(c));
        } else {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
        }
        before = c;
    }
    Cow::Owned(shown)
}

/// The same on one line.
pub(crate) fn printable_line(text: &str) -> String {
    printable(text).replace('\n', "\\n")
}

/// Format characters that can be seen: signs that enclose the number behind them.
const SIGNS: [char; 13] = [
    '\u{600}',
    '\u{601}',
    '\u{602}',
    '\u{603}',
    '\u{604}',
    '\u{605}',
    '\u{6dd}',
    '\u{70f}',
    '\u{890}',
    '\u{891}',
    '\u{8e2}',
    '\u{110bd}',
    '\u{110cd}',
];

/// Letters and marks that are drawn as nothing: the joiner of graphemes, Hangul fillers, inherent vowels of Khmer.
const BLANKS: [char; 7] = ['\u{34f}', '\u{115f}', '\u{1160}', '\u{17b4}', '\u{17b5}', '\u{3164}', '\u{ffa0}'];

/// Whether a character between these leaves the others as they are.
fn is_safe(before: char, c: char, after: Option<char>) -> bool {
    use GeneralCategory as Category;

    match c {
        '\n' | '\t' | ' '..='~' => true,
        // Joiners belong to Persian, Indic scripts and emoji. Between ASCII they only hide a difference.
        '\u{200c}' | '\u{200d}' => !before.is_ascii() && after.is_some_and(|after| !after.is_ascii()),
        // Variation selectors choose how the character before is drawn: emoji, keycaps, Han, Mongolian.
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' | '\u{180b}'..='\u{180d}' | '\u{180f}' => {
            !before.is_ascii() || matches!(before, '0'..='9' | '#' | '*')
        }
        // Tags, and what is to be ignored should it be assigned one day (Unicode's Default_Ignorable_Code_Point).
        '\u{2065}' | '\u{fff0}'..='\u{fff8}' | '\u{e0000}'..='\u{e0fff}' => false,
        _ => match c.general_category() {
            // Format has what controls direction, and most of what has no width.
            Category::Format => SIGNS.contains(&c),
            Category::Control | Category::LineSeparator | Category::ParagraphSeparator => false,
            // Without a character of its own text before it, a mark would go onto what is not the server's.
            Category::NonspacingMark | Category::EnclosingMark if matches!(before, '\n' | '\t') => false,
            _ => !BLANKS.contains(&c),
        },
    }
}

/// The beginning of text, at most so many bytes of it, and how many bytes more there are.
pub(crate) fn beginning(text: &str, most: usize) -> (&str, usize) {
    let shown = &text[..text.floor_char_boundary(most)];
    (shown, text.len() - shown.len())
}

/// Text for a terminal that wants no colours.
pub(crate) fn without_colour(text: &str) -> String {
    strip_str(text).to_string()
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

    #[test]
    fn what_changes_how_other_text_is_read_is_shown_as_digits() {
        for (text, expected) in [
            // Each embedding, override, isolate and mark of direction.
            ("\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}", "\\u{202a}\\u{202b}\\u{202c}\\u{202d}\\u{202e}"),
            ("\u{2066}\u{2067}\u{2068}\u{2069}", "\\u{2066}\\u{2067}\\u{2068}\\u{2069}"),
            ("\u{200e}\u{200f}\u{61c}", "\\u{200e}\\u{200f}\\u{61c}"),
            // What has no width, or is nothing to see.
            ("a\u{200b}b\u{2060}c\u{feff}", "a\\u{200b}b\\u{2060}c\\u{feff}"),
            ("pay\u{200d}pal\u{200c}", "pay\\u{200d}pal\\u{200c}"),
            ("co\u{ad}op", "co\\xadop"),
            ("a\u{fe0f}\u{e0101}\u{e0041}", "a\\u{fe0f}\u{e0101}\\u{e0041}"),
            ("\u{3164}\u{115f}\u{34f}\u{180e}\u{2065}", "\\u{3164}\\u{115f}\\u{34f}\\u{180e}\\u{2065}"),
            // Line ends that are no `\n`, annotations, and a mark without a character to carry it.
            ("a\u{2028}b\u{2029}c\u{85}", "a\\u{2028}b\\u{2029}c\\x85"),
            ("\u{fff9}a\u{fffb}", "\\u{fff9}a\\u{fffb}"),
            ("\u{301}a\n\u{20dd}b", "\\u{301}a\n\\u{20dd}b"),
        ] {
            assert_eq!(printable(text), expected, "{text:?}");
        }
    }

    #[test]
    fn text_of_every_language_stays_as_it_is() {
        for text in [
            "Grüße, e\u{301}, ½ €",
            "مرحبا بالعالم! (اليوم)",
            "می\u{200c}خواهم",
            "שלום",
            "क्\u{200d}ष สวัสดี 한국어 漢字　仮名",
            "👩\u{200d}👩\u{200d}👧 ❤\u{fe0f} 1\u{fe0f}\u{20e3} 🇰🇷",
            "\u{600}123",
        ] {
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(printable_line("a\nb\r"), "a\\nb\\x0d");
    }

    #[test]
    fn a_beginning_ends_between_characters() {
        assert_eq!(beginning("a\u{d55c}b", 3), ("a", 4));
        assert_eq!(beginning("a\u{d55c}b", 4), ("a\u{d55c}", 1));
        assert_eq!(beginning("ab", 9), ("ab", 0));
    }
}
