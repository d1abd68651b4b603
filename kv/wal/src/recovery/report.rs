//! What recovery found: [`RecoveryReport`].

use std::time::Duration;

use crate::id::{GroupId, Lsn};

/// An entry that was written and is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultyEntry {
    /// Its group.
    pub group: GroupId,
    /// Its index.
    pub index: u64,
    /// Its term; where several blocks were given up, that of the entry before.
    pub term: u64,
    /// Whether it was durable. Otherwise it may never have been acknowledged.
    pub durable: bool,
}

/// What recovery found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Segments with blocks.
    pub segments: usize,
    /// Of these, how many were read from their footer.
    pub sealed_segments: usize,
    /// Blocks that were kept.
    pub blocks: u64,
    /// The last block; everything up to it is durable now.
    pub last_lsn: Lsn,
    /// Blocks whose header or index was bad and came from the next block's mirror.
    pub repaired: Vec<Lsn>,
    /// The damaged entries that recovery knows, in order: those that it met, and those that an
    /// earlier run met and that are still damaged. Others are found by reads and by the scrubber.
    pub faulty: Vec<FaultyEntry>,
    /// How many damaged entries it met that nothing needs any more: they were replaced, compacted
    /// or removed.
    pub damaged_before: u64,
    /// The first block that was cut off, if any: it was torn by the crash.
    pub torn: Option<Lsn>,
    /// Whether the torn block was complete but for its entries, so that it may have been
    /// acknowledged just before the crash.
    pub torn_ambiguous: bool,
    /// Blocks that were given up by `repair`. Any group may have lost something: its votes are
    /// not to be trusted.
    pub given_up: Vec<(Lsn, Lsn)>,
    /// Segment headers that were bad in one place.
    pub bad_headers: Vec<u32>,
    /// How long recovery took; zero where there is no disk.
    pub took: Duration,
}

impl RecoveryReport {
    /// Whether the log is as it was before, but for an unfinished write at its end.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.repaired.is_empty()
            && self.faulty.is_empty()
            && self.given_up.is_empty()
            && self.bad_headers.is_empty()
            && !self.torn_ambiguous
    }
}
