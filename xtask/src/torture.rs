//! Attacks on a server, and what they cost its other clients. It is a command of its own, as it takes minutes and needs
//! the machine for itself. The attacks are in the program `torture` of `conformance`.

use std::time::Duration;

use anyhow::Result;

use crate::program::Program;
use crate::steps::Step;
use crate::workspace::Workspace;

const DEADLINE: Duration = Duration::from_secs(15 * 60);

pub(crate) fn step() -> Step {
    Step::new("torture", "an attacking client costs the others milliseconds, and the server no memory", torture)
}

fn torture(workspace: &Workspace) -> Result<String> {
    let ropeway = workspace.ropeway()?;
    let torture = workspace.build(&["--package", "conformance", "--bin", "torture"], "torture")?;
    Program::new(torture).arg(ropeway).deadline(DEADLINE).run()?;
    Ok("publishing and compressing, one thread and two".into())
}
