//! Interoperability: other WebSocket implementations against ropeway, as server and as client; plain HTTP on the same
//! port; proxies in front of it. The checks are in `conformance/interop` and `conformance/proxies`, written in the
//! language of the peer, with that language's own test runner.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::program::Program;
use crate::setup;
use crate::steps::Step;
use crate::workspace::Workspace;

const DEADLINE: Duration = Duration::from_secs(5 * 60);

pub(crate) fn steps() -> Vec<Step> {
    vec![
        Step::new("interop websockets", "Python's websockets and plain HTTP against ropeway, both ways", websockets),
        Step::new(
            "interop proxies",
            "nginx, HAProxy and Caddy in front of ropeway: it finds the client's address",
            proxies,
        ),
        Step::new("interop ws", "npm's ws against ropeway, both ways, and mixed with Python's websockets", ws),
    ]
}

fn websockets(workspace: &Workspace) -> Result<String> {
    let python = setup::python(workspace)?.join("python");
    let tests = Program::new(python)
        .args(["-m", "unittest", "discover", "--verbose", "--pattern", "test_*.py", "--start-directory"])
        .arg(workspace.conformance().join("interop"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    under_test(tests, workspace, "interop-websockets.log")?.run()?;
    Ok("server, client, plain HTTP".into())
}

fn proxies(workspace: &Workspace) -> Result<String> {
    let python = setup::python(workspace)?.join("python");
    let proxies = setup::proxies(workspace)?;
    let server = workspace.build(&["--package", "conformance", "--bin", "behind-proxy"], "behind-proxy")?;
    let log = workspace.state("logs")?.join("interop-proxies.log");
    std::fs::write(&log, "")?;
    Program::new(python)
        .args(["-m", "unittest", "discover", "--verbose", "--pattern", "test_*.py", "--start-directory"])
        .arg(workspace.conformance().join("proxies"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NGINX", proxies.nginx)
        .env("HAPROXY", proxies.haproxy)
        .env("CADDY", proxies.caddy)
        .env("BEHIND_PROXY", server)
        .env("PROXIES_LOG", log)
        .deadline(DEADLINE)
        .run()?;
    Ok("nginx, HAProxy, Caddy, Forwarded, a Unix socket".into())
}

fn ws(workspace: &Workspace) -> Result<String> {
    setup::node(workspace)?;
    let python = setup::python(workspace)?.join("python");
    let interop = workspace.conformance().join("interop");
    let tests = node_tests(&["server", "client", "mixed"].map(|name| interop.join(format!("{name}.test.mjs"))))
        .env("PYTHON", python);
    under_test(tests, workspace, "interop-ws.log")?.run()?;
    Ok("server, client, rooms shared with websockets".into())
}

/// Runs `files` with Node's own test runner, one after the other: two at once would compete for the cores.
pub(crate) fn node_tests(files: &[impl AsRef<Path>]) -> Program {
    Program::new("node")
        .args(["--test", "--test-concurrency=1", "--test-reporter=spec"])
        .args(files.iter().map(AsRef::as_ref))
}

/// Tells tests which binary to start, and where the servers that they start write their logs.
pub(crate) fn under_test(tests: Program, workspace: &Workspace, log: &str) -> Result<Program> {
    let log = workspace.state("logs")?.join(log);
    std::fs::write(&log, "")?;
    Ok(tests.env("ROPEWAY", workspace.ropeway()?).env("ROPEWAY_LOG", log).deadline(DEADLINE))
}
