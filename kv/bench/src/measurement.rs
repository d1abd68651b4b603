//! What one run of one question found.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::level::Level;

/// One figure of one backend.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// Which question it answers: the name of a table.
    pub question: String,
    /// Which column of the table: a mix, a number of threads.
    pub variant: String,
    /// Of which backend.
    pub backend: String,
    /// At which level of durability; none where the question is of reads only.
    pub level: Option<Level>,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// In which round, from 0.
    pub round: u32,
    /// The figure.
    pub figure: f64,
    /// Its unit.
    pub unit: Unit,
    /// How long single operations took, where that was taken.
    pub latency: Option<Latency>,
}

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Operations a second: more is better.
    OpsPerSecond,
    /// Seconds: less is better.
    Seconds,
    /// Microseconds: less is better.
    Micros,
    /// Bytes: less is better.
    Bytes,
    /// Times the bytes of the user's keys and values: less is better.
    Times,
    /// Things that were lost: less is better.
    Count,
}

impl Unit {
    /// Whether a larger figure is a better one.
    pub fn more_is_better(self) -> bool {
        self == Unit::OpsPerSecond
    }
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Latency {
    /// The median.
    pub p50: f64,
    /// Of a hundred, the slowest.
    pub p99: f64,
    /// Of a thousand, the slowest.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

/// Times operations one by one.
#[derive(Debug)]
pub struct Recorder {
    histogram: Histogram<u64>,
    started: Instant,
    ops: u64,
}

impl Recorder {
    /// Starts the clock.
    pub fn start() -> Recorder {
        Recorder {
            // Nanoseconds up to a minute, to three digits.
            histogram: Histogram::new_with_bounds(1, 60_000_000_000, 3)
                .expect("the bounds are in range"),
            started: Instant::now(),
            ops: 0,
        }
    }

    /// Runs one operation that does `count` things.
    pub fn time<T>(&mut self, count: u64, operation: impl FnOnce() -> T) -> T {
        let before = Instant::now();
        let out = operation();
        self.histogram
            .saturating_record(u64::try_from(before.elapsed().as_nanos()).unwrap_or(u64::MAX));
        self.ops += count;
        out
    }

    /// How long it has run.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Adds what another thread recorded meanwhile.
    pub fn add(&mut self, other: &Recorder) {
        self.histogram.add(&other.histogram).expect("both have the same bounds");
        self.ops += other.ops;
    }

    /// Operations a second until now, and the percentiles.
    pub fn finish(&self) -> (f64, Latency) {
        let seconds = self.started.elapsed().as_secs_f64();
        let micros = |nanos: u64| nanos as f64 / 1_000.0;
        let latency = Latency {
            p50: micros(self.histogram.value_at_quantile(0.50)),
            p99: micros(self.histogram.value_at_quantile(0.99)),
            p999: micros(self.histogram.value_at_quantile(0.999)),
            max: micros(self.histogram.max()),
        };
        (self.ops as f64 / seconds, latency)
    }
}
