//! The notation of the test cases for frames, events and steps. Failures show bytes in it, too.
//!
//! ```text
//! frame   = kind word* code? payload        text 'Hello' · ping · close 1000 'bye' · opcode 3
//! kind    = text | binary | continuation | ping | pong | close | opcode N
//! word    = fragment                        FIN is clear: more fragments follow
//!         | rsv1 | rsv2 | rsv3              a reserved bit is set
//!         | compressed                      the payload is deflated (RFC 7692), with RSV1 to say so
//!         | masked | unmasked | key HEX     instead of what the sender's role asks for
//!         | length16 | length64             the length is written longer than it need be
//!         | declares N                      the header promises N bytes, whatever follows
//! code    = a close code, in a close frame
//! payload = ('text' | hex BYTES) (* N)? …   one piece after another, each repeated if it says so
//! ```
//! A piece of text that cannot be quoted, because it has a quote or a broken code point in it, is written in hex.
//! [`crate::case`] knows which shorthands may stand where.

use crate::wire::{self, Frame, Length};

/// A line of shorthand, parsed from the left.
pub(crate) struct Words<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token<'a> {
    Word(&'a str),
    Text(&'a str),
}

/// A frame as written in a case.
pub(crate) struct Written {
    pub(crate) frame: Frame,
    /// Whether the payload is to be deflated. It is not deflated yet.
    pub(crate) compressed: bool,
}

impl<'a> Words<'a> {
    pub(crate) fn new(line: &'a str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        let mut rest = line.trim_start();
        while !rest.is_empty() {
            let (token, after) = if let Some(quoted) = rest.strip_prefix('\'') {
                let (text, after) = quoted.split_once('\'').ok_or("a quote isn't closed")?;
                (Token::Text(text), after)
            } else {
                let end = rest.find(|c: char| c.is_whitespace() || c == '\'').unwrap_or(rest.len());
                (Token::Word(&rest[..end]), &rest[end..])
            };
            tokens.push(token);
            rest = after.trim_start();
        }
        Ok(Self { tokens, next: 0 })
    }

    /// Takes the next token if it is this word.
    pub(crate) fn take(&mut self, word: &str) -> bool {
        let found = self.is(word);
        self.next += usize::from(found);
        found
    }

    /// Whether the next token is this word.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.tokens.get(self.next) == Some(&Token::Word(word))
    }

    /// Takes the next token if it is quoted.
    pub(crate) fn quoted(&mut self) -> Option<&'a str> {
        let Some(&Token::Text(text)) = self.tokens.get(self.next) else { return None };
        self.next += 1;
        Some(text)
    }

    /// Takes the next token, which must be a word.
    pub(crate) fn word(&mut self) -> Result<&'a str, String> {
        let Some(&Token::Word(word)) = self.tokens.get(self.next) else {
            return Err("a word is missing".into());
        };
        self.next += 1;
        Ok(word)
    }

    pub(crate) fn number<N: std::str::FromStr>(&mut self) -> Result<N, String> {
        let word = self.word()?;
        word.parse().map_err(|_| format!("{word} isn't a number that fits here"))
    }

    /// Takes a number up to the end of the line, if there is more on the line.
    pub(crate) fn optional_number(&mut self) -> Result<Option<usize>, String> {
        if self.end().is_ok() { Ok(None) } else { self.number().map(Some) }
    }

    pub(crate) fn end(&self) -> Result<(), String> {
        match self.tokens.get(self.next) {
            None => Ok(()),
            Some(Token::Word(token) | Token::Text(token)) => Err(format!("{token} is one too many")),
        }
    }

    /// Takes a whole frame, up to the end of the line. It is masked as the sender's role asks, unless the line says
    /// otherwise.
    pub(crate) fn frame(&mut self, mask: Option<[u8; 4]>) -> Result<Written, String> {
        let opcode = match self.word()? {
            "continuation" => wire::CONTINUATION,
            "text" => wire::TEXT,
            "binary" => wire::BINARY,
            "close" => wire::CLOSE,
            "ping" => wire::PING,
            "pong" => wire::PONG,
            "opcode" => self.number()?,
            other => return Err(format!("{other} is no kind of frame")),
        };
        let mut frame = Frame::new(opcode, []).with_mask(mask);
        let mut compressed = false;
        loop {
            if self.take("fragment") {
                frame.fin = false;
            } else if self.take("rsv1") {
                frame.rsv |= wire::RSV1;
            } else if self.take("rsv2") {
                frame.rsv |= wire::RSV2;
            } else if self.take("rsv3") {
                frame.rsv |= wire::RSV3;
            } else if self.take("compressed") {
                compressed = true;
            } else if self.take("masked") {
                frame.mask = Some(wire::KEY);
            } else if self.take("unmasked") {
                frame.mask = None;
            } else if self.take("key") {
                let key = from_hex(self.word()?)?;
                frame.mask = Some(key.try_into().map_err(|_| "a masking key has four bytes")?);
            } else if self.take("length16") {
                frame.length = Length::Bits16;
            } else if self.take("length64") {
                frame.length = Length::Bits64;
            } else if self.take("declares") {
                frame.length = Length::Declared(self.number()?);
            } else {
                break;
            }
        }
        frame.payload = if opcode == wire::CLOSE { self.close_payload()? } else { self.payload()? };
        Ok(Written { frame, compressed })
    }

    /// Takes a close code and a reason, or neither, up to the end of the line.
    pub(crate) fn close_body(&mut self) -> Result<Option<(u16, String)>, String> {
        match self.close_payload()?.as_slice() {
            [] => Ok(None),
            &[high, low, ref reason @ ..] => {
                let reason = String::from_utf8(reason.to_vec()).map_err(|_| "the reason isn't UTF-8")?;
                Ok(Some((u16::from_be_bytes([high, low]), reason)))
            }
            _ => Err("a close code has two bytes".into()),
        }
    }

    fn close_payload(&mut self) -> Result<Vec<u8>, String> {
        let mut payload = Vec::new();
        if let Some(Token::Word(_)) = self.tokens.get(self.next)
            && !self.is("hex")
            && !self.is("*")
        {
            payload.extend(self.number::<u16>()?.to_be_bytes());
        }
        payload.extend(self.payload()?);
        Ok(payload)
    }

    /// Takes pieces of payload, up to the end of the line.
    pub(crate) fn payload(&mut self) -> Result<Vec<u8>, String> {
        let mut payload = Vec::new();
        while let Some(&token) = self.tokens.get(self.next)
            && token != Token::Word("*")
        {
            self.next += 1;
            let piece = match token {
                Token::Text(text) => text.as_bytes().to_vec(),
                Token::Word("hex") => self.hex()?,
                Token::Word(word) => return Err(format!("{word} isn't a payload")),
            };
            let times = if self.take("*") { self.number()? } else { 1 };
            payload.extend(piece.repeat(times));
        }
        Ok(payload)
    }

    /// The same, for text.
    pub(crate) fn text(&mut self) -> Result<String, String> {
        String::from_utf8(self.payload()?).map_err(|_| "the text isn't UTF-8".into())
    }

    fn hex(&mut self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        while let Some(&Token::Word(word)) = self.tokens.get(self.next)
            && word != "*"
            && word != "hex"
        {
            self.next += 1;
            bytes.extend(from_hex(word)?);
        }
        Ok(bytes)
    }
}

