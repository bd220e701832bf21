//! The payload of the messages: text that resembles an application's, so that compression has a realistic amount of
//! work.

use std::fmt::Write;

use ropeway::Message;

/// Text of `size` bytes, the same at every call: JSON of trades.
pub(crate) fn text(size: usize) -> String {
    const SYMBOLS: [&str; 5] = ["BTC", "ETH", "SOL", "ADA", "XRP"];
    let mut text = String::with_capacity(size + 128);
    text.push('[');
    // Knuth's generator. Its upper bits are good enough for prices.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut id = 1000;
    while text.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = state >> 33;
        let symbol = SYMBOLS[(random % 5) as usize];
        let side = if random & 64 == 0 { "buy" } else { "sell" };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            r#"{{"id":{id},"symbol":"{symbol}USD","price":{}.{:02},"quantity":{},"side":"{side}"}},"#,
            random % 60_000,
            random / 7 % 100,
            random / 11 % 1000
        );
        id += 1;
    }
    text.truncate(size);
    text
}

/// A message of `size` bytes.
pub(crate) fn message(size: usize, is_text: bool) -> Message {
    let text = text(size);
    if is_text { Message::from(text) } else { Message::from(text.into_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_size_asked_for_and_is_always_the_same() {
        for size in [0, 1, 20, 125, 126, 70_000] {
            assert_eq!(message(size, true).as_bytes(), message(size, false).as_bytes());
            assert_eq!(message(size, true).len(), size);
        }
    }
}
