//! Makes a stranger's text safe to show among other text. Characters that control a terminal, that change the direction
//! of the text behind them, or that are invisible are written as their numbers. Line ends and tabs stay.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_normalization::char::is_combining_mark;
use unicode_security::skeleton;

/// `text` with each hidden character replaced by its number: `\x1b` for a control character, `\u{202e}` for another.
///
/// Some hidden characters belong to the spelling of a word or an emoji, and stay: joiners between two characters that
/// are not ASCII (Persian, Indic scripts, emoji of several people), a variation selector behind a visible character,
/// and the tags of a regional flag.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    // Most text is ASCII without control characters, which needs only one check.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t')) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    // The previous character, if it was kept.
    let mut before = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let is_shown = if is_combining_mark(c) && matches!(before, None | Some('\n' | '\t')) {
            // At the start of the text a mark would be drawn onto a character outside of it.
            false
        } else {
            !is_hidden(c) || is_spelling(before, c, rest.clone().next())
        };
        if is_shown {
            shown.push(c);
            before = Some(c);
        } else {
            let number = u32::from(c);
            // Writing to a string cannot fail. Two digits are enough for a control character: the last one is U+009F.
            let _ = if c.is_control() { write!(shown, "\\x{number:02x}") } else { write!(shown, "\\u{{{number:x}}}") };
            before = None;
        }
    }
    Cow::Owned(shown)
}

/// Whether a character changes other text, or the terminal, without being visible itself.
pub(crate) fn is_hidden(c: char) -> bool {
    match c {
        '\n' | '\t' | ' '..='~' => false,
        // The last ones are the line and paragraph separators, and the marks of interlinear annotations.
        '\0'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' => true,
        // Unicode Technical Standard 39 section 4: a skeleton is the visible part of a text. It leaves out the
        // characters with the property Default_Ignorable_Code_Point, which include all that control direction
        // (Bidi_Control).
        _ => skeleton(c.encode_utf8(&mut [0; 4])).next().is_none(),
    }
}

/// Whether a hidden character belongs to the spelling of its neighbours. `before` was kept, `after` comes next.
fn is_spelling(before: Option<char>, c: char, after: Option<char>) -> bool {
    let Some(before) = before else { return false };
    match c {
        // Unicode chapter 23.2, ZERO WIDTH NON-JOINER and JOINER. Beside an ASCII character, on either side, they have
        // no use but to hide.
        '\u{200c}' | '\u{200d}' => {
            !before.is_ascii() && after.is_some_and(|after| !after.is_ascii() && !is_hidden(after))
        }
        // Unicode chapter 23.4, variation selectors. Digits, # and * take them in keycaps.
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' | '\u{180b}'..='\u{180d}' | '\u{180f}' => {
            !is_hidden(before) && (!before.is_ascii() || matches!(before, '0'..='9' | '#' | '*'))
        }
        // Unicode Technical Standard 51, emoji tag sequences: a black flag and the name of the region in tags.
        '\u{e0020}'..='\u{e007f}' => matches!(before, '\u{1f3f4}' | '\u{e0020}'..='\u{e007e}'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_as_numbers() {
        assert_eq!(escaped("a\tb\nc \u{e4}"), "a\tb\nc \u{e4}");
        assert_eq!(escaped("\x1b[2J\r\x07\u{7f}\u{9b}"), "\\x1b[2J\\x0d\\x07\\x7f\\x9b");
    }

    #[test]
    fn characters_that_change_the_direction_are_shown_as_numbers() {
        for c in
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}".chars()
        {
            assert_eq!(escaped(&format!("a{c}b")), format!("a\\u{{{:x}}}b", u32::from(c)));
        }
    }

    #[test]
    fn invisible_characters_are_shown_as_numbers() {
        let unseen = "\u{ad}\u{34f}\u{115f}\u{180e}\u{200b}\u{200c}\u{200d}\u{2028}\u{2029}\u{2060}\u{2064}\u{2065}\u{206a}\u{3164}\
                      \u{fe0f}\u{feff}\u{ffa0}\u{fff9}\u{1d173}\u{e0001}\u{e0041}\u{e0100}";
        for c in unseen.chars() {
            assert_eq!(escaped(&format!("a{c}b")), format!("a\\u{{{:x}}}b", u32::from(c)));
        }
        assert_eq!(escaped("\u{200b}"), "\\u{200b}");
    }

    #[test]
    fn a_mark_has_a_character_of_its_own_text_to_carry_it() {
        assert_eq!(escaped("\u{301}a\n\u{20dd}b\u{301}"), "\\u{301}a\n\\u{20dd}b\u{301}");
    }

    #[test]
    fn scripts_and_emoji_keep_their_spelling() {
        let written = [
            "مرحبا بالعالم! كيف حالك (اليوم)?",
            "שלום",
            "می\u{200c}خواهم",   // Persian, with a non-joiner
            "क\u{94d}\u{200d}ष", // Devanagari, with a joiner
            "👩\u{200d}👩\u{200d}👧 ❤\u{fe0f} 1\u{fe0f}\u{20e3}",
            "👩\u{1f3fd}\u{200d}🚀 🏳\u{fe0f}\u{200d}🌈",
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}", // the flag of Scotland
            "葛\u{e0100}",                                              // a variant of a Han character
            "한국어, e\u{301}, 日本語　",
            "Grüße, ½ €, สวัสดี 🇰🇷",
            "\u{600}123", // a sign that encloses the number behind it
        ];
        for text in written {
            assert_eq!(escaped(text), text);
        }
    }

    #[test]
    fn spelling_is_no_place_to_hide_in() {
        assert_eq!(escaped("é\u{200d}\u{200b}é"), "é\\u{200d}\\u{200b}é");
        assert_eq!(escaped("❤\u{fe0f}\u{fe0f}"), "❤\u{fe0f}\\u{fe0f}");
        assert_eq!(escaped("é\u{e0041}\u{e0042}"), "é\\u{e0041}\\u{e0042}");
        assert_eq!(escaped("é\u{200d}"), "é\\u{200d}");
    }
}
