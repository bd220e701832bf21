//! The published crates and the program, compiled for Windows: what is there only off Unix is compiled and linted nowhere else.
//! Nothing is linked and nothing is run.

use crate::program::Program;
use crate::setup;
use crate::steps::Step;

/// Its standard library and its C compiler can be had on Linux, which those of `x86_64-pc-windows-msvc` cannot.
const TARGET: &str = "x86_64-pc-windows-gnu";

/// The compiler's own warnings: clippy's are judged on Unix, and would object to what only has the form that Unix needs.
const LINTS: [&str; 7] = ["--", "-D", "warnings", "-A", "clippy::all", "-A", "clippy::pedantic"];

/// With every feature and with none: what differs off Unix differs in both.
const SELECTIONS: [&[&str]; 3] = [
    &["--package", "ropeway-proto", "--package", "ropeway", "--all-features"],
    &["--package", "ropeway-proto", "--package", "ropeway", "--no-default-features"],
    &["--package", "ropeway-cli"],
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
