//! The public API against that of the last release, by cargo-semver-checks: a change that breaks users comes with a new
//! minor version before 1.0, and with a new major version after.

use std::path::Path;

use anyhow::Result;

use crate::missing::Missing;
use crate::program::Program;
use crate::steps::Step;

/// `revision` is the one to compare with; without it, the newest release's.
pub(crate) fn step(revision: Option<&str>) -> Step {
    let revision = revision.map(str::to_owned);
    Step::new("semver", "the libraries' versions say what has changed in their public API", move |workspace| {
        let Some(baseline) = revision.clone().map_or_else(|| newest_release(&workspace.root), |one| Ok(Some(one)))?
        else {
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

/// The tag of the newest release before this commit. It is an error if git is missing or fails: that there is no
/// release is only known from git.
fn newest_release(directory: &Path) -> Result<Option<String>> {
    let git = Program::new("git").args(["tag", "--list", "v[0-9]*", "--merged", "HEAD", "--sort=-version:refname"]);
    Ok(git.dir(directory).output()?.lines().next().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_git_that_fails_is_an_error_and_not_an_absent_release() {
        let error = newest_release(Path::new("/")).unwrap_err();
        assert!(error.to_string().starts_with("`git tag "), "{error:#}");
    }
}
