//! Writes bytes in the notation of the cases. [`crate::shorthand`] reads it.

/// Bytes in hex, with a space between them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}

/// A payload in shorthand, with a space before it: nothing, `'text'` or `hex`. A long one is cut.
pub(crate) fn payload(bytes: &[u8]) -> String {
    const SHOWN: usize = 200;
    let piece = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(|c: char| c.is_control() || c == '\'') => format!(" '{text}'"),
        _ => format!(" hex {}", hex(bytes)),
    };
    match bytes {
        [] => String::new(),
        [first, rest @ ..] if rest.len() > 8 && rest.iter().all(|byte| byte == first) => {
            format!("{} * {}", piece(&[*first]), bytes.len())
        }
        bytes if bytes.len() > SHOWN => format!("{} … ({} bytes in all)", piece(&bytes[..SHOWN]), bytes.len()),
        bytes => piece(bytes),
    }
}
