//! The characters of a token, of which names in HTTP header fields are made.

/// Whether a token may have this character (RFC 9110 section 5.6.2).
pub(crate) const fn is_token_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}
