//! `ropeway bench`: load for a server, and what came of it. From the options to a result and an exit code; what each kind of
//! load does is in [`echo`] and its neighbours.

#![allow(
    clippy::cast_precision_loss,
    reason = "nothing here is counted to 2^53, and figures are shown to three digits"
)]

mod args;
mod assertion;
mod buckets;
mod conduct;
mod connect;
mod draw;
mod echo;
mod fanout;
mod idle;
mod memory;
mod pace;
mod payload;
mod progress;
mod report;
mod run;
mod svg;
mod table;
mod tally;
mod timer;
mod units;
mod verdict;
mod width;
mod worker;

use std::fs;
use std::io::{ErrorKind, Write};
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use ropeway::{Config, deflate};

pub(crate) use args::Args;
use args::{Common, Deflate, Mode, Shape};
use assertion::Assertion;
use conduct::{Outcome, Terms, conduct};
use progress::Unit;
use report::{Asserted, Connections, ErrorCounts, Memory, Quantiles, Rate, Report, Settings};

use crate::USAGE;
use crate::style::{complain, warn};

/// What an `--assert` exits with that is not understood.
const NOT_UNDERSTOOD: u8 = 2;

/// How many buckets a histogram has at most: on a terminal, and where there is more room.
const ROWS: usize = 20;
const BARS: usize = 64;

