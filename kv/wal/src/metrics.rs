//! Counters of a running log: [`Metrics`] is a copy of them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const BUCKETS: usize = 24;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a log has done since it was opened, and what it holds. Sizes are in bytes.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Metrics {
            $($(#[$doc])* pub $name: u64,)*
            /// How long the syncs of segment data took.
            pub sync_times: Durations,
            /// Groups that exist.
            pub groups: u64,
            /// Segments with blocks.
            pub segments: u64,
            /// The size of their files.
            pub log_bytes: u64,
            /// What is still needed of them.
            pub live_bytes: u64,
            /// Prepared segments that wait.
            pub pool_segments: u64,
            /// What the index takes in memory.
            pub index_bytes: u64,
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
            pub(crate) sync_times: [AtomicU64; BUCKETS],
        }

        impl Counters {
            pub(crate) fn copy(&self) -> Metrics {
                let mut sync_times = Durations::default();
                for (bucket, count) in sync_times.buckets.iter_mut().zip(&self.sync_times) {
                    *bucket = count.load(Relaxed);
                }
                Metrics { $($name: self.$name.load(Relaxed),)* sync_times, ..Metrics::default() }
            }
        }
    };
}

counters! {
    /// Batches that were written.
    batches,
    /// Blocks that were written: group commits.
    blocks,
    /// Bytes of these blocks.
    block_bytes,
    /// Bytes of entries in these blocks.
    payload_bytes,
    /// Syncs of segment data.
    syncs,
    /// Bytes of entries that `purge` wrote again.
    rewritten_bytes,
    /// Segments that were prepared by writing zeros.
    segments_made,
    /// Segments that were prepared from purged ones.
    segments_recycled,
    /// How often a full segment had to wait for the next one to be prepared.
    pool_waits,
    /// Footers that could not be written. Recovery of these segments takes longer.
    seal_errors,
    /// Entries that a read found damaged.
    faulty_reads,
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Relaxed);
}

/// How long something took, counted by powers of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// `buckets[n]` counts what took less than 2^n microseconds and at least half of that; the
    /// first also what took no time, the last all that took longer.
    pub buckets: [u64; BUCKETS],
}

impl Durations {
    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// So many of a hundred took less than this; zero if nothing was counted. The answer is the
    /// end of a bucket, and so up to twice too large.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Duration {
        let wanted = (self.count() * percent).div_ceil(100);
        let mut seen = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return Duration::from_micros(1 << at);
            }
        }
        Duration::ZERO
    }
}

/// The bucket of a duration.
fn bucket(time: Duration) -> usize {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    (u64::BITS - micros.leading_zeros()).min(BUCKETS as u32 - 1) as usize
}

impl Counters {
    /// Counts a sync.
    pub(crate) fn synced(&self, time: Duration) {
        count(&self.syncs, 1);
        count(&self.sync_times[bucket(time)], 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_by_powers_of_two() {
        let counters = Counters::default();
        for micros in [0, 1, 100, 100, 127, 128, 5000, u64::MAX] {
            counters.synced(Duration::from_micros(micros));
        }
        let times = counters.copy().sync_times;
        assert_eq!((times.buckets[0], times.buckets[1], times.buckets[7]), (1, 1, 3));
        assert_eq!((times.buckets[8], times.buckets[BUCKETS - 1], times.count()), (1, 1, 8));
        assert_eq!(times.percentile(50), Duration::from_micros(128));
        assert_eq!(times.percentile(100), Duration::from_micros(1 << (BUCKETS - 1)));
        assert_eq!(Durations::default().percentile(99), Duration::ZERO);
    }
}
