//! The options of `ropeway bench`, and the rules that combine them. The modes use them.

use std::num::NonZero;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Subcommand;

use crate::compression::Compression;
use crate::dial::{self, Dial, Url};
use crate::seconds::{positive_seconds, seconds};
use crate::tls::Trust;

const MORE: &str = "\
Exit codes:
  0    measured, and every --assert holds
  1    an --assert does not hold; nothing could be measured; or the server was gone before the end
  2    an --assert that cannot be parsed
  64   wrong usage
  130  stopped by a second Ctrl-C; the first ends the run early and prints the result

The object that --json prints. Units are in the names. Fields may be added, but are never renamed:
  mode, url, version, settings, interrupted
  connections      asked, opened, dropped (ended early), compressed, opening_s
  counted, count   the unit (messages, deliveries, handshakes, connections), and the number
  elapsed_s        the measured time
  rate_per_s       asked (null: as much as possible), achieved
  payload_bytes_per_s
  drops            messages that were never answered, or not delivered
  errors           total, kinds: [kind, count, first (the text of the first one)]
  latency_us       count, min, mean, p50, p90, p99, p99.9, p99.99, max; null if nothing was measured
  sent_late_us     the same for the delay with which this program sent messages (--rate)
  server_memory    before_bytes, open_bytes, used_bytes, per_connection_open_bytes, per_connection_used_bytes (--pid)
  histogram        [from_us, to_us, count]
  assertions       [assertion, holds]

Examples:
  ropeway bench echo localhost:8005/echo
  ropeway bench echo --rate 20000 --assert 'p99<5ms' --assert 'errors<1' wss://example.org/echo
  ropeway bench fanout --conns 10000 localhost:8005/broadcast
  ropeway bench fanout localhost:8005/broadcast localhost:8006/broadcast
  ropeway bench connect --parallel 100 localhost:8005
  ropeway bench idle --conns 20000 --pid $(pidof server) localhost:8005";

const RESULT: &str = "Result";

/// Put load on a WebSocket server, and measure how it copes
///
/// Latencies are shown as percentiles and as a histogram. --json prints the same for programs, and --assert fails if
/// the result is not good enough.
#[derive(clap::Args)]
#[command(after_long_help = MORE)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(super) mode: Mode,
}

#[derive(Subcommand)]
pub(super) enum Mode {
    Echo(Echo),
    Fanout(Fanout),
    Connect(Connect),
    Idle(Idle),
}

impl Mode {
    pub(super) fn common(&self) -> &Common {
        match self {
            Self::Echo(mode) => &mode.common,
            Self::Fanout(mode) => &mode.common,
            Self::Connect(mode) => &mode.common,
            Self::Idle(mode) => &mode.common,
        }
    }
}

/// Send messages that the server sends back: how many a second, and how fast?
///
/// A closed loop keeps --window messages in flight on each connection, and finds out how much the server can do. An
/// open loop (--rate) sends at that rate, however slow the server is, and finds out how long users wait. Its latency
/// counts from the time when a message should have been sent, so that a stall shows in all the messages that it
/// delayed.
#[derive(clap::Args)]
pub(super) struct Echo {
    /// Connections
    #[arg(short, long, value_name = "N", default_value = "100")]
    pub(super) conns: NonZero<usize>,

    /// Messages in flight on each connection
    #[arg(short, long, value_name = "N", default_value = "1", conflicts_with = "rate", value_parser = window)]
    pub(super) window: u64,

    /// Messages a second in all; each is sent on time even if earlier ones are not answered
    #[arg(short, long, value_name = "N", value_parser = rate)]
    pub(super) rate: Option<f64>,

    #[command(flatten)]
    pub(super) shape: Shape,

    #[command(flatten)]
    pub(super) span: Span,

    #[command(flatten)]
    pub(super) common: Common,
}

/// Publish messages that the server sends to everyone: how many deliveries a second, and how fast?
///
/// One more connection than --conns is opened. It publishes, and gets its own messages too. Each message carries the
/// time when it was published. With a second URL the subscribers connect there: to another server that shares a broker
/// with the first.
#[derive(clap::Args)]
pub(super) struct Fanout {
    /// Subscribers, besides the publisher
    #[arg(short, long, value_name = "N", default_value = "1000")]
    pub(super) conns: NonZero<usize>,

    /// Published messages that are not yet delivered to everyone
    #[arg(short, long, value_name = "N", default_value = "1", conflicts_with = "rate")]
    pub(super) depth: NonZero<u64>,

    /// Messages published a second; each is published on time even if earlier ones are not delivered
    #[arg(short, long, value_name = "N", value_parser = rate)]
    pub(super) rate: Option<f64>,

    #[command(flatten)]
    pub(super) shape: Shape,

    #[command(flatten)]
    pub(super) span: Span,

    #[command(flatten)]
    pub(super) common: Common,

    /// Where the subscribers connect, if that is another server than the publisher's
    #[arg(value_name = "HEAR_AT", value_parser = dial::url, help_heading = None::<&str>)]
    pub(super) hear_at: Option<Url>,
}

