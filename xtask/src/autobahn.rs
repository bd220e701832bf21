//! The Autobahn cases against the server and the client. `kosoku` runs them, `autobahn_report` decides which ones have
//! passed.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::autobahn_report::Report;
use crate::kosoku::{self, Kosoku};
use crate::program::Program;
use crate::server_process::ServerProcess;
use crate::steps::Step;
use crate::workspace::Workspace;

/// The number of cases that run at once. It is more than there are cores, since some cases wait for a second or two.
const PARALLEL: &str = "4";

/// In these cases the server asks for the client's messages without context takeover. It may do so only if the client
/// has offered that.
const WITHOUT_CONTEXT_TAKEOVER: [&str; 3] = ["13.2.", "13.5.", "13.6."];

/// Which side of ropeway is tested.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    Server,
    Client,
}

impl FromStr for Role {
    type Err = anyhow::Error;

    fn from_str(word: &str) -> Result<Self> {
        Ok(match word {
            "server" => Self::Server,
            "client" => Self::Client,
            other => bail!("Autobahn tests the `server` or the `client`, not `{other}`"),
        })
    }
}

/// Runs the cases that match any of `patterns` (ids or globs; none means all) against one side.
pub(crate) fn step(role: Role, patterns: &[&str]) -> Step {
    let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    match role {
        Role::Server => Step::new("autobahn server", "the Autobahn cases against `ropeway serve`", move |workspace| {
            prove(workspace, "server", &patterns, server)
        }),
        Role::Client => Step::new("autobahn client", "the Autobahn cases against the client", move |workspace| {
            prove(workspace, "client", &patterns, client)
        }),
    }
}

/// Runs the cases against a side and checks the report. The reports stay in a directory of the side's name.
fn prove(
    workspace: &Workspace,
    name: &str,
    patterns: &[String],
    side: fn(&Workspace, &Kosoku, &[String], &Path) -> Result<Report>,
) -> Result<String> {
    let kosoku = Kosoku::install(workspace)?;
    let cases = kosoku.cases(patterns)?;
    let reports = workspace.state("autobahn")?.join(name);
    // Reports of an earlier run must not be read again.
    if reports.exists() {
        std::fs::remove_dir_all(&reports).with_context(|| format!("cannot empty {}", reports.display()))?;
    }
    let report = side(workspace, &kosoku, &cases, &reports)?;
    report.verdict(&cases).map_err(|bad| anyhow!("{bad}\nthe reports are in {}", reports.display()))
}

fn server(workspace: &Workspace, kosoku: &Kosoku, cases: &[String], reports: &Path) -> Result<Report> {
    // Cases 12 and 13 offer compression, most of them with context takeover; the others offer none.
    let serve = Program::new(workspace.ropeway()?).args(["serve", "--listen", "127.0.0.1:0", "--deflate", "takeover"]);
    let server = ServerProcess::start(serve, &workspace.state("logs")?.join("autobahn-server.log"))?;
    kosoku.test_server(&format!("ws://{}/echo", server.address()), cases, reports, PARALLEL)?;
    Report::read(reports)
}

/// Two runs, because a client makes only one offer: with context takeover, and without.
fn client(workspace: &Workspace, kosoku: &Kosoku, cases: &[String], reports: &Path) -> Result<Report> {
    let client = workspace.build(&["--package", "conformance", "--bin", "autobahn-client"], "autobahn-client")?;
    let (without, with): (Vec<String>, Vec<String>) =
        cases.iter().cloned().partition(|case| WITHOUT_CONTEXT_TAKEOVER.iter().any(|group| case.starts_with(group)));
    let mut report = Report::default();
    for (offer, cases) in [("takeover", with), ("no-takeover", without)] {
        if cases.is_empty() {
            continue;
        }
        let reports = reports.join(offer);
        let log = workspace.state("logs")?.join(format!("autobahn-client-{offer}.log"));
        let mut server = kosoku.serve(&cases, &reports, &log)?;
        let url = format!("ws://{}", server.address());
        Program::new(&client).args([&url, PARALLEL, offer]).deadline(kosoku::DEADLINE).run()?;
        if server.wait(Duration::from_secs(60))?.is_none() {
            bail!("kosoku wrote no reports within a minute of the last case");
        }
        report.add(Report::read(&reports)?);
    }
    Ok(report)
}
