//! The public API against that of the last release, by cargo-semver-checks: a change that breaks users comes with a new minor version
//! before 1.0, and with a new major version after.

use crate::missing::Missing;
use crate::program::Program;
use crate::steps::Step;
use crate::workspace::Workspace;

/// `revision` is the one to compare with; without it, the newest release's.
pub(crate) fn step(revision: Option<&str>) -> Step {
    let revision = revision.map(str::to_owned);
    Step::new("semver", "the libraries' versions say what has changed in their public API", move |workspace| {
        let Some(baseline) = revision.clone().or_else(|| newest_release(workspace)) else {
            return Ok("nothing to compare with: there is no release yet, which is a git tag such as v0.1.0".into());
        };
        if !Program::new("cargo").args(["semver-checks", "--version"]).succeeds() {
            let remedy = "install it: cargo install cargo-semver-checks --locked";
            return Err(Missing::new("cargo-semver-checks", remedy).into());
        }
        Program::new("cargo")
            .args(["semver-checks", "--package", "ropeway-proto", "--package", "ropeway", "--all-features"])
            .args(["--baseline-rev", &baseline])
            .dir(&workspace.root)
            .run()?;
        Ok(format!("ropeway-proto and ropeway, against {baseline}"))
    })
}

/// The tag of the newest release before this commit.
fn newest_release(workspace: &Workspace) -> Option<String> {
    let git = Program::new("git").args(["tag", "--list", "v[0-9]*", "--merged", "HEAD", "--sort=-version:refname"]);
    git.dir(&workspace.root).output().ok()?.lines().next().map(str::to_owned)
}
