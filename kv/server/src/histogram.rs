//! A histogram whose buckets are powers of two, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets: values below 1, 2, 4, ... 2^31, and the rest.
const BUCKETS: usize = 33;

/// Counts values by their size.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: [const { AtomicU64::new(0) }; BUCKETS], sum: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts a value.
    pub(crate) fn observe(&self, value: u64) {
        let bits = (u64::BITS - value.leading_zeros()) as usize;
        self.counts[bits.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// The sum of all values, their number, and for each bucket its upper bound (inclusive) and
    /// its count.
    pub(crate) fn snapshot(&self) -> (u64, u64, Vec<(f64, u64)>) {
        let mut total = 0;
        let buckets = self.counts.iter().enumerate().map(|(bits, count)| {
            let count = count.load(Ordering::Relaxed);
            total += count;
            let bound = if bits == BUCKETS - 1 { f64::MAX } else { ((1_u64 << bits) - 1) as f64 };
            (bound, count)
        });
        let buckets = buckets.collect();
        (self.sum.load(Ordering::Relaxed), total, buckets)
    }
}

#[cfg(test)]
mod tests {
    use super::Histogram;

    #[test]
    fn values_fall_into_the_bucket_that_holds_them() {
        let histogram = Histogram::default();
        for value in [0, 1, 2, 3, 4, u64::MAX / 2] {
            histogram.observe(value);
        }
        let (_, total, buckets) = histogram.snapshot();
        assert_eq!(total, 6);
        assert_eq!(&buckets[..4], [(0.0, 1), (1.0, 1), (3.0, 2), (7.0, 1)]);
        assert_eq!(buckets.last(), Some(&(f64::MAX, 1)));
    }
}
