//! `--assert`: a condition on the result, such as `p99<5ms`.

use std::fmt;
use std::str::FromStr;

use crate::bench::units::{count, duration};

/// The grammar of an assertion.
const GRAMMAR: &str = "\
An assertion is a metric, one of < <= > >=, and a value:
  p50 p90 p99 p99.9 p99.99 max mean   a time with its unit, us, ms or s:   p99<5ms   max<=1.5s
  rate errors drops                   a number; the rate is per second:    rate>=50000   errors<1";

/// A figure that can be asserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    P50,
    P90,
    P99,
    P99_9,
    P99_99,
    Max,
    Mean,
    Rate,
    Errors,
    Drops,
}

use Metric::{Drops, Errors, Max, Mean, P50, P90, P99, P99_9, P99_99, Rate};

/// The metrics by name.
const METRICS: [(&str, Metric); 10] = [
    ("p50", P50),
    ("p90", P90),
    ("p99", P99),
    ("p99.9", P99_9),
    ("p99.99", P99_99),
    ("max", Max),
    ("mean", Mean),
    ("rate", Rate),
    ("errors", Errors),
    ("drops", Drops),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
}

/// A condition on the result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Assertion {
    /// The text as it was given.
    text: String,
    metric: Metric,
    comparison: Comparison,
    /// In nanoseconds, if the metric is a time.
    limit: f64,
}

impl Assertion {
    /// Returns an error unless the condition holds. `measured` returns times in nanoseconds, and `None` if nothing was
    /// measured; then no condition holds.
    pub(crate) fn check(&self, measured: impl Fn(Metric) -> Option<f64>) -> Result<(), Broken> {
        let value = measured(self.metric);
        let holds = value.is_some_and(|value| match self.comparison {
            Comparison::Less => value < self.limit,
            Comparison::AtMost => value <= self.limit,
            Comparison::More => value > self.limit,
            Comparison::AtLeast => value >= self.limit,
        });
        if holds { Ok(()) } else { Err(Broken { assertion: self.clone(), value }) }
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The text for an assertion that does not hold.
#[derive(Debug)]
pub(crate) struct Broken {
    assertion: Assertion,
    value: Option<f64>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not hold: ", self.assertion)?;
        let name = METRICS.iter().find(|(_, metric)| *metric == self.assertion.metric).map_or("", |(name, _)| name);
        match self.value {
            None => f.write_str("nothing was measured"),
            Some(value) if self.assertion.metric.is_time() => write!(f, "{name} is {}", duration(value)),
            Some(value) => write!(f, "{name} is {}", count(value)),
        }
    }
}

impl Metric {
    fn is_time(self) -> bool {
        !matches!(self, Rate | Errors | Drops)
    }
}

impl FromStr for Assertion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).map_err(|what| format!("the assertion {text:?} is not understood: {what}\n\n{GRAMMAR}"))
    }
}

fn parse(text: &str) -> Result<Assertion, String> {
    let operator = text.find(['<', '>']).ok_or("it compares nothing: no <, <=, > or >= is in it")?;
    let (name, rest) = text.split_at(operator);
    let (comparison, value) = match rest.as_bytes() {
        [b'<', b'=', ..] => (Comparison::AtMost, &rest[2..]),
        [b'>', b'=', ..] => (Comparison::AtLeast, &rest[2..]),
        [b'<', ..] => (Comparison::Less, &rest[1..]),
        _ => (Comparison::More, &rest[1..]),
    };
    let (name, value) = (name.trim(), value.trim());
    let metric = METRICS.iter().find(|(known, _)| *known == name).map(|(_, metric)| *metric);
    let metric = metric.ok_or_else(|| format!("there is no metric {name:?}"))?;
    let limit = if metric.is_time() { time(value) } else { number(value) }?;
    Ok(Assertion { text: text.trim().to_owned(), metric, comparison, limit })
}

