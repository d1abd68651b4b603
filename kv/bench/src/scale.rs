//! How large the bench is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Sizes and times of one run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Scale {
    /// Keys of the data set.
    pub keys: u64,
    /// Writes of a fill in which each write is synced.
    pub synced_keys: u64,
    /// How long a question without a natural end runs.
    pub duration: Duration,
    /// Bytes that an engine may cache, but for the question that is about a small cache.
    pub cache_bytes: usize,
    /// How often everything runs; the figures are medians.
    pub rounds: u32,
}

impl Scale {
    /// A few minutes in all.
    pub fn short() -> Scale {
        Scale {
            keys: 100_000,
            synced_keys: 2_000,
            duration: Duration::from_millis(500),
            cache_bytes: 256 << 20,
            rounds: 1,
        }
    }

    /// Hours: a million keys, five rounds.
    pub fn full() -> Scale {
        Scale {
            keys: 1_000_000,
            synced_keys: 10_000,
            duration: Duration::from_secs(3),
            cache_bytes: 256 << 20,
            rounds: 5,
        }
    }
}
