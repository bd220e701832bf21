//! The histogram on a terminal.

use anstyle::{AnsiColor, Style};

use super::buckets::Bucket;
use crate::bench::units::{duration, percent, whole};
use crate::style::FAINT;

const BAR: Style = AnsiColor::Cyan.on_default();

/// The narrowest bars that are still useful.
const NARROWEST: usize = 8;

/// Returns one line for each bucket: its range, a bar, its count and share, and the percentiles that lie in it.
///
/// `marks` are sorted names and values in nanoseconds. No line is wider than `width`, unless that leaves no room for
/// bars.
pub(crate) fn draw(buckets: &[Bucket], marks: &[(&str, f64)], width: usize) -> Vec<String> {
    let total: u64 = buckets.iter().map(|bucket| bucket.count).sum();
    let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(0);
    let edges: Vec<(String, String)> =
        buckets.iter().map(|bucket| (duration(bucket.from), duration(bucket.to))).collect();
    let counts: Vec<String> = buckets.iter().map(|bucket| whole(bucket.count)).collect();
    let names: Vec<String> = buckets.iter().map(|bucket| marks_in(bucket, marks)).collect();
    let from_width = widest(edges.iter().map(|(from, _)| from));
    let to_width = widest(edges.iter().map(|(_, to)| to));
    let count_width = widest(&counts);
    let names_width = widest(&names);
    // Two columns before, three between the edges, two between columns, and seven for a share.
    let rest =
        2 + from_width + 3 + to_width + 2 + 2 + count_width + 2 + 7 + if names_width > 0 { 2 + names_width } else { 0 };
    let bar_width = width.saturating_sub(rest).max(NARROWEST);

    let line = |index: usize| {
        let (from, to) = &edges[index];
        let count = buckets[index].count;
        let (share, full) = (count as f64 / total.max(1) as f64, count as f64 / most.max(1) as f64);
        let range = format!("  {FAINT}{from:>from_width$} – {to:>to_width$}{FAINT:#}");
        if count == 0 {
            return range;
        }
        let bar = bar(full, bar_width);
        let padding = " ".repeat(bar_width - bar.chars().count());
        let (count, share) = (&counts[index], percent(share));
        let line = format!("{range}  {BAR}{bar}{BAR:#}{padding}  {count:>count_width$}  {FAINT}{share:>7}{FAINT:#}");
        if names[index].is_empty() { line } else { format!("{line}  {}", names[index]) }
    };
    (0..buckets.len()).map(line).collect()
}

/// The names of the percentiles that lie in a bucket.
fn marks_in(bucket: &Bucket, marks: &[(&str, f64)]) -> String {
    let names: Vec<&str> = marks
        .iter()
        .filter(|(_, value)| (bucket.from..bucket.to).contains(&value.max(1.0)))
        .map(|(name, _)| *name)
        .collect();
    names.join(" ")
}

/// A bar that fills the share `full` of the width, in eighths of a character. A share above 0 is always visible.
fn bar(full: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if full <= 0.0 {
        return String::new();
    }
    #[expect(clippy::cast_sign_loss, reason = "a width is small, and full is not below 0")]
    let eighths = ((full * (width * 8) as f64).round() as usize).max(1);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

fn widest<'a>(texts: impl IntoIterator<Item = &'a String>) -> usize {
    texts.into_iter().map(|text| text.chars().count()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::super::buckets::from_counts;
    use super::*;

    fn drawn(values: &[(u64, u64)], marks: &[(&str, f64)], width: usize) -> Vec<String> {
        draw(&from_counts(values, 20), marks, width).iter().map(|line| strip_str(line).to_string()).collect()
    }

    #[test]
    fn columns_are_aligned_and_bars_as_long_as_their_counts() {
        let lines =
            drawn(&[(800_000, 2_500), (1_000_000, 10_000), (1_300_000, 1)], &[("p50", 1e6), ("max", 1.3e6)], 60);
        assert_eq!(
            lines,
            [
                "   800 µs –  850 µs  ████▎               2,500   20.0 %",
                "   850 µs –  900 µs",
                "   900 µs –  950 µs",
                "   950 µs – 1.00 ms",
                "  1.00 ms – 1.06 ms  █████████████████  10,000   80.0 %  p50",
                "  1.06 ms – 1.12 ms",
                "  1.12 ms – 1.18 ms",
                "  1.18 ms – 1.25 ms",
                "  1.25 ms – 1.32 ms  ▏                       1  <0.01 %  max",
            ]
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let values = [(1_000, 1_234_567), (63_000, 1), (40_000_000, 123)];
        let marks = [("p50", 1_000.0), ("p90", 1_000.0), ("p99", 1_000.0), ("max", 4e7)];
        for width in [72, 73, 80, 110] {
            let lines = drawn(&values, &marks, width);
            let widths: Vec<usize> = lines.iter().map(|line| line.chars().count()).collect();
            assert!(widths.iter().all(|line| *line <= width), "{width}: {lines:#?}");
        }
    }

    #[test]
    fn nothing_measured_is_nothing_drawn() {
        assert!(drawn(&[], &[("p50", 0.0)], 80).is_empty());
    }

    #[test]
    fn a_bar_is_seen_however_little_it_stands_for() {
        assert_eq!(bar(0.0, 10), "");
        assert_eq!(bar(1e-9, 10), "▏");
        assert_eq!(bar(0.5, 10), "█████");
        assert_eq!(bar(1.0, 10), "██████████");
    }
}
