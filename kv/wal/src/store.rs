//! What readers and the writer of a log share.
//!
//! The index is locked only to look something up or to apply a block, never during disk work, so
//! that reads go on while a commit is synced.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::dir::{Dir, SegmentFile};
use crate::error::{Error, Result};
use crate::fs::DirLock;
use crate::group::Slot;
use crate::id::{GroupId, Lsn};
use crate::index::Index;
use crate::metrics::{Counters, Metrics};
use crate::options::Options;
use crate::pool::Pool;
use crate::recent::Recent;
use crate::sync::RwLock;

/// A log that is open.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) dir: Dir,
    pub(crate) options: Options,
    pub(crate) state: RwLock<State>,
    pub(crate) pool: Pool,
    pub(crate) counters: Counters,
    poisoned: AtomicBool,
    /// Held until the last user is gone.
    pub(crate) _lock: Box<dyn DirLock>,
}

/// What the blocks so far add up to.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) index: Index,
    /// The segments with blocks.
    pub(crate) segments: BTreeMap<u32, Segment>,
    pub(crate) recent: Recent,
    /// The last block that was written.
    pub(crate) written: Lsn,
    /// The last block that is durable.
    pub(crate) synced: Lsn,
    /// The lowest segment that was not purged.
    pub(crate) first_seq: u32,
}

/// A segment with blocks.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) file: SegmentFile,
    /// The length of its file when it was last looked at.
    pub(crate) bytes: u64,
}

impl Store {
    pub(crate) fn new(
        dir: Dir,
        options: Options,
        state: State,
        pool: Pool,
        lock: Box<dyn DirLock>,
    ) -> Store {
        Store {
            dir,
            options,
            state: RwLock::new(state),
            pool,
            counters: Counters::default(),
            poisoned: AtomicBool::new(false),
            _lock: lock,
        }
    }

    /// Fails once a write or sync has failed.
    pub(crate) fn check_alive(&self) -> Result<()> {
        if self.poisoned.load(Ordering::Acquire) { Err(Error::Poisoned) } else { Ok(()) }
    }

    /// Closes the log for good: what a failed write or sync left on the disk is not known.
    pub(crate) fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    /// Takes in what a read found; the next block notes it.
    pub(crate) fn found_damaged(&self, group: GroupId, index: u64, slot: Slot) {
        let known = self.state.read().index.damage_of(group, index, slot);
        if known.is_none() && !slot.is_faulty() {
            self.state.write().index.found(group, index, slot, true);
        }
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let state = self.state.read();
        let mut metrics = self.counters.copy();
        metrics.groups = state.index.groups().count() as u64;
        metrics.segments = state.segments.len() as u64;
        metrics.log_bytes = state.segments.values().map(|segment| segment.bytes).sum();
        metrics.live_bytes = state.segments.keys().map(|seq| state.index.usage().of(*seq)).sum();
        metrics.index_bytes = state.index.memory() as u64;
        metrics.pool_segments = self.pool.ready() as u64;
        metrics
    }
}
