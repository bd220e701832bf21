//! The Autobahn cases against the server and the client. `kosoku`, a re-implementation of the Autobahn test suite's
//! runner, drives the suite's own case files; what counts as passed lies in `autobahn_report`.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::autobahn_report::Report;
use crate::program::Program;
use crate::server_process::ServerProcess;
use crate::setup;
use crate::steps::Step;
use crate::workspace::Workspace;

/// The whole suite takes a few minutes on two cores; a case that hangs is given up by kosoku itself before this.
const DEADLINE: Duration = Duration::from_secs(25 * 60);

/// How many cases run at once. Some wait for a second or two and others compute, so more than there are cores.
const PARALLEL: &str = "4";

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

/// Runs `cases` (ids or globs; none means all) against one side.
pub(crate) fn step(role: Role, cases: &[&str]) -> Step {
    let include: Vec<String> = cases.iter().flat_map(|case| ["--include".to_owned(), (*case).to_owned()]).collect();
    match role {
        Role::Server => Step::new("autobahn server", "the Autobahn cases against `ropeway serve`", move |workspace| {
            server(workspace, &include)
        }),
        Role::Client => Step::new("autobahn client", "the Autobahn cases against the client", move |workspace| {
            client(workspace, &include)
        }),
    }
}

fn server(workspace: &Workspace, include: &[String]) -> Result<String> {
    let kosoku = mended_kosoku(workspace)?;
    let reports = empty_reports(workspace, "server")?;
    // Cases 12 and 13 offer compression, most of them with context takeover; the others offer none.
    let serve = Program::new(workspace.ropeway()?).args(["serve", "--listen", "127.0.0.1:0", "--deflate", "takeover"]);
    let server = ServerProcess::start(serve, &workspace.state("logs")?.join("autobahn-server.log"))?;
    let run = Program::new(kosoku)
        .args(["--mode", "fuzzingclient", "--parallelism", PARALLEL, "--outdir"])
        .arg(&reports)
        .args(include)
        .arg(format!("ws://{}/echo", server.address()))
        .deadline(DEADLINE)
        .run();
    judge(&reports, include, run)
}

fn client(workspace: &Workspace, include: &[String]) -> Result<String> {
    let kosoku = mended_kosoku(workspace)?;
    let reports = empty_reports(workspace, "client")?;
    let client = workspace.build(&["--package", "conformance", "--bin", "autobahn-client"], "autobahn-client")?;
    let fuzzing = Program::new(kosoku)
        .args(["--mode", "fuzzingserver", "--outdir"])
        .arg(&reports)
        .args(include)
        .arg("127.0.0.1:0");
    let mut server = ServerProcess::start(fuzzing, &workspace.state("logs")?.join("autobahn-client.log"))?;
    let url = format!("ws://{}", server.address());
    let run = Program::new(client).args([&url, PARALLEL]).deadline(DEADLINE).run();
    // The client's last request makes kosoku write the reports and end.
    if run.is_ok() && server.wait(Duration::from_secs(60))?.is_none() {
        bail!("kosoku wrote no reports within a minute of the last case");
    }
    judge(&reports, include, run)
}

/// The reports decide: kosoku's own status counts NON-STRICT as passed. Without reports, what went wrong is `run`'s.
fn judge(reports: &Path, include: &[String], run: Result<()>) -> Result<String> {
    let report = match Report::read(reports) {
        Ok(report) => report,
        Err(unreadable) => return run.and(Err(unreadable)),
    };
    report.verdict(include.is_empty()).map_err(|bad| anyhow!("{bad}\nthe reports are in {}", reports.display()))
}

/// Reports of an earlier run must not be judged again.
fn empty_reports(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let path = workspace.state("autobahn")?.join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path).with_context(|| format!("cannot empty {}", path.display()))?;
    }
    Ok(path)
}

/// kosoku from the venv, after a repair.
///
/// kosoku 0.1.0 hands a message that came uncompressed to a case as `str`, one that was compressed as `bytes`. The
/// cases of 12 and 13 hash what they are handed, and hashing a `str` raises. Not compressing a message below a
/// threshold is legal (RFC 7692 section 6: "An endpoint MAY decide whether to compress"), so the case has to take both.
fn mended_kosoku(workspace: &Workspace) -> Result<PathBuf> {
    const BROKEN: &str = "def onMessage(self, msg, binary):\n   m = hashlib.sha1()\n";
    const MENDED: &str = "def onMessage(self, msg, binary):
   # Mended by `cargo xtask`: an uncompressed message arrives as `str`, and only `bytes` can be hashed.
   if isinstance(msg, str):
      msg = msg.encode('latin-1' if binary else 'utf-8')
   m = hashlib.sha1()
";
    let programs = setup::python(workspace)?;
    let find = "import importlib.util as u; print(u.find_spec('kosoku').submodule_search_locations[0])";
    let package = Program::new(programs.join("python")).args(["-c", find]).output()?;
    let case = Path::new(package.trim()).join("cases/case12_x_x.py");
    let source = std::fs::read_to_string(&case).with_context(|| format!("cannot read {}", case.display()))?;
    if !source.contains(MENDED) {
        if !source.contains(BROKEN) {
            bail!("{} has neither the fault of kosoku 0.1.0 nor its repair: look at it anew", case.display());
        }
        std::fs::write(&case, source.replace(BROKEN, MENDED))?;
    }
    Ok(programs.join("kosoku"))
}
