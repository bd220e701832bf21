//! The options of `ropeway connect`. Acting on them is left to other files.

use std::time::Duration;

use clap::ValueEnum;
use ropeway::{Config, HeadLimits};

use crate::dial::Dial;
use crate::seconds::{positive_seconds, seconds};
use crate::tls::Trust;

const MORE: &str = "\
On a terminal, lines are edited and kept in a history. Each is sent as a text message, and received messages are shown above \
the prompt. Lines that begin with a slash are commands: /help lists them. Ctrl-D ends the session.

Long messages are cut on a terminal unless -v is given. The history is in $XDG_STATE_HOME/ropeway/history, or without that \
variable in ~/.local/state/ropeway/history. A line that begins with a blank is not kept, and --no-history keeps none.

In a pipe it is a filter: each line of the input is sent as a text message (or as a binary one if it is not UTF-8), each \
received message is written as a line, and nothing else goes to the output.

Exit codes:
  0    closed with 1000, 1001, no code or the code given to /close, also by Ctrl-C; the message for --one came; or the
       reader of the output has gone
  1    the input or the output failed
  2    the server could not be reached, or TLS failed
  3    the server refused the opening handshake; its answer is shown
  4    the server broke the protocol
  5    an opening or closing handshake, the answer to a ping, or the message for --one took too long
  6    closed with another code, which is shown, or lost without a code
  64   wrong usage
  130  stopped by a second Ctrl-C or SIGTERM, without a closing handshake; or by the first one while nobody read the
       output, of which a part is then missing

Environment:
  XDG_STATE_HOME                directory for the history
  SSL_CERT_FILE, SSL_CERT_DIR   certificates to trust instead of the system's, on Linux and other Unix except macOS
  NO_COLOR                      if set, no colours are used

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
    /// If everything asked for has come already, it gets one second, and its failure does not count.
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = positive_seconds, allow_hyphen_values = true)]
    pub(crate) close_timeout: Duration,

    /// Send a ping every SECS seconds; round-trip times are shown on a terminal, and with -v
    #[arg(long, value_name = "SECS", value_parser = positive_seconds, allow_hyphen_values = true)]
    pub(crate) ping: Option<Duration>,

    /// How long to wait for a sign of life after a ping before the server counts as gone [default: 5 with --ping, else
    /// 20]
    ///
    /// Without --ping, a ping is sent whenever nothing has come for 20 seconds.
    #[arg(long, value_name = "SECS", value_parser = positive_seconds, allow_hyphen_values = true)]
    ping_timeout: Option<Duration>,

    /// After the end of the input, wait until as many messages have come as were sent, or until none has come for SECS
    /// seconds
    ///
    /// Messages that come before the server has read the first line, such as a greeting, are not replies and do not
    /// count; a ping before that line shows when that is. `forever` waits until the server closes, however many
    /// messages come. Subscriptions need that.
    #[arg(
        short, long, value_name = "SECS|forever", default_value = "3", value_parser = wait, allow_hyphen_values = true
    )]
    wait: Wait,

    /// Close at the end of the input: the same as `--wait 0`
    ///
    /// Messages that the server sends before it answers the close are still written.
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,

    /// Exit after the first message, or with 5 if none came
    #[arg(short = '1', long)]
    pub(crate) one: bool,

    /// How binary messages are written
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    pub(crate) binary: Binary,

    /// The most bytes that a message from the server may have, after decompression
    #[arg(long, value_name = "BYTES", default_value_t = Config::client().max_payload)]
    max_payload: usize,

    /// The most fragments that the server may split a message into
    #[arg(long, value_name = "N", default_value_t = Config::client().max_fragments)]
    max_fragments: u32,

    /// The most control frames that the server may send within a second
    #[arg(long, value_name = "N", default_value_t = Config::client().max_control_rate)]
    max_control_rate: u32,

    /// The most bytes that the head of the server's answer to the handshake may have
    #[arg(long, value_name = "BYTES", default_value_t = HeadLimits::client().max_head)]
    max_head: usize,

    /// The most header lines that the server's answer to the handshake may have
    #[arg(long, value_name = "N", default_value_t = HeadLimits::client().max_headers)]
    max_headers: usize,

    /// Do not read or write the history of typed lines
    #[arg(long)]
    pub(crate) no_history: bool,

    /// Show the opening handshake, pings, pongs and the close, in a pipe on stderr; at a terminal also long messages in
    /// full
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// How long to wait for a sign of life after a ping of --ping, unless an option sets it: a user who asks for pings
/// wants to know soon.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

impl Args {
    /// Returns how long to wait for replies after the end of the input.
    pub(crate) fn wait(&self) -> Wait {
        if self.no_wait { Wait::AtMost(Duration::ZERO) } else { self.wait }
    }

    /// Returns the limits for the server's answer to the opening handshake.
    pub(crate) fn head_limits(&self) -> HeadLimits {
        HeadLimits::client().max_head(self.max_head).max_headers(self.max_headers)
    }

    /// Returns the limits and times of the connection.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::client()
            .max_payload(self.max_payload)
            .max_fragments(self.max_fragments)
            .max_control_rate(self.max_control_rate)
            .close_timeout(self.close_timeout);
        match (self.ping, self.ping_timeout) {
            (Some(interval), timeout) => {
                // While pings are answered there is no silence, and the library sends no pings of its own. When the
                // answers stop, half of the timeout is for the last of these pings, and half for the library's own.
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
    /// Until no message has come for this long, or until as many have come as were sent.
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
    /// Only the bytes, without a line end
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