/// Open connections and close them again: how many a second, and how fast?
///
/// The latency is that of the whole opening: TCP, TLS for wss://, and the opening handshake.
#[derive(clap::Args)]
pub(super) struct Connect {
    /// Opening handshakes at the same time
    #[arg(short, long, value_name = "N", default_value = "32")]
    pub(super) parallel: NonZero<usize>,

    #[command(flatten)]
    pub(super) time: Time,

    /// Open this many connections and measure all of them, instead of --secs and --warmup
    #[arg(short = 'n', long, value_name = "N", conflicts_with_all = ["secs", "warmup"])]
    pub(super) handshakes: Option<NonZero<u64>>,

    #[command(flatten)]
    pub(super) common: Common,
}

/// Open connections and hold them: do they stay open, and how much memory does the server need for them?
#[derive(clap::Args)]
pub(super) struct Idle {
    /// Connections
    #[arg(short, long, value_name = "N", default_value = "10000")]
    pub(super) conns: NonZero<usize>,

    /// Connections opened a second; if not given, as many as the server accepts
    #[arg(short, long, value_name = "N", value_parser = rate)]
    pub(super) rate: Option<f64>,

    /// How long to hold them
    #[arg(short, long, value_name = "SECS", default_value = "10", value_parser = positive_seconds)]
    pub(super) secs: Duration,

    /// The process ID of the server, on this machine: shows its memory per connection, before and after one message
    /// each
    #[arg(long, value_name = "PID")]
    pub(super) pid: Option<u32>,

    #[command(flatten)]
    pub(super) shape: Shape,

    #[command(flatten)]
    pub(super) common: Common,
}

/// Options that all modes have.
#[derive(clap::Args)]
pub(super) struct Common {
    #[command(flatten, next_help_heading = "Connecting")]
    pub(super) dial: Dial,

    #[command(flatten)]
    pub(super) trust: Trust,

    /// Offer compression, of each message by itself or with context takeover
    #[arg(long, value_enum, value_name = "MODE", num_args = 0..=1, require_equals = true, default_value_t, default_missing_value = "on")]
    pub(super) deflate: Compression,

    /// Threads, each with a runtime of its own; half of the processors by default
    #[arg(short, long, value_name = "N", default_value_t = threads(), hide_default_value = true)]
    pub(super) threads: NonZero<usize>,

    /// How long opening handshakes, closing handshakes and the last answers may take
    #[arg(long, value_name = "SECS", default_value = "5", value_parser = positive_seconds)]
    pub(super) timeout: Duration,

    /// Exit with 1 unless this holds, such as 'p99<5ms'; can be given several times
    ///
    /// Metrics: p50, p90, p99, p99.9, p99.99, max and mean, with a unit (us, ms, s); rate (per second), errors and
    /// drops. Comparisons: <, <=, >, >=.
    #[arg(long = "assert", value_name = "WHAT", help_heading = RESULT)]
    pub(super) asserts: Vec<String>,

    /// Print the result as one JSON object, and nothing else on stdout
    #[arg(long, help_heading = RESULT)]
    pub(super) json: bool,

    /// Write the histogram to this file
    #[arg(long, value_name = "FILE", help_heading = RESULT)]
    pub(super) svg: Option<PathBuf>,
}

/// The size and kind of messages.
#[derive(clap::Args)]
pub(super) struct Shape {
    /// Payload bytes of a message
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = size)]
    pub(super) size: usize,

    /// Send text messages
    #[arg(long, conflicts_with = "binary")]
    pub(super) text: bool,

    /// Send binary messages: the default
    #[arg(long)]
    binary: bool,
}

/// The duration of a run.
#[derive(clap::Args)]
pub(super) struct Time {
    /// How long to measure
    #[arg(short, long, value_name = "SECS", default_value = "10", value_parser = positive_seconds)]
    pub(super) secs: Duration,

    /// How long to send before measuring
    #[arg(long, value_name = "SECS", default_value = "1", value_parser = seconds)]
    pub(super) warmup: Duration,
}

impl Time {
    /// Returns the warm-up and the time to measure. `None` for the latter if the run ends after a number of things.
    pub(super) fn unless_counted(&self, count: Option<u64>) -> (Duration, Option<Duration>) {
        if count.is_some() { (Duration::ZERO, None) } else { (self.warmup, Some(self.secs)) }
    }
}

/// The duration of a run, or the number of its messages.
#[derive(clap::Args)]
pub(super) struct Span {
    #[command(flatten)]
    pub(super) time: Time,

    /// Send this many messages in all and measure all of them, instead of --secs and --warmup
    #[arg(short = 'n', long, value_name = "N", conflicts_with_all = ["secs", "warmup"])]
    pub(super) messages: Option<NonZero<u64>>,
}

fn threads() -> NonZero<usize> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    NonZero::new(processors / 2).unwrap_or(NonZero::<usize>::MIN)
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=1e9).contains(&rate) => Ok(rate),
        _ => Err("give a number a second, from 0.001 to 1e9".to_owned()),
    }
}

fn window(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(window) if (1..=1 << 20).contains(&window) => Ok(window),
        _ => Err("give a number from 1 to 1048576".to_owned()),
    }
}

fn size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(size) if size <= 1 << 30 => Ok(size),
        _ => Err("give a number of bytes, 1 GiB at most".to_owned()),
    }
}
