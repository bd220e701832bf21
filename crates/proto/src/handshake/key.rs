//! `Sec-WebSocket-Key` and the `Sec-WebSocket-Accept` that answers it (RFC 6455 section 1.3).

use base64::prelude::{BASE64_STANDARD, Engine as _};

/// The text that a server appends to the key, so that only a server that knows the WebSocket protocol can answer
/// (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Makes a key from a nonce. Section 4.1: "a nonce consisting of a randomly selected 16-byte value that has been
/// base64-encoded".
pub(super) fn key(nonce: [u8; 16]) -> String {
    BASE64_STANDARD.encode(nonce)
}

/// Whether the text is the base64 of 16 bytes, as section 4.2.1 asks: 22 characters and two of padding.
///
/// The last character carries four bits that encode nothing. Clients that draw random characters instead of bytes set
/// them at random. That is harmless, since the key is never decoded.
pub(super) fn is_key(text: &[u8]) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    text.len() == 24 && text[..22].iter().all(is_base64) && text.ends_with(b"==")
}

/// Computes the accept value of a key. Section 4.2.2: append the GUID, "taking the SHA-1 hash of this concatenated
/// value to obtain a 20-byte value and base64-encoding this 20-byte hash".
pub(super) fn accept_of(key: &[u8]) -> String {
    let mut hash = sha1_smol::Sha1::new();
    hash.update(key);
    hash.update(GUID);
    BASE64_STANDARD.encode(hash.digest().bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_6455_section_1_3() {
        let key = key(*b"the sample nonce");
        assert_eq!(key, "dGhlIHNhbXBsZSBub25jZQ==");
        assert!(is_key(key.as_bytes()));
        assert_eq!(accept_of(key.as_bytes()), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_is_22_base64_characters_and_two_equals_signs() {
        for wrong in [
            "",
            "==",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ===",
            "dGhlIHNhbXBsZSBub25jZ===",
            "dGhl-HNhbXBsZSBub25jZQ==",
        ] {
            assert!(!is_key(wrong.as_bytes()), "{wrong:?}");
        }
    }
}
