//! The options of `ropeway connect`. What comes of them is decided elsewhere.

use std::time::Duration;

use clap::ValueEnum;

use crate::dial::Dial;
use crate::seconds::{positive_seconds, seconds};
use crate::tls::Trust;

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
    #[command(flatten)]
    pub(crate) dial: Dial,

    /// Offer no compression
    #[arg(long)]
    pub(crate) no_deflate: bool,

    #[command(flatten)]
    pub(crate) trust: Trust,

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

fn wait(text: &str) -> Result<Wait, String> {
    if text == "forever" { Ok(Wait::Forever) } else { seconds(text).map(Wait::AtMost) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_has_an_end_or_none() {
        assert_eq!(wait("0.25"), Ok(Wait::AtMost(Duration::from_millis(250))));
        assert_eq!(wait("forever"), Ok(Wait::Forever));
        assert!(wait("never").is_err());
    }
}
