//! The result of a run as plain data. `--json` prints it, [`super::table`] shows it.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::assertion::Metric;
use super::buckets::Bucket;
use crate::bench::measure::tally::Errors;

/// The result of a run. The names are stable: fields may be added, but not renamed or removed.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// `echo`, `fanout`, `connect` or `idle`.
    pub(crate) mode: &'static str,
    pub(crate) url: String,
    /// The version of ropeway that measured.
    pub(crate) version: &'static str,
    pub(crate) settings: Settings,
    pub(crate) connections: Connections,
    /// The unit of `count`: `messages` (answered), `deliveries`, `handshakes` or `connections`.
    pub(crate) counted: &'static str,
    /// The number of them within the measured time.
    pub(crate) count: u64,
    /// The measured time.
    pub(crate) elapsed_s: f64,
    pub(crate) rate_per_s: Rate,
    /// Payload bytes a second in each direction; for deliveries, only those received.
    pub(crate) payload_bytes_per_s: Option<f64>,
    /// Messages that were sent and never answered, or were published and not delivered.
    pub(crate) drops: u64,
    pub(crate) errors: ErrorCounts,
    /// From sending to the answer. At a rate, from the time when the message should have been sent. `null` if nothing
    /// was measured.
    pub(crate) latency_us: Option<Quantiles>,
    /// How late messages with a fixed time were sent. This is caused by this machine, and is part of the latency.
    pub(crate) sent_late_us: Option<Quantiles>,
    /// The server's memory, if `--pid` was given.
    pub(crate) server_memory: Option<Memory>,
    pub(crate) histogram: Vec<BucketUs>,
    /// Whether Ctrl-C ended it early.
    pub(crate) interrupted: bool,
    /// Each `--assert` with its result.
    pub(crate) assertions: Vec<Asserted>,
}

/// The settings. A setting that the mode does not have is `null`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Settings {
    pub(crate) threads: usize,
    pub(crate) size_bytes: Option<usize>,
    /// `text` or `binary`.
    pub(crate) payload: Option<&'static str>,
    /// Messages in flight on each connection; for `fanout`, messages that are not delivered yet.
    pub(crate) window: Option<u64>,
    /// For `fanout`: the URL of the subscribers, if it is not the publisher's.
    pub(crate) hear_at: Option<String>,
    /// Opening handshakes at the same time.
    pub(crate) parallel: Option<usize>,
    pub(crate) warmup_s: Option<f64>,
    /// The compression offered: `off`, `on` or `takeover`.
    pub(crate) deflate: &'static str,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Connections {
    /// The number that was asked for. `null` if the mode has no such option.
    pub(crate) asked: Option<u64>,
    pub(crate) opened: u64,
    /// The number that ended before this side closed them.
    pub(crate) dropped: u64,
    /// The number on which compression was agreed.
    pub(crate) compressed: u64,
    /// The time for opening them, if they were opened before measuring.
    pub(crate) opening_s: Option<f64>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Rate {
    /// The rate that was asked for. `null` for as much as possible.
    pub(crate) asked: Option<f64>,
    pub(crate) achieved: f64,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct ErrorCounts {
    pub(crate) total: u64,
    /// The most frequent first.
    pub(crate) kinds: Vec<ErrorKind>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ErrorKind {
    /// A stable name, such as `connect_refused`, `handshake_status_503` or `closed_1001`.
    pub(crate) kind: String,
    pub(crate) count: u64,
    /// The text of the first one.
    pub(crate) first: String,
}

/// Latencies in microseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) count: u64,
    pub(crate) min: f64,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    #[serde(rename = "p99.9")]
    pub(crate) p99_9: f64,
    #[serde(rename = "p99.99")]
    pub(crate) p99_99: f64,
    pub(crate) max: f64,
}

/// The resident memory of the server's process.
#[expect(clippy::struct_field_names, reason = "the names are those in the JSON, with their units")]
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) before_bytes: u64,
    /// With all connections open.
    pub(crate) open_bytes: u64,
    /// After one message on each connection. `null` if not all were answered.
    pub(crate) used_bytes: Option<u64>,
    /// `null` if the server has no more memory than before: it has reused memory that it had, and the share of the
    /// connections cannot be seen. The same holds below.
    pub(crate) per_connection_open_bytes: Option<f64>,
    pub(crate) per_connection_used_bytes: Option<f64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct BucketUs {
    pub(crate) from_us: f64,
    pub(crate) to_us: f64,
    pub(crate) count: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Asserted {
    pub(crate) assertion: String,
    pub(crate) holds: bool,
}

impl Quantiles {
    /// Summarizes values in nanoseconds. `None` if there are no values.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let us = |nanoseconds: u64| nanoseconds as f64 / 1e3;
        let at = |quantile| us(histogram.value_at_quantile(quantile));
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            min: us(histogram.min()),
            mean: (histogram.mean() / 1e3 * 1e3).round() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: us(histogram.max()),
        })
    }

    /// Names and values in nanoseconds, sorted.
    pub(crate) fn marks(&self) -> [(&'static str, f64); 6] {
        [
            ("p50", self.p50 * 1e3),
            ("p90", self.p90 * 1e3),
            ("p99", self.p99 * 1e3),
            ("p99.9", self.p99_9 * 1e3),
            ("p99.99", self.p99_99 * 1e3),
            ("max", self.max * 1e3),
        ]
    }
}

impl From<&Errors> for ErrorCounts {
    fn from(errors: &Errors) -> Self {
        let kinds = errors.by_frequency().into_iter();
        let kinds =
            kinds.map(|(kind, count, first)| ErrorKind { kind: kind.to_owned(), count, first: first.to_owned() });
        Self { total: errors.total(), kinds: kinds.collect() }
    }
}

impl From<&Bucket> for BucketUs {
    fn from(bucket: &Bucket) -> Self {
        Self { from_us: bucket.from / 1e3, to_us: bucket.to / 1e3, count: bucket.count }
    }
}

impl Report {
    /// The value that an assertion is compared with. Times are in nanoseconds.
    pub(crate) fn metric(&self, metric: Metric) -> Option<f64> {
        let latency = self.latency_us.as_ref();
        let time = |of: fn(&Quantiles) -> f64| latency.map(|latency| of(latency) * 1e3);
        match metric {
            Metric::P50 => time(|latency| latency.p50),
            Metric::P90 => time(|latency| latency.p90),
            Metric::P99 => time(|latency| latency.p99),
            Metric::P99_9 => time(|latency| latency.p99_9),
            Metric::P99_99 => time(|latency| latency.p99_99),
            Metric::Max => time(|latency| latency.max),
            Metric::Mean => time(|latency| latency.mean),
            Metric::Rate => Some(self.rate_per_s.achieved),
            Metric::Errors => Some(self.errors.total as f64),
            Metric::Drops => Some(self.drops as f64),
        }
    }
}