/// The key of every frame that the load sends: that of the examples in RFC 6455 section 5.7.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Puts load on a server, and prints what came of it.
pub(crate) fn run(args: &Args) -> ExitCode {
    let common = args.mode.common();
    let assertions: Result<Vec<Assertion>, String> = common.asserts.iter().map(|text| text.parse()).collect();
    let assertions = match assertions {
        Ok(assertions) => assertions,
        Err(error) => {
            complain(&error);
            return ExitCode::from(NOT_UNDERSTOOD);
        }
    };
    // Every connection is an open file; where the limit stays low, connections fail and are counted.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let done = match &args.mode {
        Mode::Echo(mode) => run_echo(mode),
        Mode::Fanout(mode) => run_fanout(mode),
        Mode::Connect(mode) => run_connect(mode),
        Mode::Idle(mode) => run_idle(mode),
    };
    match done {
        Ok(done) => finish(common, done, &assertions),
        Err(Failure::Usage(error)) => {
            complain(&error);
            ExitCode::from(USAGE)
        }
        Err(Failure::Io(error)) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// A run that was done.
struct Done {
    report: Report,
    outcome: Outcome,
    /// Whether a number of things was asked for, and all were done.
    is_complete: bool,
    /// What makes it a failure that only its mode knows.
    trouble: Option<String>,
}

enum Failure {
    Usage(String),
    Io(std::io::Error),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

fn run_echo(args: &args::Echo) -> Result<Done, Failure> {
    let pace = args.rate.map_or(echo::Pace::Window(args.window), echo::Pace::Rate);
    let plan = echo::Plan {
        connections: args.conns.get(),
        size: args.shape.size,
        is_text: args.shape.text,
        pace,
        messages: args.span.messages.map(NonZero::get),
    };
    let window_bytes = args.shape.size.saturating_mul(args.window as usize);
    let (warmup, time) = args.span.time.unless_counted(plan.messages);
    let terms = Terms { warmup, time, ..terms(&args.common, Unit::Messages, window_bytes)? };
    let outcome = conduct(&terms, |worker| echo::work(worker, &plan))?;
    let mut report = report("echo", &args.common, &terms, &outcome);
    report.connections.asked = Some(args.conns.get() as u64);
    report.connections.opening_s = Some(outcome.opening.as_secs_f64());
    report.settings.window = args.rate.is_none().then_some(args.window);
    report.rate_per_s.asked = args.rate;
    set_shape(&mut report, &args.shape);
    let is_complete = plan.messages.is_some_and(|messages| outcome.answered >= messages);
    Ok(Done { report, outcome, is_complete, trouble: None })
}

fn run_fanout(args: &args::Fanout) -> Result<Done, Failure> {
    let least = fanout::stamp_length(args.shape.text);
    if args.shape.size < least {
        return Err(Failure::Usage(format!("each message carries its time: --size has to be {least} at least")));
    }
    let depth = args.rate.is_none().then_some(args.depth.get());
    let pace = args.rate.map_or(fanout::Pace::Depth(args.depth.get()), fanout::Pace::Rate);
    let shape = (args.shape.size, args.shape.text);
    let messages = args.span.messages.map(NonZero::get);
    let stage = Arc::new(fanout::Stage::new(args.conns.get(), shape, pace, messages, args.common.threads.get()));
    let in_flight = args.shape.size.saturating_mul(args.depth.get() as usize);
    let (warmup, time) = args.span.time.unless_counted(messages);
    let terms = Terms { warmup, time, ..terms(&args.common, Unit::Deliveries, in_flight)? };
    let outcome = conduct(&terms, |worker| fanout::work(worker, &stage))?;
    let mut report = report("fanout", &args.common, &terms, &outcome);
    // The publisher is one more.
    report.connections.asked = Some(args.conns.get() as u64 + 1);
    report.connections.opening_s = Some(outcome.opening.as_secs_f64());
    report.settings.window = depth;
    report.rate_per_s.asked = args.rate.map(|rate| rate * outcome.opened as f64);
    set_shape(&mut report, &args.shape);
    let is_complete = messages.is_some() && report.drops == 0;
    let trouble = if outcome.opened > 1
        && outcome.tally.dropped == 0
        && outcome.answered > 0
        && outcome.answered * outcome.opened == outcome.sent
    {
        Some("only the publisher gets what it publishes: is it the right path?".to_owned())
    } else if stage.is_publisher_lost() && !is_complete && outcome.open_at_end > 0 {
        Some(
            "the connection that publishes ended before the run did; the figures are of the time until then".to_owned(),
        )
    } else {
        None
    };
    Ok(Done { report, outcome, is_complete, trouble })
}

fn run_connect(args: &args::Connect) -> Result<Done, Failure> {
    let handshakes = args.handshakes.map(NonZero::get);
    let plan = Arc::new(connect::Plan {
        parallel: args.parallel.get(),
        handshakes: handshakes.unwrap_or(u64::MAX),
        begun: AtomicU64::new(0),
        failed_in_a_row: AtomicU64::new(0),
    });
    let (warmup, time) = args.time.unless_counted(handshakes);
    let terms = Terms { warmup, time, needs_connections: false, ..terms(&args.common, Unit::Handshakes, 0)? };
    let outcome = conduct(&terms, |worker| connect::work(worker, &plan))?;
    let mut report = report("connect", &args.common, &terms, &outcome);
    report.settings.parallel = Some(args.parallel.get());
    let trouble = plan.is_server_gone().then(|| {
        "the last handshakes all failed: the server took connections no more; the figures are of the time until then".to_owned()
    });
    Ok(Done { report, outcome, is_complete: false, trouble })
}

fn run_idle(args: &args::Idle) -> Result<Done, Failure> {
    let shape = (args.shape.size, args.shape.text);
    let plan = idle::Plan::new(args.conns.get(), args.rate, args.secs, shape, args.pid);
    let terms = terms(&args.common, Unit::Connections, args.shape.size)?;
    let before = args.pid.map(|pid| idle::memory_before(pid, &terms.client, &terms.url, &plan, args.common.timeout));
    let before = before.transpose()?;
    let mut outcome = conduct(&terms, |worker| idle::work(worker, &plan))?;
    // What takes its time here is opening.
    std::mem::swap(&mut outcome.tally.latency, &mut outcome.tally.opening);
    let mut report = report("idle", &args.common, &terms, &outcome);
    report.connections.asked = Some(args.conns.get() as u64);
    report.connections.opening_s = Some(outcome.opening.as_secs_f64());
    report.rate_per_s =
        Rate { asked: args.rate, achieved: outcome.opened as f64 / outcome.opening.as_secs_f64().max(1e-9) };
    if let (Some(before_bytes), (Some(open_bytes), used_bytes)) = (before, plan.readings()) {
        let each = |bytes: u64| {
            let more = bytes.checked_sub(before_bytes).filter(|more| *more > 0)?;
            (outcome.opened > 0).then(|| more as f64 / outcome.opened as f64)
        };
        report.server_memory = Some(Memory {
            before_bytes,
            open_bytes,
            used_bytes,
            per_connection_open_bytes: each(open_bytes),
            per_connection_used_bytes: used_bytes.and_then(each),
        });
    }
    Ok(Done { report, outcome, is_complete: false, trouble: None })
}

/// What all modes agree on; `in_flight` are the bytes that have to find room on a connection.
fn terms(common: &Common, unit: Unit, in_flight: usize) -> Result<Terms, Failure> {
    let mut config = Config { close_timeout: common.timeout, ping_interval: None, ..Config::client() };
    // A frame has 14 bytes of header at most, and a message at least none.
    config.max_buffered = config.max_buffered.max(in_flight.saturating_mul(2));
    config.max_payload = usize::MAX;
    let compression = match common.deflate {
        Deflate::Off => None,
        // The fastest level: the load is to cost less than what it is put on. All is compressed, however short.
        Deflate::On => Some(deflate::Options::no_context_takeover().level(1).threshold(0)),
        Deflate::Takeover => Some(deflate::Options::context_takeover().level(1).threshold(0)),
    };
    let client = common.dial.client(&common.trust).map_err(Failure::Usage)?;
    let client = client
        .config(config)
        .handshake_timeout(common.timeout)
        .per_message_deflate(compression)
        // Unmasking costs a server the same whatever the key, and randomness costs the load more than a small message's mask.
        .generate_mask(|| MASK);
    Ok(Terms {
        threads: common.threads.get(),
        client: Arc::new(client),
        url: common.dial.url.given.as_str().into(),
        timeout: common.timeout,
        warmup: Duration::ZERO,
        time: None,
        needs_connections: true,
        unit,
    })
}

/// What all modes report alike.
fn report(mode: &'static str, common: &Common, terms: &Terms, outcome: &Outcome) -> Report {
    let elapsed_s = outcome.elapsed.as_secs_f64();
    let deflate = match common.deflate {
        Deflate::Off => "off",
        Deflate::On => "on",
        Deflate::Takeover => "takeover",
    };
    Report {
        mode,
        url: common.dial.url.target.to_string(),
        version: env!("CARGO_PKG_VERSION"),
        settings: Settings {
            threads: terms.threads,
            warmup_s: terms.time.map(|_| terms.warmup.as_secs_f64()),
            deflate,
            ..Settings::default()
        },
        connections: Connections {
            opened: outcome.opened,
            dropped: outcome.tally.dropped,
            compressed: outcome.tally.compressed,
            ..Connections::default()
        },
        counted: terms.unit.name(),
        count: outcome.counted,
        elapsed_s,
        rate_per_s: Rate {
            asked: None,
            achieved: if elapsed_s > 0.0 { outcome.counted as f64 / elapsed_s } else { 0.0 },
        },
        payload_bytes_per_s: None,
        drops: outcome.sent.saturating_sub(outcome.answered),
        errors: ErrorCounts::from(&outcome.tally.errors),
        latency_us: Quantiles::of(&outcome.tally.latency),
        sent_late_us: Quantiles::of(&outcome.tally.lateness),
        server_memory: None,
        histogram: buckets::of(&outcome.tally.latency, BARS).iter().map(Into::into).collect(),
        interrupted: outcome.is_interrupted,
        assertions: Vec::new(),
    }
}

fn set_shape(report: &mut Report, shape: &Shape) {
    report.settings.size_bytes = Some(shape.size);
    report.settings.payload = Some(if shape.text { "text" } else { "binary" });
    report.payload_bytes_per_s = Some(report.rate_per_s.achieved * shape.size as f64);
}

/// Prints the result, and says whether it is good enough.
fn finish(common: &Common, done: Done, assertions: &[Assertion]) -> ExitCode {
    let Done { mut report, outcome, is_complete, trouble } = done;
    let mut broken = Vec::new();
    for assertion in assertions {
        let checked = assertion.check(|metric| report.metric(metric));
        report.assertions.push(Asserted { assertion: assertion.to_string(), holds: checked.is_ok() });
        broken.extend(checked.err());
    }
    if let Some(file) = &common.svg
        && let Err(error) = fs::write(file, svg::picture(&report, &buckets::of(&outcome.tally.latency, BARS)))
    {
        complain(&format!("{} cannot be written: {error}", file.display()));
        return ExitCode::FAILURE;
    }
    let text = if common.json {
        serde_json::to_string(&report).expect("a report is plain data") + "\n"
    } else {
        table::show(&report, &buckets::of(&outcome.tally.latency, ROWS), width::of_stdout())
    };
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Whoever read it has read enough.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain(&format!("the result cannot be written: {error}"));
            return ExitCode::FAILURE;
        }
        _ => {}
    }
    drop(stdout);
    if common.deflate != Deflate::Off && report.connections.opened > 0 && report.connections.compressed == 0 {
        warn("the server does not compress: it agreed to permessage-deflate on no connection");
    }
    for assertion in &broken {
        complain(&assertion.to_string());
    }
    if let Some(trouble) = verdict::trouble(&report, &outcome, is_complete, trouble) {
        complain(&trouble);
        return ExitCode::FAILURE;
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
