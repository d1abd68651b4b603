//! Counts live keys and bytes per column family.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::{Cf, CfStats};

/// Counters of one column family each.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    keys: [AtomicI64; Cf::ALL.len()],
    bytes: [AtomicI64; Cf::ALL.len()],
}

impl Usage {
    /// Adds to the counters of a column family.
    pub(crate) fn add(&self, cf: Cf, keys: i64, bytes: i64) {
        self.keys[cf.index()].fetch_add(keys, Ordering::Relaxed);
        self.bytes[cf.index()].fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts one change of a key: the size of its value before and after.
    pub(crate) fn change(&self, cf: Cf, key: usize, before: Option<usize>, after: Option<usize>) {
        let size = |value: Option<usize>| value.map_or(0, |bytes| (key + bytes) as i64);
        let keys = i64::from(after.is_some()) - i64::from(before.is_some());
        self.add(cf, keys, size(after) - size(before));
    }

    pub(crate) fn stats(&self) -> [CfStats; Cf::ALL.len()] {
        let load = |counter: &AtomicI64| counter.load(Ordering::Relaxed).max(0) as u64;
        std::array::from_fn(|i| CfStats { keys: load(&self.keys[i]), bytes: load(&self.bytes[i]) })
    }
}
