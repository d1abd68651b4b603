//! Values that were read lately.
//!
//! A value is known by its place on disk, which is never written twice: nothing has to be taken
//! out when a key changes. Readers share the locks of the cache among themselves; neither writers
//! nor merges take them.

use std::cell::Cell;

use bytes::Bytes;
use quick_cache::Weighter;

use super::location::Location;

/// Bytes that an entry takes beside its value, about.
const ENTRY_BYTES: u64 = 80;

/// Values above this part of the cache are not kept.
const LARGE_PART: u64 = 32;

/// One in so many values that were read from disk is kept.
const INSERT_EVERY: u32 = 4;

#[derive(Clone, Debug)]
struct Weigh;

impl Weighter<Location, Bytes> for Weigh {
    fn weight(&self, _: &Location, value: &Bytes) -> u64 {
        value.len() as u64 + ENTRY_BYTES
    }
}

/// A cache of values; of none if its size is 0.
#[derive(Debug)]
pub(super) struct Cache {
    values: Option<quick_cache::sync::Cache<Location, Bytes, Weigh>>,
    value_bytes_max: u64,
}

impl Cache {
    pub(super) fn new(bytes: u64) -> Cache {
        let items = (bytes / (ENTRY_BYTES + 256)) as usize;
        let values = (bytes > 0)
            .then(|| quick_cache::sync::Cache::with_weighter(items.max(1), bytes, Weigh));
        Cache { values, value_bytes_max: bytes / LARGE_PART }
    }

    pub(super) fn get(&self, location: Location) -> Option<Bytes> {
        self.values.as_ref()?.get(&location)
    }

    /// Keeps one in [`INSERT_EVERY`] of the values that were read from disk: what is read often
    /// gets in soon, and the rest costs nothing.
    pub(super) fn insert(&self, location: Location, value: &Bytes) {
        thread_local! {
            static READS: Cell<u32> = const { Cell::new(0) };
        }
        let reads = READS.get();
        READS.set(reads.wrapping_add(1));
        if let Some(values) = &self.values
            && reads.is_multiple_of(INSERT_EVERY)
            && value.len() as u64 <= self.value_bytes_max
        {
            values.insert(location, value.clone());
        }
    }
}
