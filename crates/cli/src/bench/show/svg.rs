//! The histogram as an SVG: one file without references to others, readable in light and dark mode.

use std::fmt::{self, Write as _};

use super::buckets::Bucket;
use super::report::Report;
use super::table::settings;
use crate::bench::units::{count, duration, percent, whole};

/// The size of the picture, and the place of the bars in it.
const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 848.0;
const TOP: f64 = 196.0;
const BOTTOM: f64 = 386.0;

/// The most characters in a line of the picture.
const LINE: usize = 104;

const STYLE: &str = "
  svg { --back: #ffffff; --ink: #18212c; --faint: #66727f; --grid: #e7eaee; --bar: #2f7ed8; --tail: #e8890c; --edge: #dfe3e8 }
  @media (prefers-color-scheme: dark) {
    svg { --back: #10151c; --ink: #e8edf3; --faint: #93a0ae; --grid: #232c37; --bar: #5aa2f0; --tail: #f2a63b; --edge: #2a3440 }
  }
  text { font-family: ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; font-size: 12px; fill: var(--faint) }
  .back { fill: var(--back); stroke: var(--edge) }
  .title { font-size: 17px; font-weight: 600; fill: var(--ink) }
  .figure { font-size: 19px; font-weight: 600; fill: var(--ink); font-variant-numeric: tabular-nums }
  .unit { font-size: 12px; font-weight: 400; fill: var(--faint) }
  .bar { fill: var(--bar) }
  .tail { fill: var(--tail) }
  .grid { stroke: var(--grid) }
  .axis { stroke: var(--faint) }
  .mark { stroke: var(--ink); stroke-dasharray: 2 3; stroke-opacity: 0.55 }
  .name { font-size: 11px; fill: var(--ink) }
  .middle { text-anchor: middle }
  .end { text-anchor: end }
";

/// The picture of a result.
pub(crate) fn picture(report: &Report, buckets: &[Bucket]) -> String {
    let mut svg = String::new();
    write(&mut svg, report, buckets).expect("writing to a string does not fail");
    svg
}

fn write(svg: &mut String, report: &Report, buckets: &[Bucket]) -> fmt::Result {
    let title = format!("ropeway bench {} {}", report.mode, report.url);
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">"#
    )?;
    writeln!(svg, "<title>{}</title>", escaped(&title))?;
    writeln!(svg, "<style>{STYLE}</style>")?;
    let (width, height) = (WIDTH - 1.0, HEIGHT - 1.0);
    writeln!(svg, r#"<rect class="back" x="0.5" y="0.5" width="{width}" height="{height}" rx="10"/>"#)?;
    text(svg, "title", 32.0, 42.0, &shortened(&title, LINE * 3 / 4))?;
    text(svg, "settings", 32.0, 64.0, &shortened(&settings(report).join(" · "), LINE))?;
    figures(svg, report)?;
    if let (Some(scale), Some(latency)) = (Scale::of(buckets), &report.latency_us) {
        grid(svg, &scale)?;
        bars(svg, &scale, buckets, latency.p99 * 1e3)?;
        marks(svg, &scale, &latency.marks())?;
    } else {
        text(svg, "middle", WIDTH / 2.0, TOP, "nothing was measured")?;
    }
    writeln!(svg, "</svg>")
}

fn figures(svg: &mut String, report: &Report) -> fmt::Result {
    let mut figures = vec![(report.counted.to_owned() + "/s", count(report.rate_per_s.achieved.round()))];
    if let Some(latency) = &report.latency_us {
        figures.extend(latency.marks().map(|(name, value)| (name.to_owned(), duration(value))));
    }
    figures.push(("drops".to_owned(), whole(report.drops)));
    figures.push(("errors".to_owned(), whole(report.errors.total)));
    // The rate is by far the longest figure, and a bare count the shortest.
    let mut x = 32.0;
    for (index, (name, figure)) in figures.iter().enumerate() {
        let (value, unit) = figure.split_once(' ').unwrap_or((figure, ""));
        let (value, unit, name) = (escaped(value), escaped(unit), escaped(name));
        write!(
            svg,
            r#"<text class="figure" x="{x:.0}" y="108">{value}<tspan class="unit" dx="3">{unit}</tspan></text>"#
        )?;
        writeln!(svg, r#"<text x="{x:.0}" y="126">{name}</text>"#)?;
        x += if index == 0 { 140.0 } else { 86.0 };
    }
    Ok(())
}

/// Maps latencies and counts to positions: latencies are logarithmic, counts linear.
struct Scale {
    from: f64,
    to: f64,
    most: u64,
    total: u64,
}

impl Scale {
    /// `None` without buckets.
    fn of(buckets: &[Bucket]) -> Option<Self> {
        let most = buckets.iter().map(|bucket| bucket.count).max()?;
        let total = buckets.iter().map(|bucket| bucket.count).sum();
        Some(Self { from: buckets.first()?.from, to: buckets.last()?.to, most, total })
    }

    fn x(&self, latency: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (latency.max(self.from) / self.from).ln() / (self.to / self.from).ln()
    }

    fn y(&self, count: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * count / self.most as f64
    }
}

/// Draws lines at round shares, and ticks at round latencies.
fn grid(svg: &mut String, scale: &Scale) -> fmt::Result {
    let step = round_step(scale.most as f64 / scale.total as f64 / 4.0);
    for share in (1..).map(|line| f64::from(line) * step) {
        let y = scale.y(share * scale.total as f64);
        if y < TOP {
            break;
        }
        writeln!(svg, r#"<line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{RIGHT}" y2="{y:.1}"/>"#)?;
        // The digits beyond the sixth are errors of floating point.
        let label = format!("{} %", (share * 100.0 * 1e6).round() / 1e6);
        text(svg, "end", LEFT - 8.0, y + 4.0, &label)?;
    }
    let mut free_from = f64::NEG_INFINITY;
    for latency in round_latencies(scale.from, scale.to) {
        let x = scale.x(latency);
        writeln!(svg, r#"<line class="axis" x1="{x:.1}" y1="{BOTTOM}" x2="{x:.1}" y2="{:.1}"/>"#, BOTTOM + 5.0)?;
        if x >= free_from {
            let label = duration(latency).replace(".00 ", " ").replace(".0 ", " ");
            text(svg, "middle", x, BOTTOM + 20.0, &label)?;
            free_from = x + 56.0;
        }
    }
    writeln!(svg, r#"<line class="axis" x1="{LEFT}" y1="{BOTTOM}" x2="{RIGHT}" y2="{BOTTOM}"/>"#)?;
    text(svg, "end", RIGHT, BOTTOM + 38.0, "latency, logarithmic")
}

/// Writes a line of text. All text of the picture is escaped here, or by [`escaped`] at the place where it is written.
fn text(svg: &mut String, class: &str, x: f64, y: f64, text: &str) -> fmt::Result {
    writeln!(svg, r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{}</text>"#, escaped(text))
}

/// Draws a bar for each bucket. Those of the slowest hundredth have another colour.
fn bars(svg: &mut String, scale: &Scale, buckets: &[Bucket], p99: f64) -> fmt::Result {
    for bucket in buckets.iter().filter(|bucket| bucket.count > 0) {
        let (left, right) = (scale.x(bucket.from), scale.x(bucket.to));
        // Even the smallest count should be visible.
        let height = (BOTTOM - scale.y(bucket.count as f64)).max(1.5);
        let class = if bucket.from > p99 { "tail" } else { "bar" };
        let width = (right - left - 1.0).max(0.5);
        write!(
            svg,
            r#"<rect class="{class}" x="{:.1}" y="{:.1}" width="{width:.1}" height="{height:.1}" rx="1">"#,
            left + 0.5,
            BOTTOM - height
        )?;
        let share = percent(bucket.count as f64 / scale.total as f64);
        let (from, to, count) = (duration(bucket.from), duration(bucket.to), whole(bucket.count));
        writeln!(svg, "<title>{}</title></rect>", escaped(&format!("{from} – {to}: {count}, {share}")))?;
    }
    Ok(())
}

/// Draws a line at each percentile, with its name above. If names would overlap, they are on separate lines.
fn marks(svg: &mut String, scale: &Scale, marks: &[(&str, f64)]) -> fmt::Result {
    const LINES: [f64; 3] = [TOP - 8.0, TOP - 22.0, TOP - 36.0];
    let mut taken = [f64::NEG_INFINITY; LINES.len()];
    for (name, latency) in marks {
        let x = scale.x(*latency);
        // Half the width of the name: a letter of this size takes about 6, with the gap.
        let half = name.len() as f64 * 3.2 + 3.0;
        let line = taken.iter().position(|end| x - half >= *end);
        let Some(line) = line else { continue };
        taken[line] = x + half;
        let y = LINES[line];
        writeln!(svg, r#"<line class="mark" x1="{x:.1}" y1="{:.1}" x2="{x:.1}" y2="{BOTTOM}"/>"#, y + 3.0)?;
        text(svg, "name middle", x, y, name)?;
    }
    Ok(())
}

/// Returns 1, 2 or 5 times a power of ten: the least that is not below `least`.
fn round_step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].map(|step| step * decade).into_iter().find(|step| *step >= least).unwrap_or(10.0 * decade)
}

/// Returns round latencies between two others, as many as can be told apart.
fn round_latencies(from: f64, to: f64) -> Vec<f64> {
    let decades = (to / from).log10();
    let steps: &[f64] = match decades {
        d if d < 0.6 => &[1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0],
        d if d < 4.0 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let all = (0..13).flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
    all.filter(|latency| *latency >= from * 0.999_999 && *latency <= to * 1.000_001).collect()
}

/// Escapes text between tags.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // XML cannot contain them (XML 1.0 section 2.2).
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use roxmltree::Document;

    use super::super::buckets;
    use super::super::report::Quantiles;
    use super::*;

    fn report(url: &str, latencies: &[u64]) -> (Report, Vec<Bucket>) {
        let mut histogram = Histogram::new(3).unwrap();
        for latency in latencies {
            histogram.record(*latency).unwrap();
        }
        let report = Report {
            mode: "echo",
            url: url.to_owned(),
            latency_us: Quantiles::of(&histogram),
            counted: "messages",
            ..Report::default()
        };
        (report, buckets::of(&histogram, 64))
    }

    fn attribute(node: roxmltree::Node<'_, '_>, name: &str) -> f64 {
        node.attribute(name).unwrap().parse().unwrap()
    }

    #[test]
    fn it_is_well_formed_whatever_is_in_the_url() {
        let (report, buckets) = report("ws://h/?a=1&b=<c>\"'\u{7}", &[1000]);
        let svg = picture(&report, &buckets);
        let document = Document::parse(&svg).unwrap_or_else(|error| panic!("{error}\n{svg}"));
        let title = document.descendants().find(|node| node.has_tag_name("title")).unwrap();
        assert_eq!(title.text(), Some("ropeway bench echo ws://h/?a=1&b=<c>\"'\u{fffd}"));
    }

    #[test]
    fn a_share_too_small_to_show_is_text_and_no_tag() {
        let latencies: Vec<u64> = std::iter::repeat_n(40_000, 20_000).chain([1_000_000]).collect();
        let (report, buckets) = report("ws://h/", &latencies);
        let svg = picture(&report, &buckets);
        let document = Document::parse(&svg).unwrap_or_else(|error| panic!("{error}\n{svg}"));
        let is_small = |node: &roxmltree::Node<'_, '_>| node.text().is_some_and(|text| text.ends_with("1, <0.01 %"));
        assert_eq!(document.descendants().filter(|node| node.is_text() && is_small(node)).count(), 1, "{svg}");
    }

    #[test]
    fn all_text_is_escaped_wherever_it_comes_from() {
        const ODD: &str = "<a & b>";
        let (mut report, buckets) = report(ODD, &[1000, 2000]);
        report.mode = ODD;
        report.counted = ODD;
        report.settings.size_bytes = Some(1);
        report.settings.payload = Some(ODD);
        let svg = picture(&report, &buckets);
        let document = Document::parse(&svg).unwrap_or_else(|error| panic!("{error}\n{svg}"));
        let mut marked = String::new();
        text(&mut marked, "name", 0.0, 0.0, ODD).unwrap();
        assert!(Document::parse(&marked).is_ok(), "{marked}");
        let odd = document.descendants().filter(|node| node.is_text() && node.text().unwrap().contains(ODD)).count();
        // Four texts contain it: the document's title, the line at the top, the line of the settings, and the unit of
        // the rate.
        assert_eq!(odd, 4, "{svg}");
    }

    #[test]
    fn each_bucket_is_a_bar_inside_the_picture_and_as_high_as_its_count() {
        let latencies: Vec<u64> = (0..1000).map(|n| 50_000 + n * n / 7).chain([20_000_000]).collect();
        let (report, buckets) = report("ws://h/", &latencies);
        let svg = picture(&report, &buckets);
        let document = Document::parse(&svg).unwrap();
        let is_bar = |node: &roxmltree::Node<'_, '_>| matches!(node.attribute("class"), Some("bar" | "tail"));
        let bars: Vec<_> = document.descendants().filter(is_bar).collect();
        let filled: Vec<_> = buckets.iter().filter(|bucket| bucket.count > 0).collect();
        assert_eq!(bars.len(), filled.len());
        let most = filled.iter().map(|bucket| bucket.count).max().unwrap() as f64;
        for (bar, bucket) in bars.iter().zip(filled) {
            let (x, y) = (attribute(*bar, "x"), attribute(*bar, "y"));
            let (width, height) = (attribute(*bar, "width"), attribute(*bar, "height"));
            assert!(x >= LEFT && x + width <= RIGHT && y >= TOP - 0.1 && y + height <= BOTTOM + 0.1, "{bar:?}");
            let expected = ((BOTTOM - TOP) * bucket.count as f64 / most).max(1.5);
            assert!((height - expected).abs() < 0.1, "{height} for {bucket:?}");
        }
    }

    #[test]
    fn nothing_measured_is_said_so() {
        let (report, buckets) = report("ws://h/", &[]);
        let svg = picture(&report, &buckets);
        assert!(Document::parse(&svg).is_ok() && svg.contains("nothing was measured"));
    }

    #[test]
    fn steps_and_ticks_are_round() {
        let steps = [0.011, 0.03, 0.05, 0.07].map(|least| percent(round_step(least)));
        assert_eq!(steps, ["2.00 %", "5.00 %", "5.00 %", "10.0 %"]);
        assert_eq!(round_latencies(40e3, 3e6), [50e3, 100e3, 200e3, 500e3, 1e6, 2e6]);
    }
}
