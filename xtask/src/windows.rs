//! The published crates, the program and the Node addon, compiled for Windows: code that is only for other systems than Unix is
//! compiled and linted nowhere else. Nothing is linked and nothing is run.

use crate::program::Program;
use crate::setup;
use crate::steps::Step;

/// The standard library and the C compiler of this target can be had on Linux; those of `x86_64-pc-windows-msvc`
/// cannot.
const TARGET: &str = "x86_64-pc-windows-gnu";

/// The compiler's own warnings. clippy's lints are checked on Unix. Here they would object to code whose form only Unix
/// needs.
const LINTS: [&str; 7] = ["--", "-D", "warnings", "-A", "clippy::all", "-A", "clippy::pedantic"];

/// All features and no features: code that differs off Unix differs in both.
const SELECTIONS: [&[&str]; 3] = [
    &["--package", "ropeway-proto", "--package", "ropeway", "--all-features"],
    &["--package", "ropeway-proto", "--package", "ropeway", "--no-default-features"],
    &["--package", "ropeway-cli", "--package", "ropeway-node"],
];

pub(crate) fn step() -> Step {
    Step::new("windows", "the published crates compile off Unix, without a warning", |workspace| {
        setup::windows(workspace, TARGET)?;
        for selection in SELECTIONS {
            Program::new("cargo")
                .args(["clippy", "--target", TARGET])
                .args(selection)
                .args(LINTS)
                .dir(&workspace.root)
                .run()?;
        }
        Ok("with all features and with none".into())
    })
}
