//! The commands that prove ropeway. `cargo xtask help` lists them.
//!
//! This file parses the command line. Each command has a module of its name. [`steps`] runs a list of steps and sums it
//! up. [`setup`] installs the tools that are needed.

mod autobahn;
mod autobahn_report;
mod baseline;
mod bench;
mod brokers;
mod browser;
mod cargo;
mod chaos;
mod fuzz;
mod interop;
mod kosoku;
mod layers;
mod loom;
mod miri;
mod missing;
mod node;
mod program;
mod semver;
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

  test                  all steps below, cheap ones first; the tools they need are installed in target/xtask and
                        conformance/node_modules
  test --quick          only the steps that need nothing but Rust: fmt, layers, clippy and unit
  fmt | clippy | unit | features | docs
                        one of the steps that cargo does
  layers [CRATE...]     check that every import points to a lower floor, and no files need each other in a circle;
                        the floors are in xtask/layers.toml
  layers --draw [CRATE...]
                        print the floors as text: each room with the rooms that it imports
  windows               compile the published crates and the program for Windows, without a warning
  bench                 count the micro-benchmarks' instructions under valgrind, and compare with bench/baseline.json
  bench --record        count them and record the counts as the new baseline
  fuzz [SECONDS]        run each fuzz target for SECONDS (30); needs a nightly toolchain
  loom                  run the state that connections and handles share in every order of two threads, with loom
  miri                  run the core's tests under Miri; needs a nightly toolchain with the components miri and rust-src
  autobahn server|client [CASES...]
                        run the Autobahn cases against `ropeway serve` or against the client;
                        CASES are ids or globs, such as 1.1.1 '12.*' (all 517)
  interop               test against the Python package `websockets`, the npm package `ws`, plain HTTP, nginx, HAProxy
                        and Caddy
  brokers               install nats-server and redis-server, which the tests of engines start
  engines               test the engines, each with its real broker
  browser               test the pages of the program and the examples in headless Chromium
  node                  test the npm package in bindings/node: its own tests, its types, packages that depend on ws, and the
                        example in headless Chromium
  node --ws-tests PATH  run the tests of npm's ws against it, from PATH, a clone of ws; not part of `test`
  semver [REVISION]     compare the libraries' public API with the newest release's, a tag such as v0.1.0, or with REVISION's;
                        needs cargo-semver-checks; run before a release, not part of `test`
  torture               attack `ropeway serve`, and measure the cost for its other clients; takes minutes, not part of `test`
  chaos [--seed N] [--minutes M] [--engine nats|redis]
                        break brokers, links and nodes at random while messages are published, and check what each subscriber
                        heard against the contract; not part of `test`
  chaos --stopped SECONDS [--engine nats|redis]
                        publish at full speed into a stopped broker: memory is bounded, local subscribers hear at once
  help                  print this text

Environment:
  CI=true               a missing tool (python3, node, Chromium, nginx, HAProxy, Caddy, redis-server, nightly, Miri, mingw,
                        valgrind) fails its step; without it the step is NOT RUN
  ROPEWAY=PATH          test this `ropeway` binary instead of building one
  CHROMIUM=PATH         use this browser
  ROPEWAY_NATS_SERVER=PATH, ROPEWAY_REDIS_SERVER=PATH
                        test engines with these brokers
";

/// How long each fuzz target runs as a part of `cargo xtask test`. The fast targets do some 200,000 inputs in that
/// time, six times the number that once found a fault which 5 s had missed.
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

/// Does what the command line asks for. Returns whether nothing failed.
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
        ["semver"] => vec![semver::step(None)],
        ["semver", revision] => vec![semver::step(Some(revision))],
        ["torture"] => vec![torture::step()],
        ["chaos", options @ ..] => vec![chaos::step(options)],
        ["interop"] => interop::steps(),
        ["brokers"] => vec![brokers::install()],
        ["engines"] => vec![brokers::engines()],
        ["browser"] => vec![browser::page(), browser::examples()],
        ["node"] => node::steps(),
        ["node", "--ws-tests", clone] => vec![node::ws_tests(clone)],
        other => bail!("there is no command `{}`; `cargo xtask help` lists them", other.join(" ")),
    })
}

/// The steps that need only Rust.
fn quick() -> Vec<Step> {
    vec![cargo::fmt(), layers::step(&[]), cargo::clippy(), cargo::unit()]
}

/// The cheap steps come first, since they fail most often.
fn everything() -> Vec<Step> {
    let mut steps = quick();
    steps.extend([cargo::features(), cargo::docs(), windows::step(), bench::compare()]);
    steps.extend(interop::steps());
    steps.push(brokers::engines());
    steps.extend([browser::page(), browser::examples()]);
    steps.extend(node::steps());
    steps.extend([loom::step(), fuzz::step(FUZZ_FOR), miri::step()]);
    steps.extend([autobahn::step(Role::Server, &[]), autobahn::step(Role::Client, &[])]);
    steps
}
