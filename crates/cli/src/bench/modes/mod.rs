//! The kinds of load, and the part that is common to all of them: from the options to a run that is [`Done`].

mod connect;
mod echo;
mod fanout;
mod idle;
mod mode;

use std::sync::Arc;

use ropeway::Config;

use mode::Mode;
pub(super) use mode::{Ending, Failure};

use super::args;
use super::measure::conduct::{Outcome, Terms, conduct};
use super::show::buckets;
use super::show::report::{Connections, ErrorCounts, Quantiles, Rate, Report, Settings};

/// The masking key of every frame that is sent. It is the one of the examples in RFC 6455 section 5.7.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A run that was done.
pub(super) struct Done {
    pub(super) report: Report,
    pub(super) outcome: Outcome,
    pub(super) ending: Ending,
}

/// Puts on the load that the options ask for.
pub(super) fn run(mode: &args::Mode) -> Result<Done, Failure> {
    match mode {
        args::Mode::Echo(mode) => measure(mode),
        args::Mode::Fanout(mode) => measure(mode),
        args::Mode::Connect(mode) => measure(mode),
        args::Mode::Idle(mode) => measure(mode),
    }
}

fn measure<M: Mode>(mode: &M) -> Result<Done, Failure> {
    let terms = terms(mode)?;
    let plan = mode.plan(&terms)?;
    let mut outcome = conduct(&terms, |worker| M::work(worker, &plan))?;
    if M::MEASURES_OPENING {
        std::mem::swap(&mut outcome.tally.latency, &mut outcome.tally.opening);
    }
    let mut report = report(mode, &terms, &outcome);
    let ending = mode.complete(&plan, &outcome, &mut report);
    Ok(Done { report, outcome, ending })
}

fn terms<M: Mode>(mode: &M) -> Result<Terms, Failure> {
    let common = mode.common();
    let mut config = Config::client().close_timeout(common.timeout).ping_interval(None);
    // A frame has a header of up to 14 bytes, and a message may be empty.
    config.max_buffered = config.max_buffered.max(mode.in_flight().saturating_mul(2));
    config.max_payload = usize::MAX;
    // The fastest level: the load should cost less than the server's work. All messages are compressed, even the
    // shortest.
    let compression = common.deflate.options().map(|options| options.level(1).threshold(0));
    let client = common.dial.client(&common.trust).map_err(Failure::Usage)?;
    let client = client
        .config(config)
        .handshake_timeout(common.timeout)
        .per_message_deflate(compression)
        // The key makes no difference for a server's unmasking. Random numbers would cost the load more than masking a
        // small message.
        .generate_mask(|| MASK);
    let (warmup, time) = mode.span();
    Ok(Terms {
        threads: common.threads.get(),
        client: Arc::new(client),
        url: common.dial.url.given.as_str().into(),
        timeout: common.timeout,
        warmup,
        time,
        needs_connections: mode.connections().is_some(),
        unit: M::UNIT,
    })
}

/// Makes the part of the report that is the same for all modes.
fn report<M: Mode>(mode: &M, terms: &Terms, outcome: &Outcome) -> Report {
    let (common, shape) = (mode.common(), mode.shape());
    let elapsed_s = outcome.elapsed.as_secs_f64();
    let achieved = if elapsed_s > 0.0 { outcome.counted as f64 / elapsed_s } else { 0.0 };
    Report {
        mode: M::NAME,
        url: common.dial.url.target.to_string(),
        version: env!("CARGO_PKG_VERSION"),
        settings: Settings {
            threads: terms.threads,
            size_bytes: shape.map(|shape| shape.size),
            payload: shape.map(|shape| if shape.text { "text" } else { "binary" }),
            warmup_s: terms.time.map(|_| terms.warmup.as_secs_f64()),
            deflate: common.deflate.name(),
            ..Settings::default()
        },
        connections: Connections {
            asked: mode.connections(),
            opened: outcome.opened,
            dropped: outcome.tally.dropped,
            compressed: outcome.tally.compressed,
            opening_s: mode.connections().map(|_| outcome.opening.as_secs_f64()),
        },
        counted: terms.unit.name(),
        count: outcome.counted,
        elapsed_s,
        rate_per_s: Rate { asked: None, achieved },
        payload_bytes_per_s: shape.map(|shape| achieved * shape.size as f64),
        drops: outcome.sent.saturating_sub(outcome.answered),
        errors: ErrorCounts::from(&outcome.tally.errors),
        latency_us: Quantiles::of(&outcome.tally.latency),
        sent_late_us: Quantiles::of(&outcome.tally.lateness),
        server_memory: None,
        histogram: buckets::of(&outcome.tally.latency, buckets::BARS).iter().map(Into::into).collect(),
        interrupted: outcome.is_interrupted,
        assertions: Vec::new(),
    }
}
