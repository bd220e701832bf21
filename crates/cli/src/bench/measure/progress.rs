//! The progress line of a run, on stderr if that is a terminal.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _, stderr};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use tokio::time::{MissedTickBehavior, interval};

use super::run::{Phase, Run};
use crate::bench::units::whole;
use crate::style::FAINT;

/// How often the line changes.
const TICK: Duration = Duration::from_millis(200);

/// The number of ticks in the small chart.
const CHART: usize = 16;

const CHART_COLOUR: Style = AnsiColor::Cyan.on_default();

/// The things that a run counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Messages,
    Deliveries,
    Handshakes,
    Connections,
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Deliveries => "deliveries",
            Self::Handshakes => "handshakes",
            Self::Connections => "connections",
        }
    }
}

pub(crate) struct Progress {
    unit: Unit,
    is_shown: bool,
    /// The number of answers in each of the last ticks.
    ticks: VecDeque<u64>,
    answered: u64,
}

impl Progress {
    pub(crate) fn new(unit: Unit) -> Self {
        Self { unit, is_shown: stderr().is_terminal(), ticks: VecDeque::new(), answered: 0 }
    }

    /// Shows the line until this future is dropped.
    pub(crate) async fn show(mut self, run: &Run) -> Infallible {
        if !self.is_shown {
            return std::future::pending().await;
        }
        let _clear = Clear;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let line = self.line(run);
            let width = crate::bench::width::of_stderr();
            // A line that is too long would continue on the next row, which is never erased.
            let mut stderr = anstream::stderr();
            // If the terminal is gone, the run goes on all the same.
            let _ = write!(stderr, "\r\x1b[K{}", cut(&line, width.saturating_sub(1)));
            let _ = stderr.flush();
        }
    }

    fn line(&mut self, run: &Run) -> String {
        let open = run.sum(|gauge| &gauge.open);
        let errors = run.sum(|gauge| &gauge.errors);
        let answered = run.sum(|gauge| &gauge.answered);
        if self.ticks.len() == CHART {
            self.ticks.pop_front();
        }
        self.ticks.push_back(answered - self.answered);
        self.answered = answered;

        let mut line = String::new();
        // Writing to a string cannot fail.
        let _ = match run.phase() {
            Phase::Opening => write!(line, "opening  {} open", whole(open)),
            Phase::Ending => write!(line, "closing  {} open", whole(open)),
            Phase::Running => {
                let rate = self.ticks.iter().rev().take(5).sum::<u64>() * 1000
                    / (TICK.as_millis() as u64 * self.ticks.len().min(5) as u64);
                let _ = write!(line, "{}", clock(run));
                match self.unit {
                    Unit::Connections => {}
                    unit => {
                        let chart = chart(&self.ticks);
                        let _ =
                            write!(line, "  {CHART_COLOUR}{chart}{CHART_COLOUR:#}  {} {}/s", whole(rate), unit.name());
                    }
                }
                write!(line, "  {FAINT}{} open{FAINT:#}", whole(open))
            }
        };
        if errors > 0 {
            let style = crate::style::ERROR;
            let _ = write!(line, "  {style}{} errors{style:#}", whole(errors));
        }
        line
    }
}

/// The time that was measured so far, and the whole time if it is known.
fn clock(run: &Run) -> String {
    let (now, from, until) = (run.now(), run.from(), run.until());
    let seconds = |nanoseconds: u64| nanoseconds / 1_000_000_000;
    if now < from {
        "warm-up".to_owned()
    } else if until == u64::MAX {
        format!("{} s", seconds(now - from))
    } else {
        format!("{}/{} s", seconds(now.min(until) - from), seconds(until - from + 500_000_000).max(1))
    }
}

/// A chart with a column for each number, as high as the number.
fn chart(values: &VecDeque<u64>) -> String {
    const COLUMNS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let columns = values.iter().map(|value| COLUMNS[(value * 7).div_ceil(most) as usize]);
    std::iter::repeat_n(' ', CHART - values.len()).chain(columns).collect()
}

/// The first `width` visible characters. Styles count as none.
fn cut(line: &str, width: usize) -> String {
    let (mut kept, mut shown, mut is_style) = (String::new(), 0, false);
    for c in line.chars() {
        is_style |= c == '\x1b';
        if is_style {
            is_style = c != 'm';
        } else {
            shown += 1;
            if shown > width {
                continue;
            }
        }
        kept.push(c);
    }
    kept
}

/// Erases the line.
pub(crate) fn clear() {
    if stderr().is_terminal() {
        let _ = write!(stderr(), "\r\x1b[K");
    }
}

struct Clear;

impl Drop for Clear {
    fn drop(&mut self) {
        clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_is_as_wide_from_the_start_and_as_high_as_the_most() {
        assert_eq!(chart(&[0, 1, 50, 100].into()), format!("{}▁▂▅█", " ".repeat(CHART - 4)));
        assert_eq!(chart(&[0].into()).chars().count(), CHART);
    }

    #[test]
    fn a_line_that_is_too_long_keeps_its_styles_whole() {
        assert_eq!(cut("ab\x1b[1mcdef\x1b[0m", 3), "ab\x1b[1mc\x1b[0m");
        assert_eq!(cut("ab", 3), "ab");
    }
}
