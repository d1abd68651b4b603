//! A raft log in memory, for tests, simulation and benchmarks.
//!
//! It keeps the batches that it is given, so that storing an entry costs nothing for the entry.

use std::collections::{BTreeSet, VecDeque};

use super::{InitialState, Storage};
use crate::entry::{Entries, Entry};
use crate::error::StorageError;
use crate::membership::Membership;
use crate::message::Snapshot;
use crate::types::{EntryId, HardState, Index, Term};

/// A raft log in memory.
#[derive(Clone, Debug, Default)]
pub struct MemStorage {
    hard_state: HardState,
    membership: Membership,
    /// The last entry that is gone.
    compacted: EntryId,
    /// Entries from `compacted.index + 1` on. No batch is empty, and they join without gaps.
    batches: VecDeque<Entries>,
    /// The end of `batches`.
    last: Index,
    faulty: BTreeSet<Index>,
    snapshot: Snapshot,
}

impl MemStorage {
    /// Makes an empty log of a node that is not in any group yet.
    pub fn new() -> MemStorage {
        MemStorage::default()
    }

    /// Makes the empty log of a group's founding member.
    pub fn with_membership(membership: Membership) -> MemStorage {
        let snapshot = Snapshot { membership: membership.clone(), ..Snapshot::default() };
        MemStorage { membership, snapshot, ..MemStorage::default() }
    }

    /// Makes a log that begins with a snapshot.
    pub fn with_snapshot(snapshot: Snapshot) -> MemStorage {
        let mut storage = MemStorage::new();
        storage.install_snapshot(snapshot);
        storage
    }

    /// Stores the hard state.
    pub fn set_hard_state(&mut self, hard_state: HardState) {
        self.hard_state = hard_state;
    }

    /// Returns the stored hard state.
    pub fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// Stores the membership as of the applied index.
    pub fn set_membership(&mut self, membership: Membership) {
        self.membership = membership;
    }

    /// Appends entries. Whatever stood at or after their first index is cut off first: keeping a
    /// tail of an older term would resurrect entries that a leader has replaced.
    ///
    /// # Panics
    /// If the entries would leave a gap.
    pub fn append(&mut self, entries: &Entries) {
        let Some(first) = entries.first().map(|entry| entry.index) else { return };
        assert!(first <= self.last.next(), "entries from {first} leave a gap after {}", self.last);
        if first <= self.compacted.index {
            let rest = entries.between(self.compacted.index.next(), Index(u64::MAX));
            return self.append(&rest);
        }
        self.truncate_from(first);
        self.last = entries.last_id().index;
        self.batches.push_back(entries.clone());
    }

    /// Replaces damaged entries by good copies, where they stand.
    pub fn repair(&mut self, entry: &Entry) {
        self.faulty.remove(&entry.index);
        let (lo, last) = (entry.index, self.last);
        let mut entries: Vec<Entry> = self.all().collect();
        if let Some(slot) = entries.iter_mut().find(|slot| slot.index == lo) {
            *slot = entry.clone();
        }
        self.batches = VecDeque::from([Entries::new(entries)]);
        self.last = last;
    }

    /// Marks an entry as damaged, as a log would that finds a wrong checksum.
    pub fn damage(&mut self, index: Index) {
        if index > self.compacted.index && index <= self.last {
            self.faulty.insert(index);
        }
    }

    /// Cuts the log off before `first`.
    pub fn truncate_from(&mut self, first: Index) {
        while let Some(batch) = self.batches.back() {
            if batch.last_id().index < first {
                break;
            }
            let rest = batch.between(Index(0), first);
            self.batches.pop_back();
            if !rest.is_empty() {
                self.batches.push_back(rest);
            }
        }
        self.last = self.last.min(first.prev()).max(self.compacted.index);
        self.faulty.split_off(&first);
    }

    /// Forgets entries up to `up_to`, which must be applied. A later snapshot request is answered
    /// with what [`MemStorage::set_snapshot`] stored last.
    ///
    /// # Errors
    /// If the entry is gone already or not there yet.
    pub fn compact(&mut self, up_to: Index) -> Result<(), StorageError> {
        if up_to <= self.compacted.index {
            return Err(StorageError::Compacted { up_to: self.compacted.index });
        }
        let term = self.term(up_to)?;
        self.compacted = EntryId { term, index: up_to };
        while let Some(batch) = self.batches.front() {
            if batch.first_index() > up_to {
                break;
            }
            let rest = batch.between(up_to.next(), Index(u64::MAX));
            self.batches.pop_front();
            if !rest.is_empty() {
                self.batches.push_front(rest);
                break;
            }
        }
        self.faulty = self.faulty.split_off(&up_to.next());
        Ok(())
    }

    /// Stores the snapshot that followers are sent; the log stays.
    pub fn set_snapshot(&mut self, snapshot: Snapshot) {
        self.snapshot = snapshot;
    }

    /// Replaces everything by a snapshot.
    pub fn install_snapshot(&mut self, snapshot: Snapshot) {
        self.compacted = snapshot.last;
        self.last = snapshot.last.index;
        self.batches.clear();
        self.faulty.clear();
        self.membership = snapshot.membership.clone();
        self.snapshot = snapshot;
    }

    /// Returns all stored entries, damaged ones included.
    pub fn all(&self) -> impl Iterator<Item = Entry> + '_ {
        self.batches.iter().flat_map(|batch| batch.iter().cloned())
    }

    /// Returns the number of the batch that holds `index`.
    fn batch_of(&self, index: Index) -> usize {
        // Readers mostly want the end of the log.
        match self.batches.back() {
            Some(batch) if batch.first_index() <= index => self.batches.len() - 1,
            _ => self.batches.partition_point(|batch| batch.last_id().index < index),
        }
    }

    fn check(&self, index: Index) -> Result<(), StorageError> {
        if index <= self.compacted.index {
            return Err(StorageError::Compacted { up_to: self.compacted.index });
        }
        if index > self.last {
            return Err(StorageError::Unavailable { last: self.last });
        }
        Ok(())
    }
}

impl Storage for MemStorage {
    fn initial_state(&self) -> Result<InitialState, StorageError> {
        Ok(InitialState {
            hard_state: self.hard_state,
            membership: self.membership.clone(),
            faulty: self.faulty.iter().copied().collect(),
        })
    }

    fn entries(&self, lo: Index, hi: Index, max_bytes: u64) -> Result<Entries, StorageError> {
        self.check(lo)?;
        let hi = match self.faulty.range(lo..).next() {
            Some(faulty) if *faulty == lo => return Err(StorageError::Faulty { index: lo }),
            Some(faulty) => hi.min(*faulty),
            None => hi,
        };
        Ok(self.batches[self.batch_of(lo)].between(lo, hi).limited(max_bytes))
    }

    fn term(&self, index: Index) -> Result<Term, StorageError> {
        if index == self.compacted.index {
            return Ok(self.compacted.term);
        }
        self.check(index)?;
        if self.faulty.contains(&index) {
            return Err(StorageError::Faulty { index });
        }
        let batch = &self.batches[self.batch_of(index)];
        Ok(batch[(index.0 - batch.first_index().0) as usize].term)
    }

    fn first_index(&self) -> Index {
        self.compacted.index.next()
    }

    fn last_index(&self) -> Index {
        self.last
    }

    fn snapshot(&self) -> Result<Snapshot, StorageError> {
        if self.snapshot.last.index < self.compacted.index {
            return Err(StorageError::SnapshotNotReady);
        }
        Ok(self.snapshot.clone())
    }
}
