//! The commands that prove ropeway, and the only door to them: `cargo xtask help` lists them.
//!
//! This file reads the command line. What a command does lies in the module of its noun; how a list of steps is run
//! and summed up lies in [`steps`]; what has to be installed first lies in [`setup`].

mod autobahn;
mod autobahn_report;
mod baseline;
mod bench;
mod browser;
mod cargo;
mod fuzz;
mod interop;
mod kosoku;
mod layers;
mod loom;
mod miri;
mod missing;
mod program;
mod server_process;
mod setup;
mod steps;
mod torture;
mod windows;
mod workspace;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::autobahn::Role;
use crate::steps::Step;
use crate::workspace::Workspace;

const HELP: &str = "\
cargo xtask COMMAND: the commands that prove ropeway

  test                  everything below, cheap things first; what it needs goes to target/xtask and conformance/node_modules
  test --quick          only what needs Rust alone: fmt, layers, clippy and the tests
  fmt | clippy | unit | features | docs
                        one of the steps done by cargo itself
  layers [CRATE...]     whether every import points down to a lower floor, and no files need each other in a circle;
                        the floors are in xtask/layers.toml
  layers --draw [CRATE...]
                        the floors as text: each room with the rooms that it imports
  windows               the published crates and the program compile for Windows, without a warning
  bench                 instructions of the micro-benchmarks under valgrind, held against bench/baseline.json
  bench --record        the same, made the new baseline
  fuzz [SECONDS]        every fuzz target for SECONDS each (30); needs a nightly toolchain
  loom                  what connections and senders share, in every order of two threads, by loom
  miri                  the core's tests under Miri; needs a nightly toolchain with the components miri and rust-src
  autobahn server|client [CASES...]
                        the Autobahn cases against `ropeway serve` or against the client;
                        CASES are ids or globs, such as 1.1.1 '12.*' (all 517)
  interop               the Python package `websockets`, the npm package `ws` and plain HTTP against ropeway
  browser               the page and the axum examples in headless Chromium
  torture               attacks on `ropeway serve`, and what they cost its other clients; takes minutes, not part of `test`
  help                  this text

Environment:
  CI=true               a missing tool (python3, node, Chromium, nightly, Miri, mingw, valgrind) is a failure; without it that step is NOT RUN
  ROPEWAY=PATH          test this `ropeway` binary instead of building one
  CHROMIUM=PATH         use this browser
";

/// How long each fuzz target runs as a part of `cargo xtask test`: some 200,000 inputs of the quick ones, six times what once found a
/// fault that 5 s had missed.
const FUZZ_FOR: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Does what the command line asks; returns whether nothing failed.
fn run(arguments: &[String]) -> Result<bool> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if matches!(arguments.as_slice(), [] | ["help" | "--help" | "-h"]) {
        print!("{HELP}");
        return Ok(true);
    }
    if let ["layers", "--draw", names @ ..] = arguments.as_slice() {
        layers::draw(&Workspace::find()?, names)?;
        return Ok(true);
    }
    let steps = steps_for(&arguments)?;
    Ok(steps::run(&Workspace::find()?, &steps))
}

fn steps_for(arguments: &[&str]) -> Result<Vec<Step>> {
    Ok(match arguments {
        ["test"] => everything(),
        ["test", "--quick"] => quick(),
        ["fmt"] => vec![cargo::fmt()],
        ["layers", names @ ..] => vec![layers::step(names)],
        ["clippy"] => vec![cargo::clippy()],
        ["unit"] => vec![cargo::unit()],
        ["features"] => vec![cargo::features()],
        ["docs"] => vec![cargo::docs()],
        ["windows"] => vec![windows::step()],
        ["bench"] => vec![bench::compare()],
        ["bench", "--record"] => vec![bench::record()],
        ["fuzz"] => vec![fuzz::step(FUZZ_FOR)],
        ["fuzz", seconds] => {
            let seconds = seconds.parse().with_context(|| format!("`{seconds}` is not a number of seconds"))?;
            vec![fuzz::step(Duration::from_secs(seconds))]
        }
        ["loom"] => vec![loom::step()],
        ["miri"] => vec![miri::step()],
        ["autobahn", role, cases @ ..] => vec![autobahn::step(role.parse()?, cases)],
        ["torture"] => vec![torture::step()],
        ["interop"] => interop::steps(),
        ["browser"] => vec![browser::page(), browser::examples()],
        other => bail!("there is no command `{}`; `cargo xtask help` lists them", other.join(" ")),
    })
}

/// The steps that need Rust and nothing else.
fn quick() -> Vec<Step> {
    vec![cargo::fmt(), layers::step(&[]), cargo::clippy(), cargo::unit()]
}

/// Cheap steps first: what fails most often fails soonest.
fn everything() -> Vec<Step> {
    let mut steps = quick();
    steps.extend([cargo::features(), cargo::docs(), windows::step(), bench::compare()]);
    steps.extend(interop::steps());
    steps.extend([browser::page(), browser::examples()]);
    steps.extend([loom::step(), fuzz::step(FUZZ_FOR), miri::step()]);
    steps.extend([autobahn::step(Role::Server, &[]), autobahn::step(Role::Client, &[])]);
    steps
}
