//! The npm package `ropeway`, in `bindings/node`: its own tests, its types, programs that depend on ws, and the example in a
//! browser, each of the last two with npm's ws and with ropeway in its place. On request, ws's own tests from a clone of ws.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::browser::in_browser;
use crate::interop::node_tests;
use crate::program::Program;
use crate::setup;
use crate::steps::Step;
use crate::workspace::Workspace;

const DEADLINE: Duration = Duration::from_secs(15 * 60);

pub(crate) fn steps() -> Vec<Step> {
    vec![
        Step::new("node package", "the npm package does what npm's ws does, on both lanes", package),
        Step::new("node types", "its types are those that programs for ws are written with", types),
        Step::new("node dependents", "programs of packages that depend on ws print the same with ropeway", dependents),
        Step::new("node example", "an Express app prints and shows the same with ws and with ropeway", example),
    ]
}

/// ws's own tests, unmodified. `clone` is a clone of ws with its history.
pub(crate) fn ws_tests(clone: &str) -> Step {
    let clone = PathBuf::from(clone);
    Step::new("node ws-tests", "ws's own tests pass but for those that are listed with a reason", move |workspace| {
        let clone = std::path::absolute(&clone).context("--ws-tests names no path")?;
        let addon = addon(workspace)?;
        for lane in LANES {
            script(workspace, "harness/run.js")
                .arg(&clone)
                .args(["--lane", lane])
                .env("ROPEWAY_ADDON", &addon)
                .run()?;
        }
        Ok(format!("lanes {}", LANES.join(", ")))
    })
}

/// The package's tests with an addon that `AddressSanitizer` watches. Node allocates slabs with the `malloc` that it replaces, so
/// accesses beyond a slab are found, too.
pub(crate) fn asan() -> Step {
    Step::new("node asan", "the addon touches no memory that is not its own", |workspace| {
        setup::npm(workspace, &bindings(workspace))?;
        let target = workspace.target.join("asan");
        Program::nightly("cargo")
            .args(["build", "--package", "ropeway-node", "--profile", "conformance", "--target", ASAN_TRIPLE])
            .arg("--target-dir")
            .arg(&target)
            .env("RUSTFLAGS", "-Zsanitizer=address")
            .dir(&workspace.root)
            .deadline(DEADLINE)
            .run()?;
        let addon = workspace.state("node")?.join("asan.node");
        let built = target.join(ASAN_TRIPLE).join("conformance/libropeway_node.so");
        std::fs::copy(&built, &addon).with_context(|| format!("cannot copy {}", built.display()))?;
        let runtime = Program::new("gcc").arg("-print-file-name=libasan.so").deadline(DEADLINE).output()?;
        let mut tests = tests_in(&bindings(workspace).join("test"))?;
        tests.retain(|path| !NOT_UNDER_ASAN.iter().any(|name| path.ends_with(name)));
        for lane in LANES {
            node_tests(&tests)
                .env("ROPEWAY_ADDON", &addon)
                .env("ROPEWAY_LANE", lane)
                .env("LD_PRELOAD", runtime.trim())
                // Node frees nothing when it ends.
                .env("ASAN_OPTIONS", "detect_leaks=0")
                .deadline(DEADLINE)
                .run()?;
        }
        Ok(format!("{} files, lanes {}", tests.len(), LANES.join(", ")))
    })
}

const ASAN_TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Tests that run npm or measure memory.
const NOT_UNDER_ASAN: [&str; 3] = ["heap.test.js", "leaks.test.js", "package.test.js"];

/// The two ways that bytes take through the package.
const LANES: [&str; 2] = ["fd", "stream"];

fn package(workspace: &Workspace) -> Result<String> {
    setup::npm(workspace, &bindings(workspace))?;
    let addon = addon(workspace)?;
    let tests = tests_in(&bindings(workspace).join("test"))?;
    for lane in LANES {
        node_tests(&tests).env("ROPEWAY_ADDON", &addon).env("ROPEWAY_LANE", lane).deadline(DEADLINE).run()?;
    }
    Ok(format!("{} files, lanes {}", tests.len(), LANES.join(", ")))
}

fn types(workspace: &Workspace) -> Result<String> {
    setup::npm(workspace, &bindings(workspace).join("test/types"))?;
    script(workspace, "test/types/run.js").run()?;
    Ok("for require and for import".into())
}

fn dependents(workspace: &Workspace) -> Result<String> {
    setup::npm(workspace, &bindings(workspace))?;
    script(workspace, "test/dependents/run.js").env("ROPEWAY_ADDON", addon(workspace)?).run()?;
    Ok("socket.io, graphql-ws, mqtt and others".into())
}

/// A script of the package, run by Node.
fn script(workspace: &Workspace, path: &str) -> Program {
    Program::new("node").arg(bindings(workspace).join(path)).deadline(DEADLINE)
}

fn example(workspace: &Workspace) -> Result<String> {
    let example = workspace.root.join("examples/node");
    setup::npm(workspace, &example)?;
    let screens = workspace.state("screens")?;
    in_browser(workspace, &["node-example.test.mjs"])?
        .env("ROPEWAY_ADDON", addon(workspace)?)
        .env("EXAMPLE", &example)
        .env("SCREENS", &screens)
        .deadline(DEADLINE)
        .run()?;
    Ok(format!("screenshots in {}", screens.display()))
}

fn bindings(workspace: &Workspace) -> PathBuf {
    workspace.root.join("bindings/node")
}

/// Builds the addon. Returns a copy with the name that Node loads addons by. The package's own place for it is left alone: a user
/// may have a release build there.
fn addon(workspace: &Workspace) -> Result<PathBuf> {
    let library = format!("{}ropeway_node{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    workspace.build(&["--package", "ropeway-node"], "")?;
    let addon = workspace.state("node")?.join("ropeway.node");
    let built = workspace.profile_directory().join(library);
    std::fs::copy(&built, &addon).with_context(|| format!("cannot copy {}", built.display()))?;
    Ok(addon)
}

fn tests_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let paths: Vec<PathBuf> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    let is_test = |path: &PathBuf| path.to_string_lossy().ends_with(".test.js");
    let mut tests: Vec<_> = paths.into_iter().filter(is_test).collect();
    tests.sort();
    Ok(tests)
}