fn from_hex(word: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> = word.chars().map(|c| Some(c.to_digit(16)? as u8)).collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()),
        _ => Err(format!("{word} isn't hex")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(line: &str) -> Frame {
        whole(line).unwrap_or_else(|error| panic!("{line}: {error}")).frame
    }

    fn whole(line: &str) -> Result<Written, String> {
        let mut words = Words::new(line)?;
        let written = words.frame(None)?;
        words.end()?;
        Ok(written)
    }

    #[test]
    fn frames_are_read_as_they_are_shown() {
        for line in [
            "text 'Hello, world'",
            "text fragment 'a b  c'",
            "continuation",
            "binary rsv1 rsv3 hex 00 ff",
            "close",
            "close 1000",
            "close 1000 'bye'",
            "opcode 11 'x'",
            "ping 'a' * 126",
        ] {
            assert_eq!(frame(line).to_string(), line);
        }
    }

    #[test]
    fn a_payload_is_pieced_together() {
        assert_eq!(frame("binary 'ab' * 2 hex 00 ff * 2 hex 01 'c'").payload, b"abab\x00\xff\x00\xff\x01c");
        assert_eq!(frame("close hex 03").payload, [3]);
    }

    #[test]
    fn lines_that_make_no_sense_are_refused() {
        for line in ["txt", "text Hello", "text 'Hello", "close 70000", "binary hex 0", "binary hex 0g", "text * 3"] {
            assert!(whole(line).is_err(), "{line}");
        }
    }
}
