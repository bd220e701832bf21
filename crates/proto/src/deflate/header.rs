//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455 section 9.1). The meaning of the names is left to the
//! negotiation.

use std::borrow::Cow;

use super::error::ExtensionError;
use crate::token::is_token_character;

/// The most extensions in a header, and the most parameters of one. Browsers send one extension with one parameter.
/// Each is cheap to read, but a header with thousands of them does not come from a client that wants a WebSocket.
const MAX: usize = 32;

/// One element of the header: `name; param; param=value`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extension<'a> {
    pub(super) name: &'a str,
    pub(super) params: Vec<(&'a str, Option<Cow<'a, str>>)>,
}

/// Parses the header's values, which together are one list (RFC 9110 section 5.3), in linear time.
pub(super) fn parse<'a>(values: impl Iterator<Item = &'a str>) -> Result<Vec<Extension<'a>>, ExtensionError> {
    let mut extensions = Vec::new();
    for text in values {
        let mut reader = Reader { text, at: 0 };
        loop {
            reader.skip_whitespace();
            // RFC 9110 section 5.6.1.2: "A recipient MUST parse and ignore a reasonable number of empty list elements".
            if reader.eat(b',') {
                continue;
            }
            if reader.peek().is_none() {
                break;
            }
            if extensions.len() == MAX {
                return Err(ExtensionError::TooMany(MAX));
            }
            extensions.push(reader.extension()?);
            if reader.peek().is_some_and(|byte| byte != b',') {
                return Err(reader.expected("`;`, `,` or the end"));
            }
        }
    }
    Ok(extensions)
}

struct Reader<'a> {
    text: &'a str,
    /// The position of the next byte. All bytes before it are ASCII, so a character starts there.
    at: usize,
}

impl<'a> Reader<'a> {
    /// `extension = extension-token *( ";" extension-param )`, and the whitespace after it.
    fn extension(&mut self) -> Result<Extension<'a>, ExtensionError> {
        let mut extension = Extension { name: self.token("an extension's name")?, params: Vec::new() };
        loop {
            self.skip_whitespace();
            if !self.eat(b';') {
                return Ok(extension);
            }
            if extension.params.len() == MAX {
                return Err(ExtensionError::TooMany(MAX));
            }
            self.skip_whitespace();
            let name = self.token("a parameter's name")?;
            self.skip_whitespace();
            let value = if self.eat(b'=') { Some(self.value()?) } else { None };
            extension.params.push((name, value));
        }
    }

    /// `token | quoted-string`: "When using the quoted-string syntax variant, the value after quoted-string unescaping
    /// MUST conform to the 'token' ABNF."
    fn value(&mut self) -> Result<Cow<'a, str>, ExtensionError> {
        self.skip_whitespace();
        if !self.eat(b'"') {
            return self.token("a value").map(Cow::Borrowed);
        }
        let mut unescaped = String::new();
        while !self.eat(b'"') {
            self.eat(b'\\');
            let Some(byte) = self.peek().filter(|&byte| is_token_character(byte)) else {
                return Err(self.expected("a character of a token, or a closing quote"));
            };
            unescaped.push(char::from(byte));
            self.at += 1;
        }
        if unescaped.is_empty() {
            return Err(self.expected("a quoted value that is not empty, ending"));
        }
        Ok(Cow::Owned(unescaped))
    }

    fn token(&mut self, expected: &'static str) -> Result<&'a str, ExtensionError> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(|&byte| is_token_character(byte)).count();
        if length == 0 {
            return Err(self.expected(expected));
        }
        self.at += length;
        Ok(&rest[..length])
    }

    /// RFC 6455 section 2.1 takes its grammar from RFC 2616, whose section 2.1 allows white space between any two
    /// words, and between words and separators: so around `=` too, though RFC 9110 no longer has it.
    fn skip_whitespace(&mut self) {
        while self.eat(b' ') || self.eat(b'\t') {}
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    const fn expected(&self, expected: &'static str) -> ExtensionError {
        ExtensionError::Syntax { at: self.at, expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the result back in one fixed form.
    fn read(values: &[&str]) -> Result<String, ExtensionError> {
        let extensions = parse(values.iter().copied())?;
        let written = extensions.iter().map(|extension| {
            extension.params.iter().fold(extension.name.to_owned(), |text, (name, value)| match value {
                Some(value) => format!("{text};{name}={value}"),
                None => format!("{text};{name}"),
            })
        });
        Ok(written.collect::<Vec<_>>().join(","))
    }

    #[test]
    fn lists_of_extensions_with_parameters_are_read() {
        for (values, expected) in [
            (&[][..], ""),
            (&[""], ""),
            (&[" ,\t, "], ""),
            (&["foo"], "foo"),
            (&["foo, bar"], "foo,bar"),
            (&["foo,,bar,"], "foo,bar"),
            (&["foo", "bar"], "foo,bar"),
            (&[" \tfoo\t; a ;b=1 , bar ;c=\"2\" "], "foo;a;b=1,bar;c=2"),
            (&["foo;a=\"\\b\\cd\""], "foo;a=bcd"),
            (&["foo ; a\t= \t1;b =\"2\";c = \"3\" ;d ,e;f =1"], "foo;a=1;b=2;c=3;d,e;f=1"),
            (&["foo;a;a=1;a"], "foo;a;a=1;a"),
            (&["!#$%&'*+-.^_`|~09azAZ"], "!#$%&'*+-.^_`|~09azAZ"),
        ] {
            assert_eq!(read(values).as_deref(), Ok(expected), "{values:?}");
        }
    }

    #[test]
    fn a_syntax_error_says_where_it_is() {
        for (value, place) in [
            (";", 0),
            ("foo bar", 4),
            ("foo;", 4),
            ("foo; ,bar", 5),
            ("foo;;a", 4),
            ("foo;=1", 4),
            ("foo;a=", 6),
            ("foo;a= ", 7),
            ("foo;a b", 6),
            ("foo;a= 1 2", 9),
            ("foo;a=\" 1\"", 7),
            ("foo;a=1=2", 7),
            ("foo;a=\"", 7),
            ("foo;a=\"1", 8),
            ("foo;a=\"\"", 8),
            ("foo;a=\"1 2\"", 8),
            ("foo;a=\"1\\", 9),
            ("foo;a=\"1\\\"\"", 9),
            ("foo;a=\"1\\\\\"", 9),
            ("foo;a=\"1\"2", 9),
            ("foo;a='1 '", 9),
            ("foo/1", 3),
            ("f\u{f6}o", 1),
            ("foo;a=\"\u{f6}\"", 7),
            ("foo\0", 3),
            ("foo\r\n", 3),
        ] {
            match read(&[value]) {
                Err(ExtensionError::Syntax { at, .. }) => assert_eq!(at, place, "{value:?}"),
                other => panic!("{value:?} gave {other:?}"),
            }
        }
    }

    #[test]
    fn at_most_32_extensions_with_at_most_32_parameters_are_read() {
        let params = "; p".repeat(32);
        let most = format!("foo{params},").repeat(32);
        assert!(read(&[&most]).is_ok());
        assert_eq!(read(&[&most, "bar"]), Err(ExtensionError::TooMany(32)));
        assert_eq!(read(&[&format!("foo{params};p")]), Err(ExtensionError::TooMany(32)));
    }
}
