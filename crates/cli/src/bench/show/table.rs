//! The result as a table for people.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::buckets::Bucket;
use super::draw::draw;
use super::report::{Quantiles, Report};
use crate::bench::units::{bytes, count, duration, percent, whole};
use crate::style::{ERROR, FAINT};

const STRONG: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();

/// The result for a terminal of this width, with styles.
pub(crate) fn show(report: &Report, buckets: &[Bucket], width: usize) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = head(&mut text, report);
    let _ = figures(&mut text, report);
    if let Some(latency) = &report.latency_us {
        let _ = writeln!(text);
        let _ = percentiles(&mut text, if report.mode == "idle" { "opening" } else { "latency" }, latency, STRONG);
        if let Some(late) = &report.sent_late_us {
            let _ = row_of(&mut text, "sent late", late, FAINT);
        }
        let _ = writeln!(text);
        for line in draw(buckets, &latency.marks(), width) {
            let _ = writeln!(text, "{line}");
        }
    }
    let _ = errors(&mut text, report, width);
    text
}

fn head(text: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(text, "{STRONG}{} {}{STRONG:#}", report.mode, report.url)?;
    writeln!(text, "{FAINT}{}{FAINT:#}\n", settings(report).join(", "))
}

/// The settings, in words.
pub(crate) fn settings(report: &Report) -> Vec<String> {
    let (settings, connections) = (&report.settings, &report.connections);
    let mut words = Vec::new();
    words.extend(connections.asked.map(|asked| format!("{} connections", whole(asked))));
    words.extend(settings.hear_at.as_ref().map(|url| format!("heard at {url}")));
    words.extend(settings.parallel.map(|parallel| format!("{} at a time", whole(parallel as u64))));
    words.extend(settings.window.map(|window| format!("{window} in flight")));
    words.extend(report.rate_per_s.asked.map(|rate| format!("{}/s asked for", count(rate))));
    words.extend(
        settings.size_bytes.map(|size| format!("{} bytes {}", whole(size as u64), settings.payload.unwrap_or(""))),
    );
    if settings.deflate != "off" {
        words.push(match connections.compressed {
            0 => "compression refused".to_owned(),
            n if n == connections.opened => "compressed".to_owned(),
            n => format!("{} of {} compressed", whole(n), whole(connections.opened)),
        });
    }
    words.push(if settings.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", settings.threads) });
    if report.elapsed_s > 0.0 {
        words.push(how_long(report));
    }
    if report.interrupted {
        words.push("interrupted".to_owned());
    }
    words
}

fn how_long(report: &Report) -> String {
    let warmup = report.settings.warmup_s.filter(|warmup| *warmup > 0.0);
    let warmup = warmup.map(|warmup| format!(" after {} of warm-up", duration(warmup * 1e9)));
    format!("{}{}", duration(report.elapsed_s * 1e9), warmup.unwrap_or_default())
}

/// A row of the table: a name, a number, and its unit with further remarks.
type Row = (&'static str, String, String);

fn figures(text: &mut String, report: &Report) -> std::fmt::Result {
    let rows = rows(report);
    let value_width = rows.iter().map(|(_, value, _)| value.chars().count()).max().unwrap_or(0);
    for (name, value, note) in rows {
        let style = match name {
            "rate" => STRONG,
            "drops" | "errors" | "lost" if value != "0" => ERROR,
            "drops" | "errors" | "lost" => GOOD,
            _ => Style::new(),
        };
        let line = format!("  {FAINT}{name:<11}{FAINT:#}{style}{value:>value_width$}{style:#}");
        if note.is_empty() { writeln!(text, "{line}")? } else { writeln!(text, "{line}  {FAINT}{note}{FAINT:#}")? }
    }
    Ok(())
}

fn rows(report: &Report) -> Vec<Row> {
    let (connections, rate) = (&report.connections, &report.rate_per_s);
    let is_idle = report.counted == "connections";
    let mut rows: Vec<Row> = Vec::new();
    if let Some(asked) = connections.asked {
        let mut note = Vec::new();
        if connections.opened != asked {
            note.push(format!("of {}", whole(asked)));
        }
        note.extend(connections.opening_s.map(|time| format!("in {}", duration(time * 1e9))));
        rows.push(("opened", whole(connections.opened), note.join(" ")));
    }
    rows.push((if is_idle { "held" } else { report.counted }, whole(report.count), String::new()));
    let asked = rate.asked.map(|asked| format!(", {} of {} asked for", percent(rate.achieved / asked), count(asked)));
    let what = if is_idle { " opened" } else { "" };
    rows.push(("rate", count(rate.achieved.round()), format!("/s{what}{}", asked.unwrap_or_default())));
    if let Some(rate) = report.payload_bytes_per_s.filter(|rate| *rate > 0.0) {
        let (value, unit) = split(&bytes(rate));
        let way = if report.counted == "messages" { " each way" } else { "" };
        rows.push(("payload", value, format!("{unit}/s{way}")));
    }
    if let Some(memory) = &report.server_memory {
        let (value, unit) = split(&bytes(memory.before_bytes as f64));
        rows.push(("server", value, format!("{unit} resident before")));
        let mut each = |name, each: Option<f64>, all: u64, when| {
            let all = bytes(all as f64);
            rows.push(match each {
                Some(each) => (name, count(each.round()), format!("B a connection {when}, {all} in all")),
                None => (
                    name,
                    "?".to_owned(),
                    format!("no more than before {when}: the server reused memory that it had; measure one that was just started"),
                ),
            });
        };
        each("  open", memory.per_connection_open_bytes, memory.open_bytes, "opened");
        if let Some(all) = memory.used_bytes {
            each("  used", memory.per_connection_used_bytes, all, "after one message each");
        }
    }
    if is_idle || connections.dropped > 0 {
        rows.push(("lost", whole(connections.dropped), String::new()));
    }
    if !is_idle || report.drops > 0 {
        rows.push(("drops", whole(report.drops), String::new()));
    }
    rows.push(("errors", whole(report.errors.total), String::new()));
    rows
}

/// A value and its unit.
fn split(text: &str) -> (String, String) {
    let (value, unit) = text.split_once(' ').unwrap_or((text, ""));
    (value.to_owned(), unit.to_owned())
}

const COLUMN: usize = 9;

fn percentiles(text: &mut String, name: &str, quantiles: &Quantiles, style: Style) -> std::fmt::Result {
    write!(text, "  {FAINT}{:<11}", "")?;
    for column in ["mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"] {
        write!(text, "{column:>COLUMN$}")?;
    }
    writeln!(text, "{FAINT:#}")?;
    row_of(text, name, quantiles, style)
}

fn row_of(text: &mut String, name: &str, quantiles: &Quantiles, style: Style) -> std::fmt::Result {
    write!(text, "  {FAINT}{name:<11}{FAINT:#}{style}")?;
    write!(text, "{:>COLUMN$}", duration(quantiles.mean * 1e3))?;
    for (_, value) in quantiles.marks() {
        write!(text, "{:>COLUMN$}", duration(value))?;
    }
    writeln!(text, "{style:#}")
}

fn errors(text: &mut String, report: &Report, width: usize) -> std::fmt::Result {
    if report.errors.total == 0 {
        return Ok(());
    }
    writeln!(text)?;
    let most = report.errors.kinds.iter().map(|kind| whole(kind.count).len()).max().unwrap_or(0);
    for kind in &report.errors.kinds {
        writeln!(text, "  {ERROR}{:>most$}{ERROR:#}  {}", whole(kind.count), kind.kind)?;
        for line in wrapped(&kind.first, width.saturating_sub(4 + most).max(30)) {
            writeln!(text, "  {:most$}  {FAINT}{line}{FAINT:#}", "")?;
        }
    }
    Ok(())
}

/// Breaks the text between words into lines of at most `width`.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is always a line");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrapped("the server closed it", 10), ["the server", "closed it"]);
        assert_eq!(wrapped("a-word-that-is-too-long b", 5), ["a-word-that-is-too-long", "b"]);
    }
}
