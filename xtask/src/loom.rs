//! The state that a connection and its handles share, in every order of two threads: loom's models in
//! `handle/orders.rs`.

use crate::program::Program;
use crate::steps::Step;

pub(crate) fn step() -> Step {
    Step::new("loom", "no order of two threads loses a wake-up between a connection and its handles", |workspace| {
        // The configuration changes every crate's flags, so the models are built in a target folder of their own.
        Program::new("cargo")
            .args(["test", "--package", "ropeway", "--no-default-features", "--lib", "orders"])
            .arg("--target-dir")
            .arg(workspace.target.join("loom"))
            .env("RUSTFLAGS", "--cfg ropeway_loom")
            .dir(&workspace.root)
            .run()?;
        Ok("sending, closing, resuming, room, messages that wait, flush and end".into())
    })
}
