//! `ropeway bench`: puts load on a server, and shows the result. The kinds of load are in [`modes`], the parts of a run
//! in [`measure`], and the ways to show its result in [`show`].

#![allow(
    clippy::cast_precision_loss,
    reason = "nothing here is counted to 2^53, and figures are shown to three digits"
)]

mod args;
mod measure;
mod modes;
mod show;
mod units;
mod width;

use std::fs;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

pub(crate) use args::Args;
use args::Common;
use modes::{Done, Failure};
use show::assertion::Assertion;
use show::buckets::{self, BARS, ROWS};
use show::report::Asserted;
use show::{svg, table, verdict};

use crate::compression::Compression;
use crate::exit::USAGE;
use crate::style::{complain, warn};

/// The exit code for an `--assert` that cannot be parsed.
const NOT_UNDERSTOOD: u8 = 2;

/// Puts load on a server, and prints the result.
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
    // Every connection is an open file. If the limit stays low, connections fail and are counted.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    match modes::run(&args.mode) {
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

/// Prints the result. The exit code says whether it is good enough.
fn finish(common: &Common, done: Done, assertions: &[Assertion]) -> ExitCode {
    let Done { mut report, outcome, ending } = done;
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
        // If the reader of a pipe has closed it, it has read enough.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain(&format!("the result cannot be written: {error}"));
            return ExitCode::FAILURE;
        }
        _ => {}
    }
    drop(stdout);
    if common.deflate != Compression::Off && report.connections.opened > 0 && report.connections.compressed == 0 {
        warn("the server does not compress: it did not agree to permessage-deflate on any connection");
    }
    for assertion in &broken {
        complain(&assertion.to_string());
    }
    if let Some(trouble) = verdict::trouble(&report, &outcome, ending.is_complete, ending.trouble) {
        complain(&trouble);
        return ExitCode::FAILURE;
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
