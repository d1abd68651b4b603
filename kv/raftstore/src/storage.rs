//! What a raft group reads from the wal: [`PeerStorage`].
//!
//! Only what is durable is read here; the end of the log, as far as it is not durable or not
//! applied, is in the raft node's memory.

use std::cell::Cell;

use proto::peer::RegionId;
use raft::{
    BATCH_ENTRIES_MAX, Entries, EntryId, HardState, Index, InitialState, Membership, Snapshot,
    Storage, StorageError, Term,
};
use wal::{GroupId, WalReader};

use crate::entry::LogEntry;
use crate::format;

/// The log of one region in the wal.
#[derive(Debug)]
pub(crate) struct PeerStorage {
    reader: WalReader<LogEntry>,
    group: GroupId,
    /// The last entry that was cut off.
    pub(crate) truncated: EntryId,
    hard_state: HardState,
    membership: Membership,
    faulty: Vec<Index>,
    /// The terms of damaged entries are known, too.
    knows_terms: bool,
    /// What followers that are far behind are sent.
    pub(crate) snapshot: Option<Snapshot>,
    /// The node asked for a snapshot and there was none.
    wanted: Cell<bool>,
}

/// What a peer's log begins with.
#[derive(Debug, Default)]
pub(crate) struct Start {
    pub(crate) truncated: EntryId,
    pub(crate) hard_state: HardState,
    pub(crate) membership: Membership,
    pub(crate) faulty: Vec<Index>,
    /// The terms of damaged entries are known, too: nothing was given up as a whole.
    pub(crate) knows_terms: bool,
}

impl PeerStorage {
    pub(crate) fn new(reader: WalReader<LogEntry>, region: RegionId, start: Start) -> PeerStorage {
        PeerStorage {
            reader,
            group: format::group(region),
            truncated: start.truncated,
            hard_state: start.hard_state,
            membership: start.membership,
            faulty: start.faulty,
            knows_terms: start.knows_terms,
            snapshot: None,
            wanted: Cell::new(false),
        }
    }

    /// The damaged entries, ascending.
    pub(crate) fn damaged(&self) -> &[Index] {
        &self.faulty
    }

    /// Whether a snapshot was asked for since the last time.
    pub(crate) fn take_wanted(&mut self) -> bool {
        self.wanted.take()
    }

    /// Notes that entries from an index on are replaced by good ones.
    pub(crate) fn replaced_from(&mut self, first: Index) {
        self.faulty.retain(|faulty| *faulty < first);
    }

    /// Notes that damaged entries are replaced by good copies.
    pub(crate) fn repaired(&mut self, repaired: &[Index]) {
        self.faulty.retain(|faulty| !repaired.contains(faulty));
    }

    /// Notes that the log begins after an entry.
    pub(crate) fn truncated_to(&mut self, id: EntryId) {
        self.truncated = id;
        self.faulty.retain(|faulty| *faulty > id.index);
        if self.snapshot.as_ref().is_some_and(|snapshot| snapshot.last.index < id.index) {
            self.snapshot = None;
        }
    }

    fn check(&self, index: Index) -> Result<(), StorageError> {
        if index <= self.truncated.index {
            return Err(StorageError::Compacted { up_to: self.truncated.index });
        }
        match self.last_index() {
            last if index > last => Err(StorageError::Unavailable { last }),
            _ => Ok(()),
        }
    }
}

/// What the node makes of an error of the wal.
fn failed(error: wal::Error) -> StorageError {
    match error {
        wal::Error::Faulty { index, .. } | wal::Error::Entry { index, .. } => {
            StorageError::Faulty { index: Index(index) }
        }
        wal::Error::Compacted { first, .. } => {
            StorageError::Compacted { up_to: Index(first).prev() }
        }
        wal::Error::Unavailable { last, .. } => StorageError::Unavailable { last: Index(last) },
        _ => StorageError::Failed("the log cannot be read"),
    }
}

impl Storage for PeerStorage {
    fn initial_state(&self) -> Result<InitialState, StorageError> {
        Ok(InitialState {
            hard_state: self.hard_state,
            membership: self.membership.clone(),
            faulty: self.faulty.clone(),
        })
    }

    fn entries(&self, lo: Index, hi: Index, max_bytes: u64) -> Result<Entries, StorageError> {
        self.check(lo)?;
        let hi = hi.min(self.last_index().next()).min(lo.plus(BATCH_ENTRIES_MAX as u64));
        let read = |hi: Index| self.reader.fetch(self.group, lo.0..hi.0, max_bytes);
        let entries = match read(hi) {
            // What stands before the damaged entry can be had.
            Err(wal::Error::Faulty { index, .. } | wal::Error::Entry { index, .. })
                if index > lo.0 =>
            {
                read(Index(index))
            }
            other => other,
        };
        let entries = entries.map_err(failed)?;
        Ok(Entries::new(entries.into_iter().map(|entry| entry.0).collect()))
    }

    fn term(&self, index: Index) -> Result<Term, StorageError> {
        if index == self.truncated.index {
            return Ok(self.truncated.term);
        }
        self.check(index)?;
        if !self.knows_terms && self.faulty.contains(&index) {
            // What recovery gave up has only a guess for a term.
            return Err(StorageError::Faulty { index });
        }
        let term = self.reader.term(self.group, index.0);
        term.map(Term).ok_or(StorageError::Unavailable { last: self.last_index() })
    }

    fn first_index(&self) -> Index {
        self.truncated.index.next()
    }

    fn last_index(&self) -> Index {
        let last = self.reader.last_index(self.group).map_or(Index(0), Index);
        last.max(self.truncated.index)
    }

    fn snapshot(&self) -> Result<Snapshot, StorageError> {
        match &self.snapshot {
            Some(snapshot) if snapshot.last.index >= self.truncated.index => Ok(snapshot.clone()),
            _ => {
                self.wanted.set(true);
                Err(StorageError::SnapshotNotReady)
            }
        }
    }
}
