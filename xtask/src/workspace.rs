//! The workspace: the places of its files, and the binaries that the steps test. Installed tools are left to `setup`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::program::Program;

/// The profile of the tested binaries. It is optimised, with debug assertions and overflow checks, so that an invariant
/// broken by input from the network fails a case instead of producing a wrong byte.
const PROFILE: &str = "conformance";

/// The places of files and folders.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Cargo's target directory, wherever the user has put it.
    pub(crate) target: PathBuf,
    /// With CI=true a missing tool is a failure.
    pub(crate) ci: bool,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
        let metadata = metadata(root)?;
        let target = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
        Ok(Self {
            root: root.to_owned(),
            target: target.into(),
            ci: std::env::var("CI").is_ok_and(|value| value == "true" || value == "1"),
        })
    }

    /// Returns a directory for xtask's own files of this `name`, such as a venv, reports or logs. It is made if it is
    /// missing.
    pub(crate) fn state(&self, name: &str) -> Result<PathBuf> {
        let path = self.target.join("xtask").join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    pub(crate) fn conformance(&self) -> PathBuf {
        self.root.join("conformance")
    }

    /// Returns the binary under test: the one that `ROPEWAY` names, or one that is built now.
    pub(crate) fn ropeway(&self) -> Result<PathBuf> {
        match std::env::var_os("ROPEWAY") {
            Some(path) => std::path::absolute(path).context("ROPEWAY names no path"),
            None => self.build(&["--package", "ropeway-cli", "--bin", "ropeway"], "ropeway"),
        }
    }

    /// Builds the packages that `selection` names to cargo. Returns the path of `binary`, a name below the profile's
    /// directory.
    pub(crate) fn build(&self, selection: &[&str], binary: &str) -> Result<PathBuf> {
        Program::new("cargo").args(["build", "--profile", PROFILE]).args(selection).dir(&self.root).run()?;
        Ok(self.profile_directory().join(binary).with_extension(std::env::consts::EXE_EXTENSION))
    }

    /// The directory that `build` puts its binaries into.
    pub(crate) fn profile_directory(&self) -> PathBuf {
        self.target.join(PROFILE)
    }

    /// The features that `package` declares, without `default`.
    pub(crate) fn features_of(&self, package: &str) -> Result<Vec<String>> {
        let metadata = metadata(&self.root)?;
        let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
        let features = packages
            .iter()
            .find(|entry| entry["name"] == package)
            .and_then(|entry| entry["features"].as_object())
            .with_context(|| format!("cargo metadata knows no package {package}"))?;
        Ok(features.keys().filter(|name| *name != "default").cloned().collect())
    }
}

fn metadata(root: &Path) -> Result<Value> {
    let json = Program::new("cargo").args(["metadata", "--no-deps", "--format-version", "1"]).dir(root).output()?;
    serde_json::from_str(&json).context("cargo metadata printed no JSON")
}
