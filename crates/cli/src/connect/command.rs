//! The meaning of a line that was typed at the prompt.

use ropeway::{Bytes, CloseCode, CloseFrame, Message};

/// The commands, for `/help`.
pub(crate) const HELP: &str = "\
/ping [TEXT]           send a ping, and show how long the answer takes
/binary HEX            send a binary message, like /binary 00 ff
/close [CODE [REASON]] close the connection, with 1000 unless a code is given
/quit                  the same as /close, and as Ctrl-D
//TEXT                 send a text that begins with a slash";

/// A command of the user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Send a message.
    Send(Message),
    /// Send a ping. Without a payload, it gets one that tells it from others.
    Ping(Option<Bytes>),
    /// Start the closing handshake.
    Close(CloseFrame),
    /// List the commands.
    Help,
}

impl Command {
    /// Parses a line. Returns `None` if it asks for nothing. An error is for the user to read.
    pub(crate) fn parse(line: &str) -> Result<Option<Self>, String> {
        let Some(command) = line.strip_prefix('/') else {
            return Ok((!line.is_empty()).then(|| Self::Send(line.into())));
        };
        if command.starts_with('/') {
            return Ok(Some(Self::Send(command.into())));
        }
        let (name, argument) = split(command);
        let command = match name {
            "ping" => Self::Ping((!argument.is_empty()).then(|| Bytes::copy_from_slice(argument.as_bytes()))),
            "binary" => Self::Send(binary(argument)?),
            "close" => Self::Close(close(argument)?),
            "quit" | "exit" => Self::Close(CloseFrame::new(CloseCode::NORMAL, "")),
            "help" | "?" => Self::Help,
            _ => {
                return Err(format!(
                    "there is no command /{name}: /help lists them; to send a text that begins with a slash, double it: \
                     /{line}"
                ));
            }
        };
        Ok(Some(command))
    }
}

fn binary(digits: &str) -> Result<Message, String> {
    let digits: String = digits.split_whitespace().collect();
    let payload =
        hex::decode(digits).map_err(|error| format!("/binary takes bytes in hexadecimal, like 00 ff: {error}"))?;
    Ok(payload.into())
}

fn close(argument: &str) -> Result<CloseFrame, String> {
    let (code, reason) = split(argument);
    let code = match code {
        "" => CloseCode::NORMAL.as_u16(),
        code => {
            code.parse().map_err(|_| format!("/close takes a close code, like 1000, before a reason; not {code:?}"))?
        }
    };
    let frame = CloseFrame::new(code, reason);
    frame.check().map_err(|error| error.to_string())?;
    Ok(frame)
}

/// Splits off the first word.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<Command> {
        Command::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn a_line_is_sent_as_it_is_unless_it_begins_with_one_slash() {
        assert_eq!(parse(""), None);
        assert_eq!(parse("  two words "), Some(Command::Send("  two words ".into())));
        assert_eq!(parse("//path"), Some(Command::Send("/path".into())));
        assert_eq!(parse("///"), Some(Command::Send("//".into())));
    }

    #[test]
    fn commands_take_their_arguments() {
        assert_eq!(parse("/ping"), Some(Command::Ping(None)));
        assert_eq!(parse("/ping are you there"), Some(Command::Ping(Some(Bytes::from_static(b"are you there")))));
        assert_eq!(parse("/binary 00 fF"), Some(Command::Send(vec![0, 255].into())));
        assert_eq!(parse("/binary"), Some(Command::Send(Vec::new().into())));
        assert_eq!(parse("/close"), Some(Command::Close(CloseFrame::new(1000, ""))));
        assert_eq!(parse("/close 4000  good bye"), Some(Command::Close(CloseFrame::new(4000, "good bye"))));
        assert_eq!(parse("/quit"), parse("/close 1000"));
        assert_eq!(parse("/help"), Some(Command::Help));
    }

    #[test]
    fn a_mistake_is_explained() {
        for (line, says) in [
            ("/nick me", "//nick me"),
            ("/binary 0", "hexadecimal"),
            ("/binary xy", "hexadecimal"),
            ("/close why", "close code"),
            ("/close 1005", "cannot be sent"),
            (&format!("/close 1000 {}", "x".repeat(124)), "at most 123"),
        ] {
            let error = Command::parse(line).unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
