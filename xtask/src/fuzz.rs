//! The fuzz targets, built and run as `cargo fuzz` does. That tool is not needed: a nightly toolchain is enough.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::missing::Missing;
use crate::program::Program;
use crate::steps::Step;
use crate::workspace::Workspace;

/// The flags that cargo-fuzz passes to rustc: libFuzzer's coverage counters and comparisons, the address sanitizer for
/// the unsafe code in our dependencies, and overflow checks and debug assertions for our own code.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Cdebug-assertions -Coverflow-checks \
    -Ccodegen-units=1";

/// Runs each target for `time`. It starts from the seeds in the repository and the inputs that earlier runs have found.
pub(crate) fn step(time: Duration) -> Step {
    Step::new("fuzz", "no input makes a fuzz target panic, hang or outgrow its memory", move |workspace| {
        let targets = targets(workspace)?;
        build(workspace)?;
        for target in &targets {
            run(workspace, target, time)?;
        }
        Ok(format!("{} targets, {} s each", targets.len(), time.as_secs()))
    })
}

/// The targets. Each file in `fuzz/fuzz_targets` is one of the same name.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let directory = workspace.root.join("fuzz/fuzz_targets");
    let mut targets = Vec::new();
    for entry in std::fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        targets.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    targets.sort();
    Ok(targets)
}

fn build(workspace: &Workspace) -> Result<()> {
    if !Program::nightly("rustc").arg("--version").succeeds() {
        let remedy = "fuzzing needs it: rustup toolchain install nightly --profile minimal";
        return Err(Missing::new("a nightly toolchain", remedy).into());
    }
    // The target is named explicitly, so that the flags are used for the code under test and not for build scripts and
    // macros.
    Program::nightly("cargo")
        .args(["build", "--release", "--bins", "--target", &host()?, "--manifest-path", "fuzz/Cargo.toml"])
        .arg("--target-dir")
        .arg(workspace.target.join("fuzz"))
        .env("RUSTFLAGS", FLAGS)
        .dir(&workspace.root)
        .run()
}

fn run(workspace: &Workspace, target: &str, time: Duration) -> Result<()> {
    let found = workspace.state("fuzz")?;
    let corpus = found.join("corpus").join(target);
    std::fs::create_dir_all(&corpus)?;
    let seeds = workspace.root.join("fuzz/seeds").join(target);
    let log = workspace.state("logs")?.join(format!("fuzz-{target}.log"));
    Program::new(workspace.target.join("fuzz").join(host()?).join("release").join(target))
        // An input is a few KiB long. If one takes 10 s, it has found a hang.
        .args(["-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1", "-verbosity=0"])
        .arg(format!("-max_total_time={}", time.as_secs()))
        .arg(format!("-artifact_prefix={}/{target}-", found.display()))
        .args([corpus, seeds])
        .deadline(time + Duration::from_secs(120))
        .run_into(&log)
        .with_context(|| format!("the input that broke {target} is in {}", found.display()))?;
    let log = std::fs::read_to_string(&log)?;
    let inputs = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    println!("{} inputs", inputs.context("libFuzzer counted no inputs")?.trim());
    Ok(())
}

fn host() -> Result<String> {
    let version = Program::nightly("rustc").args(["--version", "--verbose"]).output()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names no host")?.to_owned())
}
