//! The report of an Autobahn run: parsing kosoku's `index.json`, and the verdict over it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// For these cases the right behaviour is open: a message after a close frame (7.1.6), and close codes above the ranges
/// that RFC 6455 section 7.4.2 assigns (7.13.1, 7.13.2).
const MAY_BE_INFORMATIONAL: [&str; 3] = ["7.1.6", "7.13.1", "7.13.2"];

/// The results of the cases, in the order of the suite.
#[derive(Default)]
pub(crate) struct Report {
    cases: BTreeMap<CaseId, Behavior>,
}

/// `12.1.3` as its numbers, so that 2 is sorted before 10.
type CaseId = Vec<u32>;

struct Behavior {
    id: String,
    /// The result of the messages, then that of the closing handshake. Both are in Autobahn's words.
    message: String,
    close: String,
}

impl Report {
    /// Reads the reports that kosoku has written into `directory`.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join("index.json");
        let json = std::fs::read_to_string(&path).with_context(|| format!("there is no report {}", path.display()))?;
        Self::parse(&json).with_context(|| format!("{} is no Autobahn index", path.display()))
    }

    /// The index maps the tested agent to its cases, and each case to its behaviours. An agent that names itself in
    /// only some of its answers would have several entries: all count.
    fn parse(json: &str) -> Result<Self> {
        let index: Value = serde_json::from_str(json)?;
        let agents = index.as_object().context("the top is no object")?;
        let mut cases = BTreeMap::new();
        for (id, case) in agents.values().filter_map(Value::as_object).flatten() {
            let number = id.split('.').map(str::parse).collect::<Result<CaseId, _>>()?;
            let word = |key: &str| Ok::<_, anyhow::Error>(case[key].as_str().context(key.to_owned())?.to_owned());
            let behavior = Behavior { id: id.clone(), message: word("behavior")?, close: word("behaviorClose")? };
            ensure!(cases.insert(number, behavior).is_none(), "case {id} is reported twice");
        }
        Ok(Self { cases })
    }

    /// Adds the cases of another run.
    pub(crate) fn add(&mut self, other: Self) {
        self.cases.extend(other.cases);
    }

    /// Returns the counts by result if each of the `asked` cases is as it should be; otherwise an error that lists
    /// those that are not.
    pub(crate) fn verdict(&self, asked: &[String]) -> Result<String> {
        let bad: Vec<String> = self.cases.values().filter(|case| !case.is_good()).map(Behavior::describe).collect();
        let counts = self.counts();
        ensure!(bad.is_empty(), "{} of {counts} not as they should be:\n  {}", bad.len(), bad.join("\n  "));
        ensure!(self.cases.len() == asked.len(), "only {counts} of {} are reported", asked.len());
        Ok(counts)
    }

    fn counts(&self) -> String {
        let mut by_behavior: BTreeMap<&str, usize> = BTreeMap::new();
        for case in self.cases.values() {
            *by_behavior.entry(case.worse()).or_default() += 1;
        }
        let counts: Vec<String> = by_behavior.iter().map(|(word, count)| format!("{count} {word}")).collect();
        format!("{} cases ({})", self.cases.len(), counts.join(", "))
    }
}

impl Behavior {
    fn is_good(&self) -> bool {
        match self.worse() {
            "OK" => true,
            "INFORMATIONAL" => MAY_BE_INFORMATIONAL.contains(&self.id.as_str()),
            _ => false,
        }
    }

    /// Returns the first of the two results that is not OK.
    fn worse(&self) -> &str {
        let both = [self.message.as_str(), self.close.as_str()];
        both.into_iter()
            .find(|word| !matches!(*word, "OK" | "INFORMATIONAL"))
            .or_else(|| both.into_iter().find(|word| *word != "OK"))
            .unwrap_or("OK")
    }

    fn describe(&self) -> String {
        format!("{}: messages {}, closing {}", self.id, self.message, self.close)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(cases: &[(&str, &str, &str)]) -> Report {
        let cases: serde_json::Map<String, Value> = cases
            .iter()
            .map(|(id, message, close)| {
                ((*id).to_owned(), serde_json::json!({ "behavior": message, "behaviorClose": close }))
            })
            .collect();
        Report::parse(&serde_json::json!({ "ropeway": cases }).to_string()).unwrap()
    }

    /// The verdict if exactly the reported cases were asked for.
    fn verdict(report: &Report) -> Result<String> {
        report.verdict(&vec![String::new(); report.cases.len()])
    }

    #[test]
    fn only_the_three_open_cases_may_be_informational() {
        let good = report(&[("1.1.1", "OK", "OK"), ("7.1.6", "INFORMATIONAL", "INFORMATIONAL")]);
        assert_eq!(verdict(&good).unwrap(), "2 cases (1 INFORMATIONAL, 1 OK)");
        let bad = report(&[("1.1.1", "OK", "INFORMATIONAL")]);
        assert!(verdict(&bad).unwrap_err().to_string().contains("1.1.1: messages OK, closing INFORMATIONAL"));
    }

    #[test]
    fn every_other_behaviour_is_bad_and_listed_in_the_order_of_the_suite() {
        let cases = [("6.10.1", "OK", "UNCLEAN"), ("6.4.1", "NON-STRICT", "OK"), ("7.1.6", "INFORMATIONAL", "FAILED")];
        let error = verdict(&report(&cases)).unwrap_err().to_string();
        let listed: Vec<&str> = error.lines().skip(1).map(|line| line.trim().split(':').next().unwrap()).collect();
        assert_eq!(listed, ["6.4.1", "6.10.1", "7.1.6"]);
    }

    #[test]
    fn a_run_that_lost_cases_is_no_pass() {
        let asked = ["1.1.1".to_owned(), "1.1.2".to_owned()];
        let mut report = report(&[("1.1.1", "OK", "OK")]);
        assert!(report.verdict(&asked).unwrap_err().to_string().contains("only 1 cases (1 OK) of 2"));
        report.add(self::report(&[("1.1.2", "OK", "OK")]));
        assert!(report.verdict(&asked).is_ok());
    }
}
