//! Random failures of brokers, links and nodes, and the contract of topics. It is a command of its own, as it takes minutes.
//! The schedules and the model are in the program `chaos` of `conformance`.

use std::time::Duration;

use anyhow::Result;

use crate::program::Program;
use crate::setup;
use crate::steps::Step;
use crate::workspace::Workspace;

const DEADLINE: Duration = Duration::from_secs(60 * 60);

pub(crate) fn step(options: &[&str]) -> Step {
    let options: Vec<String> = options.iter().map(ToString::to_string).collect();
    Step::new("chaos", "topics keep their contract while brokers, links and nodes fail", move |workspace| {
        chaos(workspace, &options)
    })
}

fn chaos(workspace: &Workspace, options: &[String]) -> Result<String> {
    let brokers = setup::brokers(workspace)?;
    let chaos = workspace.build(&["--package", "conformance", "--bin", "chaos"], "chaos")?;
    Program::new(chaos)
        .args(options)
        .env("ROPEWAY_NATS_SERVER", brokers.nats_server)
        .env("ROPEWAY_REDIS_SERVER", brokers.redis_server)
        .deadline(DEADLINE)
        .run()?;
    Ok(options.join(" "))
}
