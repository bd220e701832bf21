//! The micro-benchmarks of `bench/`: gungraun counts their instructions under valgrind, and the counts are compared
//! with the baseline.
//!
//! gungraun itself compares only with its last run in `target`. The baseline in the repository, and the decision
//! whether a difference matters, are ours.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::baseline::{Baseline, Counts, Tools};
use crate::program::Program;
use crate::setup;
use crate::steps::Step;
use crate::workspace::Workspace;

/// Counts, and fails if a count has grown since the baseline was recorded.
pub(crate) fn compare() -> Step {
    Step::new("instructions", "the protocol takes no more instructions than recorded", |workspace| {
        let now = count(workspace)?;
        let baseline = Baseline::read(workspace)?;
        print!("{}", baseline.table(&now));
        let others = baseline.other_tools(&now);
        if others.is_empty() {
            return baseline.judge(&now);
        }
        println!("A difference may not come from our code: the counts were made with other tools than the baseline:");
        for other in &others {
            println!("  {other}");
        }
        Ok(format!("NOT COMPARED, only shown: {}", others.join("; ")))
    })
}

/// Counts, and records the counts as the baseline.
pub(crate) fn record() -> Step {
    Step::new("record", "the instructions that the protocol takes now become the baseline", |workspace| {
        let now = count(workspace)?;
        if let Ok(baseline) = Baseline::read(workspace) {
            print!("{}", baseline.table(&now));
        }
        now.write(workspace)?;
        Ok(format!("{} counts in {}", now.counts.len(), Baseline::path(workspace).display()))
    })
}

fn count(workspace: &Workspace) -> Result<Baseline> {
    setup::valgrind(workspace)?;
    let runner = setup::gungraun_runner(workspace)?;
    let summaries = Program::new("cargo")
        .args(["bench", "--package", "bench", "--bench", "instructions"])
        .args(["--", "--output-format=json", "--parallel=auto"])
        // Sets the default target CPU, whatever the machine or the user's configuration say: valgrind does not know
        // AVX-512.
        .env("RUSTFLAGS", "")
        .env("GUNGRAUN_RUNNER", runner)
        .dir(&workspace.root)
        .output()?;
    Ok(Baseline { tools: tools()?, counts: parse(&summaries)? })
}

/// gungraun prints a line of JSON for each benchmark.
fn parse(summaries: &str) -> Result<Counts> {
    let mut counts = Counts::new();
    for line in summaries.lines() {
        let summary: Value = serde_json::from_str(line).context("gungraun printed no JSON")?;
        let name = summary["id"].as_str().context("a benchmark has no name")?;
        let count = &summary["profiles"][0]["data"]["total"]["metrics"]["Ir"]["values"]["new"];
        let count = count.as_u64().with_context(|| format!("gungraun counted no instructions of {name}"))?;
        counts.insert(name.to_owned(), count);
    }
    ensure!(!counts.is_empty(), "gungraun counted nothing");
    Ok(counts)
}

fn tools() -> Result<Tools> {
    let rustc = Program::new("rustc").arg("--version").arg("--verbose").output()?;
    let first_line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let target = rustc.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    let tool = |name: &str, version: &str| (name.to_owned(), version.to_owned());
    Ok(Tools::from([
        tool("rustc", &first_line(&rustc)),
        tool("target", target),
        tool("valgrind", &first_line(&Program::new("valgrind").arg("--version").output()?)),
        // The C library, since it does the copying and allocating.
        tool("libc", &first_line(&Program::new("getconf").arg("GNU_LIBC_VERSION").output()?)),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_count() {
        let line = r#"{"id":"mask","profiles":[{"data":{"total":{"metrics":{"Ir":{"values":{"new":12,"old":10}}}}}}]}"#;
        assert_eq!(parse(line).unwrap(), Counts::from([("mask".to_owned(), 12)]));
        assert!(parse("").is_err() && parse("{}").is_err());
    }
}
