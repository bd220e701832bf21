//! Header field values as the handshake reads them: lists, tokens, fields that may come once. Their meaning is left to
//! the roles.

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::token::is_token_character;

/// How often a field came that must not come twice.
pub(super) enum Field<'a> {
    Missing,
    Once(&'a HeaderValue),
    Repeated,
}

/// Returns the one value of a field that must not be a list.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Field<'a> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Field::Missing,
        (Some(value), None) => Field::Once(value),
        (Some(_), Some(_)) => Field::Repeated,
    }
}

/// Whether a field's value is a secret, which must not be printed by `Debug` and so get into logs.
pub(super) fn is_secret(name: &HeaderName) -> bool {
    [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE].contains(name)
}

/// Marks the values of `Cookie`, `Set-Cookie`, `Authorization` and `Proxy-Authorization` as sensitive, so that `Debug`
/// does not print them. A head that a [`HeadReader`](super::HeadReader) read is marked already.
pub fn hide_secrets(headers: &mut HeaderMap) {
    for (name, value) in headers.iter_mut() {
        hide_secret(name, value);
    }
}

/// The same for one header.
pub(super) fn hide_secret(name: &HeaderName, value: &mut HeaderValue) {
    if is_secret(name) {
        value.set_sensitive(true);
    }
}

/// Makes a header of this name and value, and marks the value as sensitive if it is secret. Fails with the name if the
/// value is not valid, and with `None` if the name is not.
pub fn header(
    name: impl TryInto<HeaderName>,
    value: impl TryInto<HeaderValue>,
) -> Result<(HeaderName, HeaderValue), Option<HeaderName>> {
    let name = name.try_into().map_err(|_| None)?;
    match value.try_into() {
        Ok(mut value) => {
            hide_secret(&name, &mut value);
            Ok((name, value))
        }
        Err(_) => Err(Some(name)),
    }
}

/// The elements of a list field.
///
/// RFC 9110 section 5.3: a list may be spread over several field lines, which mean the same as one line with all
/// elements; section 5.6.1.2: "a recipient MUST parse and ignore a reasonable number of empty list elements".
pub(super) fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// The elements of a list field whose values may be quoted, the last one first.
pub(super) fn elements_from_the_right<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).iter().rev();
    lines
        .flat_map(|line| RightToLeft::new(line.as_bytes(), b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// The pieces of a text between separators that are outside of quotes, the last piece first. Reading from the right has
/// a reason: if an untrusted peer leaves a quote open, that changes none of the pieces to the right of it.
pub(super) struct RightToLeft<'a> {
    /// `None` after the last piece.
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> RightToLeft<'a> {
    pub(super) fn new(text: &'a [u8], separator: u8) -> Self {
        Self { rest: Some(text), separator }
    }
}

impl<'a> Iterator for RightToLeft<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let mut is_quoted = false;
        let mut at = rest.len();
        while let Some(before) = at.checked_sub(1) {
            at = before;
            if rest[at] == self.separator && !is_quoted {
                self.rest = Some(&rest[..at]);
                return Some(&rest[at + 1..]);
            }
            if rest[at] == b'"' {
                let backslashes = rest[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
                // RFC 9110 section 5.6.4: a backslash quotes the character behind it, within quotes alone.
                if !is_quoted || backslashes % 2 == 0 {
                    is_quoted = !is_quoted;
                }
                at -= backslashes;
            }
        }
        self.rest = None;
        Some(rest)
    }
}

/// Whether a list field has this token among its elements, in any case.
pub(super) fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    elements(headers, name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

/// The text of a token, or `None` if this is not a token (RFC 9110 section 5.6.2).
pub(super) fn token(bytes: &[u8]) -> Option<&str> {
    (!bytes.is_empty() && bytes.iter().all(|byte| is_token_character(*byte)))
        .then(|| std::str::from_utf8(bytes).ok())?
}

/// The field's lines as text. Bytes that are not UTF-8 become U+FFFD, which no grammar here allows.
pub(super) fn texts(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    headers.get_all(name).iter().map(text).collect()
}

/// A value as text, for messages and for strict parsers: see [`texts`].
pub(super) fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// Makes a header value of our own text. It is ASCII: base64, tokens, extension parameters, or a host that `Uri` or a
/// URL parser has checked.
pub(super) fn own_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("tokens, base64 and hosts are header values")
}

/// Quotes a text that the peer sent, so that it can be shown: control characters are escaped, and a long text is cut.
pub(super) fn quoted(text: &str) -> String {
    /// Long enough for any honest origin, path or token.
    const LONGEST: usize = 100;
    match text.char_indices().nth(LONGEST) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?} and more", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use http::header::CONNECTION;

    use super::*;

    #[test]
    fn a_list_is_read_over_several_lines_and_past_empty_elements() {
        let mut headers = HeaderMap::new();
        headers.append(CONNECTION, HeaderValue::from_static(",keep-alive ,\t"));
        headers.append(CONNECTION, HeaderValue::from_static("UPGRADE"));
        assert_eq!(elements(&headers, &CONNECTION).collect::<Vec<_>>(), [&b"keep-alive"[..], b"UPGRADE"]);
        assert!(lists(&headers, &CONNECTION, "upgrade"));
        assert!(!lists(&headers, &CONNECTION, "keep"));
    }

    #[test]
    fn text_from_the_peer_is_escaped_and_cut() {
        assert_eq!(quoted("a\u{1b}\"b"), r#""a\u{1b}\"b""#);
        assert_eq!(quoted(&"ä".repeat(101)), format!("\"{}\" and more", "ä".repeat(100)));
    }
}
