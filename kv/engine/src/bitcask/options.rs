//! What can be chosen about a bitcask.

use std::time::Duration;

use crate::{Error, Result};

/// What can be chosen about a bitcask. The defaults are for a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// A random number that tells this folder from others; it is stored when the folder is made.
    pub uid: u64,
    /// A new segment is begun when the newest one would grow beyond this, in bytes. 4 KiB to
    /// 2 GiB. A batch that is larger has a segment of its own.
    pub segment_bytes: u64,
    /// Disk space is taken in steps of this, in bytes, so that syncs need not write the size.
    pub allocate_bytes: u64,
    /// Space in the newest segment that only deletes may use, in bytes: they work on a full disk.
    pub reserve_bytes: u64,
    /// Most bytes in a group of batches that are written and synced together.
    pub group_bytes: usize,
    /// Size of the cache of values in bytes; 0 turns it off.
    pub cache_bytes: u64,
    /// A sealed segment is merged once this part of it is dead; 0 to 1.
    pub merge_ratio: f64,
    /// Most bytes that a merge reads between two looks at whether it should go on.
    pub merge_slice_bytes: usize,
    /// At the level `interval`, the longest time from a write to its sync, in milliseconds.
    pub sync_interval_ms: u64,
    /// Whether threads merge, write hints and sync in the background. If not, the owner calls
    /// [`Bitcask::merge_step`](super::Bitcask::merge_step) and
    /// [`Bitcask::sync_due`](super::Bitcask::sync_due).
    pub background: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            uid: 0,
            segment_bytes: 64 << 20,
            allocate_bytes: 16 << 20,
            reserve_bytes: 1 << 20,
            group_bytes: 4 << 20,
            cache_bytes: 64 << 20,
            merge_ratio: 0.5,
            merge_slice_bytes: 1 << 20,
            sync_interval_ms: 1000,
            background: true,
        }
    }
}

impl Options {
    /// How long a batch may wait before its sync is begun.
    pub(super) fn sync_delay(&self) -> Duration {
        Duration::from_millis(self.sync_interval_ms) / 2
    }

    /// Checks the limits.
    ///
    /// # Errors
    /// `Invalid`, with the limit that does not hold.
    pub fn validate(&self) -> Result<()> {
        let wrong = if !(4 << 10..=2 << 30).contains(&self.segment_bytes) {
            "segment_bytes is not between 4 KiB and 2 GiB"
        } else if self.allocate_bytes > self.segment_bytes {
            "allocate_bytes is above segment_bytes"
        } else if self.reserve_bytes > self.segment_bytes {
            "reserve_bytes is above segment_bytes"
        } else if self.group_bytes == 0 {
            "group_bytes is 0"
        } else if !(self.merge_ratio > 0.0 && self.merge_ratio <= 1.0) {
            "merge_ratio is not above 0 and at most 1"
        } else if self.merge_slice_bytes == 0 {
            "merge_slice_bytes is 0"
        } else if self.sync_interval_ms == 0 {
            "sync_interval_ms is 0"
        } else {
            return Ok(());
        };
        Err(Error::Invalid(format!("bitcask: {wrong}")))
    }
}
