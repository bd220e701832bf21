//! Latencies in buckets, all of the same relative width, with round edges, and as many as there is room for.

use hdrhistogram::Histogram;

/// The most buckets of a histogram: on a terminal, and in a picture, which has more room.
pub(crate) const ROWS: usize = 20;
pub(crate) const BARS: usize = 64;

/// A range of latencies, and the number of values in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bucket {
    /// In nanoseconds.
    pub(crate) from: f64,
    /// In nanoseconds. The next bucket begins here.
    pub(crate) to: f64,
    pub(crate) count: u64,
}

/// The numbers of steps for each factor of ten that may be used, with the edges: the preferred numbers of ISO 3, and
/// 1-2-5.
const SERIES: [&[f64]; 6] = [
    &[
        1.0, 1.06, 1.12, 1.18, 1.25, 1.32, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0, 2.12, 2.24, 2.36, 2.5, 2.65, 2.8, 3.0,
        3.15, 3.35, 3.55, 3.75, 4.0, 4.25, 4.5, 4.75, 5.0, 5.3, 5.6, 6.0, 6.3, 6.7, 7.1, 7.5, 8.0, 8.5, 9.0, 9.5,
    ],
    &[1.0, 1.12, 1.25, 1.4, 1.6, 1.8, 2.0, 2.24, 2.5, 2.8, 3.15, 3.55, 4.0, 4.5, 5.0, 5.6, 6.3, 7.1, 8.0, 9.0],
    &[1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0],
    &[1.0, 1.6, 2.5, 4.0, 6.3],
    &[1.0, 2.0, 5.0],
    &[1.0],
];

/// Puts the latencies in at most `most` buckets, without empty ones at the ends. Returns none if there are no
/// latencies.
pub(crate) fn of(histogram: &Histogram<u64>, most: usize) -> Vec<Bucket> {
    let values: Vec<(u64, u64)> =
        histogram.iter_recorded().map(|value| (value.value_iterated_to(), value.count_at_value())).collect();
    from_counts(&values, most)
}

/// The same for sorted values, each with the number of its occurrences.
pub(crate) fn from_counts(values: &[(u64, u64)], most: usize) -> Vec<Bucket> {
    let (Some(&(least, _)), Some(&(greatest, _))) = (values.first(), values.last()) else { return Vec::new() };
    let edges = SERIES
        .iter()
        .map(|series| edges(series, least as f64, greatest as f64))
        .find(|edges| edges.len() <= most + 1)
        .unwrap_or_else(|| edges(&[1.0], least as f64, greatest as f64));
    let mut values = values.iter().peekable();
    let bucket = |edge: &[f64]| {
        let mut count = 0;
        while let Some((_, times)) = values.next_if(|(value, _)| (*value as f64) < edge[1]) {
            count += times;
        }
        Bucket { from: edge[0], to: edge[1], count }
    };
    edges.windows(2).map(bucket).collect()
}

/// The edges of buckets, from the last one at or below `least` to the first one above `greatest`.
fn edges(series: &[f64], least: f64, greatest: f64) -> Vec<f64> {
    // The clock cannot measure anything shorter.
    let (least, greatest) = (least.max(1.0), greatest.max(1.0));
    let all = (0..).flat_map(|decade| series.iter().map(move |step| step * 10_f64.powi(decade)));
    let mut edges = Vec::new();
    for edge in all {
        if edge <= least {
            edges.clear();
        }
        edges.push(edge);
        if edge > greatest {
            break;
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(from: f64, to: f64, count: u64) -> Bucket {
        Bucket { from, to, count }
    }

    #[test]
    fn every_latency_is_in_one_bucket_and_the_ends_are_not_empty() {
        let values = [(1_000, 3), (1_999, 1), (2_000, 5), (70_000, 1), (9_999_999, 2)];
        for most in [1, 4, 5, 13, 20, 40, 200] {
            let buckets = from_counts(&values, most);
            assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<u64>(), 12, "{most}");
            assert!(buckets[0].count > 0 && buckets.last().unwrap().count > 0, "{buckets:?}");
            assert!(buckets.windows(2).all(|two| two[0].to.to_bits() == two[1].from.to_bits()), "{buckets:?}");
            assert!(buckets.len() <= most.max(4), "{most}: {}", buckets.len());
        }
    }

    #[test]
    fn edges_are_round_and_as_fine_as_there_is_room() {
        assert_eq!(
            from_counts(&[(60_000, 1), (110_000, 2)], 4),
            [bucket(50e3, 63e3, 1), bucket(63e3, 80e3, 0), bucket(80e3, 100e3, 0), bucket(100e3, 125e3, 2)]
        );
        assert_eq!(from_counts(&[(60_000, 1), (110_000, 2)], 2), [bucket(50e3, 100e3, 1), bucket(100e3, 200e3, 2)]);
    }

    #[test]
    fn a_single_latency_and_none_are_no_special_cases() {
        assert_eq!(from_counts(&[(5_000, 7)], 20), [bucket(5000.0, 5300.0, 7)]);
        assert_eq!(from_counts(&[(0, 7)], 20), [bucket(1.0, 1.06, 7)]);
        assert_eq!(from_counts(&[], 20), []);
    }
}
