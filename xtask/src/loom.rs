//! What a connection and its senders share, in every order that their threads can come in: loom's models in `handle/orders.rs`.

use crate::program::Program;
use crate::steps::Step;

pub(crate) fn step() -> Step {
    Step::new("loom", "no order of two threads loses a wake-up between a connection and its senders", |workspace| {
        // The configuration changes every crate's flags, so the models are built in a folder of their own.
        Program::new("cargo")
            .args(["test", "--package", "ropeway", "--no-default-features", "--lib", "orders"])
            .arg("--target-dir")
            .arg(workspace.target.join("loom"))
            .env("RUSTFLAGS", "--cfg ropeway_loom")
            .dir(&workspace.root)
            .run()?;
        Ok("sending, closing, resuming, room, flush and end".into())
    })
}
