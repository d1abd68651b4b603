//! What a benchmark measured.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;

use super::workload::Kind;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was carried out.
    Right,
    /// It was carried out, and the key was absent.
    Missing,
    /// It brought a value that nobody set.
    Wrong,
    /// It failed; the kind of the error.
    Failed(&'static str),
}

/// The figures of one kind of request, or of all.
#[derive(Clone)]
pub(crate) struct Figures {
    /// Requests that have ended, however they did.
    pub(crate) requests: u64,
    pub(crate) missing: u64,
    pub(crate) wrong: u64,
    /// By kind.
    pub(crate) errors: BTreeMap<&'static str, u64>,
    /// Latencies of the requests that did not fail, in nanoseconds, to 3 digits.
    pub(crate) latencies: Histogram<u64>,
}

impl Default for Figures {
    fn default() -> Figures {
        Figures {
            requests: 0,
            missing: 0,
            wrong: 0,
            errors: BTreeMap::new(),
            latencies: Histogram::new(3).expect("a histogram can have 3 digits"),
        }
    }
}

impl Figures {
    fn record(&mut self, latency: Duration, outcome: Outcome) {
        self.requests += 1;
        match outcome {
            Outcome::Right => {}
            Outcome::Missing => self.missing += 1,
            Outcome::Wrong => self.wrong += 1,
            Outcome::Failed(kind) => {
                *self.errors.entry(kind).or_default() += 1;
                return;
            }
        }
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.latencies.record(nanos).expect("a histogram that resizes takes any value");
    }

    fn add(&mut self, other: &Figures) {
        self.requests += other.requests;
        self.missing += other.missing;
        self.wrong += other.wrong;
        for (kind, count) in &other.errors {
            *self.errors.entry(kind).or_default() += count;
        }
        self.latencies.add(&other.latencies).expect("a histogram that resizes takes any value");
    }

    /// Requests that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// Takes measurements from many lanes: each thread has a part of its own.
pub(crate) struct Recorder {
    parts: Vec<Mutex<BTreeMap<&'static str, Figures>>>,
}

impl Recorder {
    /// Makes a recorder for so many threads.
    pub(crate) fn new(threads: usize) -> Recorder {
        Recorder { parts: (0..threads).map(|_| Mutex::default()).collect() }
    }

    /// Takes a measurement of a thread.
    pub(crate) fn record(&self, thread: usize, kind: Kind, latency: Duration, outcome: Outcome) {
        self.parts[thread].lock().entry(kind.name()).or_default().record(latency, outcome);
    }

    /// The figures of each kind that occurred, in the order of [`Kind::ALL`], and of all
    /// together.
    pub(crate) fn figures(&self) -> (Vec<(Kind, Figures)>, Figures) {
        let mut kinds = Vec::new();
        let mut all = Figures::default();
        for kind in Kind::ALL {
            let mut sum = Figures::default();
            for part in &self.parts {
                if let Some(figures) = part.lock().get(kind.name()) {
                    sum.add(figures);
                }
            }
            if sum.requests > 0 {
                all.add(&sum);
                kinds.push((kind, sum));
            }
        }
        (kinds, all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_added_up() {
        let recorder = Recorder::new(2);
        let ms = Duration::from_millis;
        for n in 1..=100 {
            recorder.record(n % 2, Kind::Get, ms(n as u64), Outcome::Right);
        }
        recorder.record(0, Kind::Get, ms(1), Outcome::Missing);
        recorder.record(1, Kind::Get, ms(1), Outcome::Wrong);
        recorder.record(0, Kind::Set, ms(10_000), Outcome::Failed("retry"));
        recorder.record(1, Kind::Set, ms(10_000), Outcome::Failed("retry"));
        let (kinds, all) = recorder.figures();
        assert_eq!(kinds.iter().map(|(kind, _)| kind.name()).collect::<Vec<_>>(), ["get", "set"]);
        let get = &kinds[0].1;
        assert_eq!((get.requests, get.missing, get.wrong, get.failed()), (102, 1, 1, 0));
        let p50 = get.latencies.value_at_quantile(0.5) as f64 / 1e6;
        assert!((48.0..51.0).contains(&p50), "{p50}");
        assert_eq!((all.requests, all.failed(), all.errors["retry"]), (104, 2, 2));
        assert!(all.latencies.max() < 200_000_000, "what failed has no latency");
    }
}
