//! Which key a request is about.

use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;
use rand::RngExt;
use rand::rngs::SmallRng;
use rand_distr::{Distribution as _, Zipf};

/// How strongly `zipfian` and `latest` prefer few keys: that of YCSB.
const ZIPF_EXPONENT: f64 = 0.99;

/// How keys are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Distribution {
    /// Each key equally often
    Uniform,
    /// Few keys, spread over the key space, much more often than others (exponent 0.99)
    Zipfian,
    /// One after the other, round and round
    Sequential,
    /// Sets add new keys; the others prefer the newest
    Latest,
}

/// Chooses keys by their number; `0..count` exist from the beginning.
pub(crate) struct Keys {
    distribution: Distribution,
    /// Keys that exist or are being added.
    count: AtomicU64,
    /// The next key in sequence.
    turn: AtomicU64,
    zipf: Zipf<f64>,
}

impl Keys {
    /// Chooses among `count` keys, at least 1.
    pub(crate) fn new(distribution: Distribution, count: u64) -> Keys {
        let zipf = Zipf::new(count as f64, ZIPF_EXPONENT);
        Keys {
            distribution,
            count: AtomicU64::new(count),
            turn: AtomicU64::new(0),
            zipf: zipf.expect("there is at least one key, and the exponent is positive"),
        }
    }

    /// The key to read or to remove.
    pub(crate) fn existing(&self, rng: &mut SmallRng) -> u64 {
        let count = self.count.load(Ordering::Relaxed);
        match self.distribution {
            Distribution::Uniform => rng.random_range(0..count),
            Distribution::Sequential => self.turn.fetch_add(1, Ordering::Relaxed) % count,
            Distribution::Zipfian => spread(self.rank(rng)) % count,
            Distribution::Latest => count - 1 - self.rank(rng),
        }
    }

    /// The key to set.
    pub(crate) fn to_set(&self, rng: &mut SmallRng) -> u64 {
        match self.distribution {
            Distribution::Latest => self.count.fetch_add(1, Ordering::Relaxed),
            _ => self.existing(rng),
        }
    }

    /// A small number mostly, below the count of keys in the beginning.
    fn rank(&self, rng: &mut SmallRng) -> u64 {
        self.zipf.sample(rng) as u64 - 1
    }
}

/// Spreads numbers over all of `u64`, always in the same way (the finaliser of splitmix64).
pub(super) fn spread(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::SeedableRng;

    use super::*;

    const COUNT: u64 = 1000;

    /// How often each key was chosen in 100,000 reads.
    fn reads(distribution: Distribution) -> BTreeMap<u64, u32> {
        let keys = Keys::new(distribution, COUNT);
        let mut rng = SmallRng::seed_from_u64(1);
        let mut reads = BTreeMap::new();
        for _ in 0..100_000 {
            *reads.entry(keys.existing(&mut rng)).or_default() += 1;
        }
        assert!(reads.keys().all(|key| *key < COUNT));
        reads
    }

    #[test]
    fn uniform_and_sequential_read_every_key_alike() {
        let uniform = reads(Distribution::Uniform);
        assert_eq!(uniform.len(), 1000);
        assert!(uniform.values().all(|count| (50..200).contains(count)));
        assert!(reads(Distribution::Sequential).values().all(|count| *count == 100));
    }

    #[test]
    fn zipfian_prefers_few_keys_that_are_not_neighbours() {
        let reads = reads(Distribution::Zipfian);
        let mut hottest: Vec<(u32, u64)> = reads.iter().map(|(key, n)| (*n, *key)).collect();
        hottest.sort_unstable_by(|a, b| b.cmp(a));
        // With the exponent 0.99 the first of 1000 has 1/7.7 of all.
        assert!((11_000..15_000).contains(&hottest[0].0), "{hottest:?}");
        assert!(hottest[0].1.abs_diff(hottest[1].1) > 1);
    }

    #[test]
    fn latest_reads_what_was_set_last() {
        let keys = Keys::new(Distribution::Latest, COUNT);
        let mut rng = SmallRng::seed_from_u64(1);
        assert_eq!((keys.to_set(&mut rng), keys.to_set(&mut rng)), (COUNT, COUNT + 1));
        let newest = (0..1000).filter(|_| keys.existing(&mut rng) == COUNT + 1).count();
        assert!((80..200).contains(&newest), "{newest} of 1000");
    }
}
