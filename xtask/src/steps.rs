//! A list of steps: run in order, announced, timed, stopped at the first failure, summed up at the end.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::missing::Missing;
use crate::workspace::Workspace;

/// The work of a step. If it succeeds it returns a short summary.
type Work = Box<dyn Fn(&Workspace) -> Result<String>>;

/// One step, which proves one thing.
pub(crate) struct Step {
    name: &'static str,
    proves: &'static str,
    work: Work,
}

impl Step {
    /// `name` is the step's row in the summary, `proves` the sentence that is printed before it runs.
    pub(crate) fn new(
        name: &'static str,
        proves: &'static str,
        work: impl Fn(&Workspace) -> Result<String> + 'static,
    ) -> Self {
        Self { name, proves, work: Box::new(work) }
    }
}

enum Outcome {
    Passed(String),
    /// A tool is missing, and this is not CI. It is printed, and counted separately.
    NotRun(String),
    Failed(String),
}

/// Runs `steps` until one fails. Returns whether none failed.
pub(crate) fn run(workspace: &Workspace, steps: &[Step]) -> bool {
    let mut rows = Vec::new();
    let mut ok = true;
    for (index, step) in steps.iter().enumerate() {
        println!("\n=== {} ({} of {}): {}", step.name, index + 1, steps.len(), step.proves);
        let started = Instant::now();
        let outcome = outcome_of((step.work)(workspace), workspace.ci);
        let took = started.elapsed();
        println!("=== {}: {} after {}", step.name, outcome.word(), seconds(took));
        ok = !matches!(outcome, Outcome::Failed(_));
        rows.push((step.name, outcome, took));
        if !ok {
            break;
        }
    }
    print!("{}", summary(&rows, steps.len()));
    ok
}

fn outcome_of(result: Result<String>, ci: bool) -> Outcome {
    match result {
        Ok(seen) => Outcome::Passed(seen),
        Err(error) if error.is::<Missing>() && !ci => Outcome::NotRun(format!("{error:#}")),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::NotRun(_) => "NOT RUN",
            Self::Failed(_) => "FAILED",
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Passed(text) | Self::NotRun(text) | Self::Failed(text) => text,
        }
    }
}

/// The table, and below it one closing line: `N passed, N failed`, with `, N skipped` if a tool was missing.
fn summary(rows: &[(&str, Outcome, Duration)], asked: usize) -> String {
    let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or_default();
    let count = |word: &str| rows.iter().filter(|(_, outcome, _)| outcome.word() == word).count();
    let mut lines = vec![String::new()];
    lines.extend(rows.iter().map(|(name, outcome, took)| {
        format!("{name:width$}  {:7}  {:>8}  {}", outcome.word(), seconds(*took), outcome.text())
    }));
    if asked > rows.len() {
        lines.push(format!("{} more not reached", asked - rows.len()));
    }
    lines.push(String::new());
    let closing = format!("{} passed, {} failed", count("passed"), count("FAILED"));
    lines.push(match count("NOT RUN") {
        0 => closing,
        skipped => format!("{closing}, {skipped} skipped"),
    });
    lines.join("\n") + "\n"
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> Result<String> {
        Err(Missing::new("chromium", "install chromium").into())
    }

    #[test]
    fn a_missing_tool_is_a_failure_in_ci_and_said_elsewhere() {
        assert_eq!(outcome_of(missing(), true).word(), "FAILED");
        let elsewhere = outcome_of(missing(), false);
        assert_eq!((elsewhere.word(), elsewhere.text()), ("NOT RUN", "chromium is missing: install chromium"));
    }

    #[test]
    fn the_closing_line_counts_steps_and_names_skipped_ones() {
        let second = Duration::from_secs(1);
        let rows = [
            ("fmt", Outcome::Passed("all files".into()), second),
            ("browser", outcome_of(missing(), false), second),
            ("unit", Outcome::Failed("exit status 101".into()), second),
        ];
        let text = summary(&rows, 5);
        assert!(text.contains("2 more not reached"), "{text}");
        assert!(text.ends_with("\n\n1 passed, 1 failed, 1 skipped\n"), "{text}");
        assert!(summary(&rows[..1], 1).ends_with("\n1 passed, 0 failed\n"));
    }
}
