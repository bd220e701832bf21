//! The options of `ropeway connect`. What comes of them is decided elsewhere.

use std::time::Duration;

use clap::ValueEnum;
use ropeway::{Config, HeadLimits};

use crate::dial::Dial;
use crate::seconds::{positive_seconds, seconds};
use crate::tls::Trust;

const MORE: &str = "\
On a terminal, lines are edited and kept in a history; each is sent as a text message, and what comes is shown above the \
prompt. Lines that begin with a slash are commands: /help lists them. Ctrl-D ends.

A long message is cut there unless -v is given. The history is kept in $XDG_STATE_HOME/ropeway/history, or in \
~/.local/state/ropeway/history without that; a line that begins with a blank is left out, and --no-history keeps none.

In a pipe it is a filter: each line of the input is sent as a text message (as a binary one if it is not UTF-8), each \
message that comes is written as a line, and nothing else goes to the output.

Exit codes:
  0    closed with 1000, 1001, no code or the code given to /close, also by Ctrl-C; the message of --one came; or nobody
       reads the output any more
  1    the input or the output failed
  2    the server could not be reached, or TLS failed
  3    the server refused the opening handshake; its answer is shown
  4    the server broke the protocol
  5    a handshake, opening or closing, the answer to a ping, or the message of --one took too long
  6    closed with another code, which is shown, or lost without one
  64   wrong usage
  130  stopped by a second Ctrl-C or SIGTERM, without a closing handshake; or by the first one while the output was not
       read, without all of it

Environment:
  XDG_STATE_HOME                where the history is kept
  SSL_CERT_FILE, SSL_CERT_DIR   certificates to trust in place of the system's, on Linux and other Unix but macOS
  NO_COLOR                      if set, there are no colours

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

    /// How long the opening handshake may take
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = positive_seconds, allow_hyphen_values = true)]
    pub(crate) timeout: Duration,

    /// How long the closing handshake may take
    ///
    /// Where all that was asked for has come already it is given a second, and its failure does not count.
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = positive_seconds, allow_hyphen_values = true)]
    pub(crate) close_timeout: Duration,

    /// Send a ping that often; round-trip times are shown on a terminal, and with -v
    #[arg(long, value_name = "SECS", value_parser = positive_seconds, allow_hyphen_values = true)]
    pub(crate) ping: Option<Duration>,

    /// How long after a ping the server counts as gone if nothing at all comes from it [default: 5 with --ping, else 20]
    ///
    /// Without --ping, one is sent whenever nothing came for 20 seconds.
    #[arg(long, value_name = "SECS", value_parser = positive_seconds, allow_hyphen_values = true)]
    ping_timeout: Option<Duration>,

    /// After the end of the input, wait until as many messages came as were sent, or none for that long
    ///
    /// What comes before the server has read the first line, such as a greeting, is no reply and does not count; a ping
    /// before that line tells when that is. `forever` waits for the server to close, however many messages come: a
    /// subscription needs that.
    #[arg(
        short, long, value_name = "SECS|forever", default_value = "3", value_parser = wait, allow_hyphen_values = true
    )]
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

    /// The most bytes that a message of the server may have, inflated
    #[arg(long, value_name = "BYTES", default_value_t = Config::client().max_payload)]
    max_payload: usize,

    /// The most fragments that the server may cut a message into
    #[arg(long, value_name = "N", default_value_t = Config::client().max_fragments)]
    max_fragments: u32,

    /// The most control frames that the server may send within a second
    #[arg(long, value_name = "N", default_value_t = Config::client().max_control_rate)]
    max_control_rate: u32,

    /// The most bytes that the head of the server's answer may have
    #[arg(long, value_name = "BYTES", default_value_t = HeadLimits::client().max_head)]
    max_head: usize,

    /// The most header lines that the server's answer may have
    #[arg(long, value_name = "N", default_value_t = HeadLimits::client().max_headers)]
    max_headers: usize,

    /// Neither read nor write the history of lines that were typed
    #[arg(long)]
    pub(crate) no_history: bool,

    /// Show the opening handshake, pings, pongs, the close and all of long messages, on stderr in a pipe
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// How long after a ping of --ping the server counts as gone, unless an option says otherwise: the user who asks for pings wants
/// to know soon.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

impl Args {
    /// How long to wait for replies after the end of the input.
    pub(crate) fn wait(&self) -> Wait {
        if self.no_wait { Wait::AtMost(Duration::ZERO) } else { self.wait }
    }

    /// The limits of the server's answer to the opening handshake.
    pub(crate) fn head_limits(&self) -> HeadLimits {
        HeadLimits::client().max_head(self.max_head).max_headers(self.max_headers)
    }

    /// The limits and times of the connection.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::client()
            .max_payload(self.max_payload)
            .max_fragments(self.max_fragments)
            .max_control_rate(self.max_control_rate)
            .close_timeout(self.close_timeout);
        match (self.ping, self.ping_timeout) {
            (Some(interval), timeout) => {
                // While pings are answered there is no silence, and the library sends none of its own. Half of the timeout
                // is for the answer to the last of these, half to its own.
                let half = timeout.unwrap_or(PING_TIMEOUT) / 2;
                (config.ping_interval, config.ping_timeout) = (Some(interval + half), half);
            }
            (None, Some(timeout)) => config.ping_timeout = timeout,
            (None, None) => {}
        }
        config
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
