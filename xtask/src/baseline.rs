//! `bench/baseline.json`: the instructions that each benchmark took when the file was last recorded, and the tools that
//! counted them. Counting is left to `bench`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use crate::workspace::Workspace;

/// By how many percent a count may differ from its baseline. Counts repeat to the instruction, also on a busy machine,
/// with other environments and other addresses. The tolerance is for changes elsewhere in a crate, which change what is
/// inlined where, and which registers are used.
const TOLERANCE: f64 = 2.0;

/// Instructions by the name of the benchmark.
pub(crate) type Counts = BTreeMap<String, u64>;

/// Things that a count depends on besides our own code, by name: compiler, target, valgrind, C library.
pub(crate) type Tools = BTreeMap<String, String>;

/// Counts, and the tools that they were made with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Baseline {
    pub(crate) tools: Tools,
    pub(crate) counts: Counts,
}

/// The comparison of a count with its baseline.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Same,
    Grew,
    Shrank,
    /// The baseline lacks it.
    New,
    /// The baseline has it, and there is no benchmark of that name.
    Gone,
}

impl Baseline {
    pub(crate) fn path(workspace: &Workspace) -> PathBuf {
        workspace.root.join("bench/baseline.json")
    }

    pub(crate) fn read(workspace: &Workspace) -> Result<Self> {
        let path = Self::path(workspace);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text)
            .with_context(|| format!("{} is not as `cargo xtask bench --record` writes it", path.display()))
    }

    pub(crate) fn write(&self, workspace: &Workspace) -> Result<()> {
        let path = Self::path(workspace);
        std::fs::write(&path, self.to_text()).with_context(|| format!("cannot write {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let object = |name: &str| value[name].as_object().with_context(|| format!("there is no object `{name}`"));
        let text = |value: &Value| value.as_str().map(str::to_owned).context("a tool is no text");
        let count = |value: &Value| value.as_u64().context("a count is no whole number");
        Ok(Self { tools: values(object("tools")?, text)?, counts: values(object("instructions")?, count)? })
    }

    fn to_text(&self) -> String {
        format!("{:#}\n", json!({ "tools": self.tools, "instructions": self.counts }))
    }

    /// Returns the tools of `now` that differ from this baseline's. A difference in counts may then be theirs.
    pub(crate) fn other_tools(&self, now: &Self) -> Vec<String> {
        let differs = |(name, tool): (&String, &String)| {
            let recorded = self.tools.get(name).map_or("nothing", String::as_str);
            (recorded != tool).then(|| format!("{name}: {tool}, recorded with {recorded}"))
        };
        now.tools.iter().filter_map(differs).collect()
    }

    /// A table of the counts of `now` beside those of this baseline.
    pub(crate) fn table(&self, now: &Self) -> String {
        let mut table = format!("{:34} {:>12} {:>12} {:>9}\n", "benchmark", "instructions", "baseline", "change");
        for (name, verdict) in self.verdicts(now) {
            let (before, after) = (self.counts.get(name).copied(), now.counts.get(name).copied());
            let change = before.zip(after).map(|(before, after)| format!("{:+.1} %", percent(before, after)));
            let word = match verdict {
                Verdict::Same => "",
                Verdict::Grew => "GREW",
                Verdict::Shrank => "shrank",
                Verdict::New => "NEW",
                Verdict::Gone => "GONE",
            };
            let [after, before] = [after, before].map(|count| count.map(grouped).unwrap_or_default());
            let line = format!("{name:34} {after:>12} {before:>12} {:>9}  {word}", change.unwrap_or_default());
            let _ = writeln!(table, "{}", line.trim_end());
        }
        table
    }

    /// Fails if a count grew, is new, or is gone. Otherwise returns a short summary.
    pub(crate) fn judge(&self, now: &Self) -> Result<String> {
        let names = |wanted| -> Vec<_> {
            let named = self.verdicts(now).into_iter().filter(|(_, verdict)| *verdict == wanted);
            named.map(|(name, _)| name.to_owned()).collect()
        };
        let told = [
            (names(Verdict::Grew), format!("took more than {TOLERANCE} % more instructions than recorded")),
            (names(Verdict::New), "not in bench/baseline.json".to_owned()),
            (names(Verdict::Gone), "only in bench/baseline.json".to_owned()),
        ];
        let faults: Vec<_> = told
            .iter()
            .filter(|(names, _)| !names.is_empty())
            .map(|(names, what)| format!("{what}: {}", names.join(", ")))
            .collect();
        ensure!(faults.is_empty(), "{}; if that is meant: cargo xtask bench --record", faults.join("; "));
        let shrank = names(Verdict::Shrank);
        let all = format!("{} benchmarks within {TOLERANCE} % of the baseline", now.counts.len() - shrank.len());
        Ok(match shrank.as_slice() {
            [] => all,
            shrank => format!("{all}, fewer for {}: record that with cargo xtask bench --record", shrank.join(", ")),
        })
    }

    /// The verdicts by name, for each name that is in either.
    fn verdicts<'a>(&'a self, now: &'a Self) -> BTreeMap<&'a str, Verdict> {
        let names = self.counts.keys().chain(now.counts.keys());
        names
            .map(|name| {
                let verdict = match (self.counts.get(name), now.counts.get(name)) {
                    (Some(&before), Some(&after)) => match percent(before, after) {
                        change if change > TOLERANCE => Verdict::Grew,
                        change if change < -TOLERANCE => Verdict::Shrank,
                        _ => Verdict::Same,
                    },
                    (None, _) => Verdict::New,
                    (_, None) => Verdict::Gone,
                };
                (name.as_str(), verdict)
            })
            .collect()
    }
}

fn values<T>(object: &Map<String, Value>, read: impl Fn(&Value) -> Result<T>) -> Result<BTreeMap<String, T>> {
    object.iter().map(|(name, value)| Ok((name.clone(), read(value)?))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a percentage of counts far below 2^52")]
fn percent(before: u64, after: u64) -> f64 {
    (after as f64 - before as f64) / (before.max(1) as f64) * 100.0
}

/// Writes a number with a comma between each three digits.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(counts: &[(&str, u64)]) -> Baseline {
        Baseline {
            tools: [("rustc".to_owned(), "rustc 1.95.0".to_owned())].into(),
            counts: counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
        }
    }

    #[test]
    fn a_written_baseline_is_read_back() {
        let baseline = counted(&[("mask", 1_000), ("utf8", u64::MAX)]);
        assert_eq!(Baseline::parse(&baseline.to_text()).unwrap(), baseline);
    }

    #[test]
    fn within_the_tolerance_all_is_well() {
        let before = counted(&[("mask", 1_000), ("utf8", 50)]);
        let seen = before.judge(&counted(&[("mask", 1_020), ("utf8", 49)])).unwrap();
        assert_eq!(seen, "2 benchmarks within 2 % of the baseline");
    }

    #[test]
    fn a_count_that_grew_is_new_or_is_gone_fails_and_is_named() {
        let before = counted(&[("mask", 1_000), ("utf8", 50), ("echo", 7)]);
        let now = counted(&[("mask", 1_021), ("utf8", 50), ("send", 3)]);
        let error = before.judge(&now).unwrap_err().to_string();
        for part in [
            "more instructions than recorded: mask;",
            "not in bench/baseline.json: send;",
            "only in bench/baseline.json: echo;",
        ] {
            assert!(error.contains(part), "{error}");
        }
        assert!(
            before
                .table(&now)
                .contains("mask                                      1,021        1,000    +2.1 %  GREW\n")
        );
    }

    #[test]
    fn a_count_that_shrank_passes_and_asks_to_be_recorded() {
        let seen = counted(&[("mask", 1_000)]).judge(&counted(&[("mask", 900)])).unwrap();
        assert!(seen.contains("fewer for mask") && seen.contains("--record"), "{seen}");
    }

    #[test]
    fn another_tool_is_named_with_the_recorded_one() {
        let (before, mut now) = (counted(&[]), counted(&[]));
        assert!(before.other_tools(&now).is_empty());
        now.tools.insert("rustc".to_owned(), "rustc 1.96.0".to_owned());
        assert_eq!(before.other_tools(&now), ["rustc: rustc 1.96.0, recorded with rustc 1.95.0"]);
    }

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
