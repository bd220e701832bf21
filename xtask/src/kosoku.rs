//! kosoku: another runner for the case files of the Autobahn test suite. This module repairs it, asks it for the list
//! of cases, and runs it. `autobahn` uses it for its tests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::program::Program;
use crate::server_process::ServerProcess;
use crate::setup;
use crate::workspace::Workspace;

/// The whole suite takes a few minutes on two cores. kosoku itself ends a case that hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(25 * 60);

/// If a suite has fewer cases, some were lost.
const CASES_IN_THE_SUITE: usize = 517;

/// kosoku in the venv.
pub(crate) struct Kosoku {
    /// The venv's directory of programs.
    programs: PathBuf,
}

impl Kosoku {
    /// Installs and repairs kosoku, unless that is done already.
    pub(crate) fn install(workspace: &Workspace) -> Result<Self> {
        let kosoku = Self { programs: setup::python(workspace)? };
        kosoku.mend()?;
        Ok(kosoku)
    }

    /// kosoku 0.1.0 passes a message that came uncompressed to a case as `str`, and one that came compressed as
    /// `bytes`. The cases 12 and 13 hash the message, and hashing a `str` raises. If compression is agreed on, a small
    /// message may still be sent uncompressed (RFC 7692 section 6.1 leaves it to the sender), so a case has to accept
    /// both.
    fn mend(&self) -> Result<()> {
        const BROKEN: &str = "def onMessage(self, msg, binary):\n   m = hashlib.sha1()\n";
        const MENDED: &str = "def onMessage(self, msg, binary):
   # Mended by `cargo xtask`: an uncompressed message arrives as `str`, and only `bytes` can be hashed.
   if isinstance(msg, str):
      msg = msg.encode('latin-1' if binary else 'utf-8')
   m = hashlib.sha1()
";
        let find = "import importlib.util as u; print(u.find_spec('kosoku').submodule_search_locations[0])";
        let case = Path::new(self.python(find)?.trim()).join("cases/case12_x_x.py");
        let source = std::fs::read_to_string(&case).with_context(|| format!("cannot read {}", case.display()))?;
        if !source.contains(MENDED) {
            ensure!(
                source.contains(BROKEN),
                "{} has neither the fault of kosoku 0.1.0 nor its repair: look at it anew",
                case.display()
            );
            std::fs::write(&case, source.replace(BROKEN, MENDED))?;
        }
        Ok(())
    }

    /// The ids of the cases that match any of `patterns`, in the suite's order; no pattern means all.
    pub(crate) fn cases(&self, patterns: &[String]) -> Result<Vec<String>> {
        let suite = self.python("import kosoku.cases; print('\\n'.join(kosoku.cases.CASES))")?;
        let suite: Vec<String> = suite.lines().map(str::to_owned).collect();
        ensure!(suite.len() == CASES_IN_THE_SUITE, "kosoku has {} cases of {CASES_IN_THE_SUITE}", suite.len());
        if patterns.is_empty() {
            return Ok(suite);
        }
        if let Some(pattern) = patterns.iter().find(|pattern| !suite.iter().any(|id| matches(pattern, id))) {
            bail!("no case matches `{pattern}`; ids look like 9.1.1, and `*` stands for anything");
        }
        Ok(suite.into_iter().filter(|id| patterns.iter().any(|pattern| matches(pattern, id))).collect())
    }

    /// Runs `cases` against the server at `url`.
    ///
    /// kosoku's exit status counts NON-STRICT as passed, so it is not used. An error of this function means that there
    /// are no reports.
    pub(crate) fn test_server(&self, url: &str, cases: &[String], reports: &Path, parallel: &str) -> Result<()> {
        let run = self.program("fuzzingclient", cases, reports).args(["--parallelism", parallel, url]);
        let run = run.deadline(DEADLINE).run();
        if reports.join("index.json").exists() { Ok(()) } else { run }
    }

    /// Starts a server that tests each client connection with one of `cases`. It writes the reports and ends when the
    /// client asks for `/updateReports`.
    pub(crate) fn serve(&self, cases: &[String], reports: &Path, log: &Path) -> Result<ServerProcess> {
        ServerProcess::start(self.program("fuzzingserver", cases, reports).arg("127.0.0.1:0"), log)
    }

    fn program(&self, mode: &str, cases: &[String], reports: &Path) -> Program {
        let mut program = Program::new(self.programs.join("kosoku")).args(["--mode", mode, "--outdir"]).arg(reports);
        // The list of all cases need not be passed, and the printed line stays readable.
        if cases.len() < CASES_IN_THE_SUITE {
            program = program.args(cases.iter().flat_map(|case| ["--include", case]));
        }
        program
    }

    fn python(&self, code: &str) -> Result<String> {
        Program::new(self.programs.join("python")).args(["-c", code]).output()
    }
}

/// Whether the whole of `id` matches. `*` stands for any characters.
fn matches(pattern: &str, id: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == id,
        Some((before, after)) => {
            id.strip_prefix(before).is_some_and(|rest| (0..=rest.len()).any(|start| matches(after, &rest[start..])))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_ids() {
        for (pattern, id) in [("1.1.1", "1.1.1"), ("12.*", "12.1.18"), ("*.1.*", "9.1.6"), ("*", "2.1")] {
            assert!(matches(pattern, id), "{pattern} {id}");
        }
        for (pattern, id) in [("1.1.1", "1.1.10"), ("1.*", "10.1.1"), ("13.*.1", "13.5.11"), ("", "2.1")] {
            assert!(!matches(pattern, id), "{pattern} {id}");
        }
    }
}
