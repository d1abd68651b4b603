//! Values that were read lately.
//!
//! A value is known by its place on disk, which is never written twice: nothing has to be taken
//! out when a key changes. Readers share the locks of the cache among themselves; neither writers
//! nor merges take them.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quick_cache::Weighter;

use super::location::Location;

/// Bytes that an entry takes beside its value, about.
const ENTRY_BYTES: u64 = 80;

/// Values above this part of the cache are not kept.
const LARGE_PART: u64 = 32;

/// Of a full cache: one in so many values that were read from disk is kept.
const INSERT_EVERY: u32 = 4;

/// Values up to this size are copied out of the cache, in bytes: that costs less than to fetch the
/// count of who shares them, which lies elsewhere in memory.
const COPY_BYTES_MAX: usize = 256;

/// A value in the cache; a clone of it is what a reader gets.
#[derive(Debug)]
struct Kept(Bytes);

impl Kept {
    fn new(value: &Bytes) -> Kept {
        Kept(match value.len() {
            0..=COPY_BYTES_MAX => Bytes::copy_from_slice(value),
            _ => value.clone(),
        })
    }
}

impl Clone for Kept {
    fn clone(&self) -> Kept {
        Kept::new(&self.0)
    }
}

#[derive(Clone, Debug)]
struct Weigh;

impl Weighter<Location, Kept> for Weigh {
    fn weight(&self, _: &Location, value: &Kept) -> u64 {
        value.0.len() as u64 + ENTRY_BYTES
    }
}

/// A cache of values; of none if its size is 0.
#[derive(Debug)]
pub(super) struct Cache {
    values: Option<quick_cache::sync::Cache<Location, Kept, Weigh>>,
    value_bytes_max: u64,
    bytes_max: u64,
    /// Bytes of all values that were ever put in: below `bytes_max` there is room.
    filled: AtomicU64,
}

impl Cache {
    pub(super) fn new(bytes: u64) -> Cache {
        let items = (bytes / (ENTRY_BYTES + 256)) as usize;
        let values = (bytes > 0)
            .then(|| quick_cache::sync::Cache::with_weighter(items.max(1), bytes, Weigh));
        let filled = AtomicU64::new(0);
        Cache { values, value_bytes_max: bytes / LARGE_PART, bytes_max: bytes, filled }
    }

    pub(super) fn get(&self, location: Location) -> Option<Bytes> {
        self.values.as_ref()?.get(&location).map(|kept| kept.0)
    }

    /// Keeps a value that was read from disk while there is room, and one in [`INSERT_EVERY`] after
    /// that: what is read often gets in soon, and the rest pushes little out and costs little.
    pub(super) fn insert(&self, location: Location, value: &Bytes) {
        let Some(values) = &self.values else { return };
        let is_full = self.filled.load(Ordering::Relaxed) >= self.bytes_max;
        if value.len() as u64 > self.value_bytes_max || (is_full && !one_in(INSERT_EVERY)) {
            return;
        }
        let kept = Kept::new(value);
        if !is_full {
            self.filled.fetch_add(Weigh.weight(&location, &kept), Ordering::Relaxed);
        }
        values.insert(location, kept);
    }
}

/// Whether this is one of every so many calls on this thread.
fn one_in(every: u32) -> bool {
    thread_local! {
        static CALLS: Cell<u32> = const { Cell::new(0) };
    }
    let calls = CALLS.get();
    CALLS.set(calls.wrapping_add(1));
    calls.is_multiple_of(every)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn at(offset: u32) -> Location {
        Location { segment: NonZeroU32::MIN, offset, value_len: 100 }
    }

    #[test]
    fn a_cache_with_room_keeps_all_and_a_full_one_stays_within_its_size() {
        let cache = Cache::new(1 << 20);
        let value = Bytes::from(vec![7; 100]);
        (0..1_000).for_each(|offset| cache.insert(at(offset), &value));
        assert!((0..1_000).all(|offset| cache.get(at(offset)).as_ref() == Some(&value)));
        (1_000..100_000).for_each(|offset| cache.insert(at(offset), &value));
        let values = cache.values.as_ref().expect("its size is not 0");
        assert!(values.weight() <= 1 << 20, "{}", values.weight());
    }

    #[test]
    fn large_values_and_a_cache_of_no_size_keep_nothing() {
        let cache = Cache::new(1 << 20);
        cache.insert(at(0), &Bytes::from(vec![0; 1 << 16]));
        assert_eq!(cache.get(at(0)), None);
        let none = Cache::new(0);
        none.insert(at(0), &Bytes::from_static(b"value"));
        assert_eq!(none.get(at(0)), None);
    }
}