/// Parses a time, in nanoseconds.
fn time(text: &str) -> Result<f64, String> {
    let unit = text.find(|c: char| c.is_alphabetic()).ok_or_else(|| format!("{text:?} has no unit"))?;
    let (value, unit) = text.split_at(unit);
    let nanoseconds = match unit {
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return Err(format!("{unit:?} is not a unit of time")),
    };
    Ok(number(value.trim_end())? * nanoseconds)
}

fn number(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err(format!("{text:?} is not a number to compare with")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Metric, Comparison, f64) {
        let assertion: Assertion = text.parse().unwrap_or_else(|error| panic!("{error}"));
        (assertion.metric, assertion.comparison, assertion.limit)
    }

    #[test]
    fn a_metric_a_comparison_and_a_value_are_an_assertion() {
        for (text, metric, comparison, limit) in [
            ("p50<80us", P50, Comparison::Less, 80e3),
            ("p90 <= 1.5 ms", P90, Comparison::AtMost, 1.5e6),
            ("p99<5ms", P99, Comparison::Less, 5e6),
            ("p99.9>10µs", P99_9, Comparison::More, 10e3),
            (" p99.99 >= 2s ", P99_99, Comparison::AtLeast, 2e9),
            ("max<0.25s", Max, Comparison::Less, 25e7),
            ("mean<=100us", Mean, Comparison::AtMost, 1e5),
            ("rate>=50000", Rate, Comparison::AtLeast, 50_000.0),
            ("rate>1e6", Rate, Comparison::More, 1e6),
            ("errors<1", Errors, Comparison::Less, 1.0),
            ("drops<=0", Drops, Comparison::AtMost, 0.0),
        ] {
            assert_eq!(parsed(text), (metric, comparison, limit), "{text}");
        }
    }

    #[test]
    fn a_faulty_assertion_is_quoted_and_the_grammar_shown() {
        for (text, named) in [
            ("", "compares nothing"),
            ("p99", "compares nothing"),
            ("p99=5ms", "compares nothing"),
            ("p95<5ms", "no metric \"p95\""),
            ("<5ms", "no metric \"\""),
            ("p99<5", "\"5\" has no unit"),
            ("p99<5min", "\"min\" is not a unit"),
            ("p99<ms", "\"\" is not a number"),
            ("p99<-5ms", "\"-5\" is not a number"),
            ("p99<>5ms", "\">5\" is not a number"),
            ("rate>5ms", "\"5ms\" is not a number"),
            ("rate>inf", "\"inf\" is not a number"),
            ("errors<nan", "\"nan\" is not a number"),
        ] {
            let error = text.parse::<Assertion>().unwrap_err();
            assert!(error.contains(named), "{text:?}: {error}");
            assert!(error.contains("rate>=50000") && error.contains("p99<5ms"), "{error}");
        }
    }

    #[test]
    fn each_comparison_is_strict_or_not_as_written() {
        for (text, at_4, at_5, at_6) in [
            ("drops<5", true, false, false),
            ("drops<=5", true, true, false),
            ("drops>5", false, false, true),
            ("drops>=5", false, true, true),
        ] {
            let assertion: Assertion = text.parse().unwrap();
            let holds = |value| assertion.check(|_| Some(value)).is_ok();
            assert_eq!((holds(4.0), holds(5.0), holds(6.0)), (at_4, at_5, at_6), "{text}");
        }
    }

    #[test]
    fn a_broken_assertion_says_the_measured_value() {
        let said = |text: &str, value| text.parse::<Assertion>().unwrap().check(|_| value).unwrap_err().to_string();
        assert_eq!(said("p99<5ms", Some(6.25e6)), "p99<5ms does not hold: p99 is 6.25 ms");
        assert_eq!(said("rate >= 50000", Some(1234.0)), "rate >= 50000 does not hold: rate is 1,234");
        assert_eq!(said("max>0s", None), "max>0s does not hold: nothing was measured");
    }
}
