//! The steps that cargo does: formatting, lints, tests, feature sets, documentation.

use anyhow::{Result, ensure};

use crate::brokers::ENGINES;
use crate::program::Program;
use crate::setup;
use crate::steps::Step;
use crate::workspace::Workspace;

/// The crates that others depend on. Each must build with any single one of its features.
const PUBLISHED: [&str; 4] = ["ropeway-proto", "ropeway", "ropeway-nats", "ropeway-redis"];

pub(crate) fn fmt() -> Step {
    Step::new("fmt", "every file is as rustfmt writes it", |workspace| {
        cargo(workspace, &["fmt", "--all", "--check"])?;
        cargo(workspace, &["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])?;
        Ok("the workspace and fuzz".into())
    })
}

pub(crate) fn clippy() -> Step {
    Step::new("clippy", "no lint of the workspace's list is broken", |workspace| {
        cargo(workspace, &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])?;
        Ok("all targets, all features".into())
    })
}

pub(crate) fn unit() -> Step {
    Step::new("unit", "unit, documentation, row and property tests", |workspace| {
        // The engines' tests need brokers, so they are a step of their own.
        let without_engines = ENGINES.iter().flat_map(|package| ["--exclude", package]);
        let arguments: Vec<&str> =
            ["test", "--workspace", "--all-features"].into_iter().chain(without_engines).collect();
        // `ropeway serve` is tested with brokers too.
        let brokers = setup::brokers(workspace)?;
        Program::new("cargo")
            .args(arguments)
            .env("ROPEWAY_NATS_SERVER", brokers.nats_server)
            .env("ROPEWAY_REDIS_SERVER", brokers.redis_server)
            .dir(&workspace.root)
            .run()?;
        Ok("all crates but the engines, all features".into())
    })
}

/// A feature adds a dependency, not another behaviour. Without features, and with each one alone, a crate must be free
/// of warnings; all features together are checked by `clippy` and `unit`. No feature may bring HTTP/2: it would then be
/// on for the user's whole program, even if the user did not ask for it.
pub(crate) fn features() -> Step {
    Step::new("features", "each published crate is clean without features and with each one alone", |workspace| {
        let mut sets = 0;
        for package in PUBLISHED {
            let features = workspace.features_of(package)?;
            for feature in std::iter::once("").chain(features.iter().map(String::as_str)) {
                let alone = ["clippy", "--package", package, "--no-default-features", "--features", feature];
                cargo(workspace, &[&alone[..], &["--", "-D", "warnings"]].concat())?;
                without_http_2(workspace, package, feature)?;
                sets += 1;
            }
        }
        Ok(format!("{sets} feature sets, none with HTTP/2"))
    })
}

fn without_http_2(workspace: &Workspace, package: &str, feature: &str) -> Result<()> {
    let tree = Program::new("cargo")
        .args(["tree", "--package", package, "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--no-default-features", "--features", feature])
        .dir(&workspace.root)
        .output()?;
    ensure!(!tree.lines().any(|line| line.starts_with("h2 ")), "{package}'s feature `{feature}` brings HTTP/2 (h2)");
    Ok(())
}

pub(crate) fn docs() -> Step {
    Step::new("docs", "the documentation builds without a warning", |workspace| {
        Program::new("cargo")
            .args(["doc", "--workspace", "--no-deps", "--all-features"])
            .env("RUSTDOCFLAGS", "-D warnings")
            .dir(&workspace.root)
            .run()?;
        Ok("every crate".into())
    })
}

fn cargo(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    Program::new("cargo").args(arguments).dir(&workspace.root).run()
}
