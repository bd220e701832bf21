//! The brokers that engines are tested with: `nats-server` and `redis-server`, and the tests that start them.

use std::time::Duration;

use anyhow::Result;

use crate::program::Program;
use crate::setup;
use crate::steps::Step;
use crate::workspace::Workspace;

/// The packages whose tests start brokers.
pub(crate) const ENGINES: [&str; 2] = ["ropeway-nats", "ropeway-redis"];

const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// Installs the brokers, so that `cargo test` finds them.
pub(crate) fn install() -> Step {
    Step::new("brokers", "nats-server and redis-server are installed for the tests of engines", |workspace| {
        let brokers = setup::brokers(workspace)?;
        Ok(format!("{}, {}", brokers.nats_server.display(), brokers.redis_server.display()))
    })
}

/// The tests of the engines, each with its real broker.
pub(crate) fn engines() -> Step {
    Step::new("engines", "each engine keeps the contract of topics with its real broker", engine_tests)
}

fn engine_tests(workspace: &Workspace) -> Result<String> {
    let brokers = setup::brokers(workspace)?;
    let packages = ENGINES.iter().flat_map(|package| ["--package", package]);
    Program::new("cargo")
        .args(["test", "--all-features"])
        .args(packages)
        .env("ROPEWAY_NATS_SERVER", brokers.nats_server)
        .env("ROPEWAY_REDIS_SERVER", brokers.redis_server)
        .dir(&workspace.root)
        .deadline(DEADLINE)
        .run()?;
    Ok(ENGINES.join(", "))
}
