//! The options of `ropeway connect`. What comes of them is decided elsewhere.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use ropeway::Target;
use ropeway::http::{HeaderName, HeaderValue};

/// The longest time that can be asked for: more is a slip of the pen, and some clocks do not reach far beyond it.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const MORE: &str = "\
On a terminal, lines are edited and kept in a history; each is sent as a text message, and what comes is shown above the \
prompt. Lines that begin with a slash are commands: /help lists them. Ctrl-D ends.

In a pipe it is a filter: each line of the input is sent as a text message (as a binary one if it is not UTF-8), each \
message that comes is written as a line, and nothing else goes to the output.

Exit codes:
  0    closed with 1000, 1001 or no code, also by Ctrl-C; or nobody reads the output any more
  1    the input or the output failed
  2    the server could not be reached, or TLS failed
  3    the server refused the opening handshake; its answer is shown
  4    the server broke the protocol
  5    a handshake, opening or closing, the answer to a ping, or the message of --one took too long
  6    closed with another code, which is shown, or lost without one
  64   wrong usage
  130  stopped by a second Ctrl-C, without a closing handshake

Examples:
  ropeway connect localhost:8005/echo
  echo hello | ropeway connect ws://localhost:8005/echo
  echo '{\"subscribe\":\"trades\"}' | ropeway connect --wait forever wss://example.org/feed | jq .price
  ropeway connect -1 -H 'Authorization: Bearer 1234' wss://example.org/status </dev/null";

/// Talk to a WebSocket server: line by line on a terminal, as a filter in a pipe
#[derive(clap::Args)]
#[command(after_help = "More, with exit codes and examples: --help", after_long_help = MORE)]
pub(crate) struct Args {
    /// A ws:// or wss:// URL; without a scheme, ws:// is meant
    #[arg(value_parser = url)]
    pub(crate) url: Url,

    /// Send a header with the opening handshake; can be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,

    /// Send this Origin, as a web page from there would
    #[arg(long)]
    pub(crate) origin: Option<String>,

    /// Offer subprotocols, the preferred one first; several with commas, or the option several times
    #[arg(long = "subprotocol", value_name = "NAME", value_delimiter = ',')]
    pub(crate) subprotocols: Vec<String>,

    /// Offer no compression
    #[arg(long)]
    pub(crate) no_deflate: bool,

    /// Accept any certificate: for tests, as anyone in between can then read and change everything
    #[arg(short = 'k', long)]
    pub(crate) insecure: bool,

    /// Trust the certificates in this PEM file in place of the system's
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) cacert: Option<PathBuf>,

    /// How long the opening handshake may take, and how long the closing one
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = positive_seconds)]
    pub(crate) timeout: Duration,

    /// Send a ping that often; round-trip times are shown on a terminal, and with -v
    #[arg(long, value_name = "SECS", value_parser = positive_seconds)]
    pub(crate) ping: Option<Duration>,

    /// After the end of the input, wait until as many messages came as were sent, or none for that long
    ///
    /// `forever` waits for the server to close, however many messages come.
    #[arg(short, long, value_name = "SECS|forever", default_value = "3", value_parser = wait)]
    wait: Wait,

    /// Close at the end of the input: `--wait 0`
    ///
    /// What the server sends before it answers the close is still written.
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,

    /// Exit after the first message; with 5 if none came
    #[arg(short = '1', long)]
    pub(crate) one: bool,

    /// How binary messages are written
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    pub(crate) binary: Binary,

    /// Show the opening handshake, pings, pongs and the close, on stderr in a pipe
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

impl Args {
    /// How long to wait for replies after the end of the input.
    pub(crate) fn wait(&self) -> Wait {
        if self.no_wait { Wait::AtMost(Duration::ZERO) } else { self.wait }
    }
}

/// A URL as it was given, and what it means.
#[derive(Clone)]
pub(crate) struct Url {
    /// With a scheme, and with the password if there is one: not to be shown.
    pub(crate) given: String,
    pub(crate) target: Target,
}

/// How long to wait for replies after the end of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// So long after the last message, unless there are enough before.
    AtMost(Duration),
    /// Until the server closes.
    Forever,
}

/// How binary messages are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Binary {
    /// A line of lower-case hexadecimal digits
    #[default]
    Hex,
    /// A line of Base64
    Base64,
    /// The bytes alone, without a line's end
    Raw,
}

fn url(text: &str) -> Result<Url, String> {
    let has_scheme = text
        .split_once("://")
        .is_some_and(|(scheme, _)| scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)));
    let given = if has_scheme { text.to_owned() } else { format!("ws://{text}") };
    let target = given.parse().map_err(|error| format!("{error}"))?;
    Ok(Url { given, target })
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a header is a name, a colon and a value, like 'Cookie: id=1'")?;
    let name = name.trim().parse().map_err(|_| format!("{name:?} cannot be a header's name (RFC 9110 section 5.1)"))?;
    let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| {
        format!("{value:?} cannot be a header's value (RFC 9110 section 5.5): it has control characters")
    })?;
    Ok((name, value))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number of seconds, like 2.5")?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| "not a time that can be waited for")?;
    if duration > LONGEST { Err("more than a year".into()) } else { Ok(duration) }
}

fn positive_seconds(text: &str) -> Result<Duration, String> {
    let duration = seconds(text)?;
    if duration.is_zero() { Err("must be more than 0".into()) } else { Ok(duration) }
}

fn wait(text: &str) -> Result<Wait, String> {
    if text == "forever" { Ok(Wait::Forever) } else { seconds(text).map(Wait::AtMost) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_scheme_means_ws() {
        for (text, meant) in [
            ("localhost:8005/echo", "ws://localhost:8005/echo"),
            ("example.org", "ws://example.org/"),
            ("[::1]:8005", "ws://[::1]:8005/"),
            ("h/?to=http://other", "ws://h/?to=http://other"),
            ("https://example.org/a", "wss://example.org/a"),
        ] {
            assert_eq!(url(text).unwrap_or_else(|error| panic!("{text}: {error}")).target.to_string(), meant);
        }
        assert!(url("ftp://example.org").is_err());
    }

    #[test]
    fn headers_are_split_at_the_first_colon() {
        let (name, value) = header("X-Time:  12:30 ").unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("x-time", &b"12:30"[..]));
        assert_eq!(header("Empty:").unwrap().1, "");
        for wrong in ["no colon", ": no name", "a b: c", "a: b\r\nc: d"] {
            assert!(header(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn times_that_no_clock_can_keep_are_refused() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for wrong in ["", "-1", "nan", "inf", "1e30", "3 s"] {
            assert!(seconds(wrong).is_err(), "{wrong:?}");
        }
        assert!(positive_seconds("0").is_err());
        assert_eq!(wait("forever"), Ok(Wait::Forever));
    }
}
