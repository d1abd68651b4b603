//! The end of the log, in memory: what is not yet durable or not yet applied.
//!
//! ```text
//!   storage ............|first                                last|
//!                        [batch][batch][  batch  ][ open           ]
//!                         shared, sealed             growing
//! ```
//!
//! Proposals are pushed to the open batch. Taking output seals it: from then on disk, followers and
//! state machine share it. Invariants: batches are not empty and join without gaps; the open batch
//! follows them.

use std::collections::VecDeque;

use crate::entry::{BATCH_ENTRIES_MAX, Entries, Entry};
use crate::types::{EntryId, Index, Term};

/// A batch and where it stands: to look for an index touches no entries.
#[derive(Clone, Debug)]
struct Sealed {
    first: Index,
    /// The index after the last entry.
    end: Index,
    entries: Entries,
}

/// The entries from `first` to the end of the log.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail {
    /// The index of the first entry, or where it would stand.
    first: Index,
    batches: VecDeque<Sealed>,
    open: Vec<Entry>,
    /// The index after the last sealed entry.
    sealed_end: Index,
}

impl Tail {
    pub(super) fn new(first: Index) -> Tail {
        Tail { first, sealed_end: first, ..Tail::default() }
    }

    /// Returns the index of the first entry here, or where it would stand.
    pub(super) fn first(&self) -> Index {
        self.first
    }

    /// Adds an entry at the end.
    pub(super) fn push(&mut self, entry: Entry) {
        if self.open.len() == BATCH_ENTRIES_MAX {
            self.seal();
        }
        self.open.push(entry);
    }

    /// Makes room for entries that are about to be pushed.
    pub(super) fn reserve(&mut self, count: usize) {
        match self.open.is_empty() {
            true => self.open.reserve_exact(count),
            // Exactly would copy all again with each call between two outputs.
            false => self.open.reserve(count),
        }
    }

    /// Adds a shared batch at the end.
    pub(super) fn push_batch(&mut self, entries: Entries) {
        self.seal();
        self.push_sealed(entries);
    }

    fn push_sealed(&mut self, entries: Entries) {
        let first = self.sealed_end;
        self.sealed_end = first.plus(entries.len() as u64);
        self.batches.push_back(Sealed { first, end: self.sealed_end, entries });
    }

    /// Makes the open batch a shared one.
    pub(super) fn seal(&mut self) {
        let entries = match self.open.len() {
            0 => return,
            // The buffer serves the next entry too.
            1 => self.open.pop().map_or(Entries::default(), Entries::one),
            _ => Entries::new(std::mem::take(&mut self.open)),
        };
        self.push_sealed(entries);
    }

    /// Cuts the log off before `from`.
    pub(super) fn truncate_from(&mut self, from: Index) {
        self.seal();
        while let Some(batch) = self.batches.back_mut()
            && batch.end > from
        {
            if batch.first >= from {
                self.batches.pop_back();
                continue;
            }
            batch.end = from;
            batch.entries = batch.entries.cut(0, (from.0 - batch.first.0) as usize);
        }
        self.first = self.first.min(from);
        self.sealed_end = self.sealed_end.min(from);
    }

    /// Forgets whole batches up to `up_to`. A batch is kept while any of its entries is needed.
    pub(super) fn forget_to(&mut self, up_to: Index) {
        while let Some(end) = self.batches.front().map(|batch| batch.end)
            && end <= up_to.next()
        {
            self.first = end;
            self.batches.pop_front();
        }
    }

    /// Frees what is empty.
    pub(super) fn release_buffers(&mut self) {
        if self.batches.is_empty() {
            self.batches = VecDeque::new();
        }
        if self.open.is_empty() {
            self.open = Vec::new();
        }
    }

    /// Returns the entry at `index`, if it is here.
    pub(super) fn get(&self, index: Index) -> Option<&Entry> {
        if index < self.first {
            return None;
        }
        if index >= self.sealed_end {
            return self.open.get((index.0 - self.sealed_end.0) as usize);
        }
        let batch = self.batch_of(index);
        batch.entries.get((index.0 - batch.first.0) as usize)
    }

    /// Returns the term of the entry at `index`, if it is here.
    pub(super) fn term(&self, index: Index) -> Option<Term> {
        self.get(index).map(|entry| entry.term)
    }

    /// Returns the shared entries from `lo` up to `hi` that stand in one batch. Both bounds must be
    /// in the sealed part.
    #[inline]
    pub(super) fn run(&self, lo: Index, hi: Index) -> Entries {
        let batch = self.batch_of(lo);
        if lo == batch.first && hi >= batch.end {
            return batch.entries.clone();
        }
        let (skip, end) = (lo.0 - batch.first.0, hi.min(batch.end));
        batch.entries.cut(skip as usize, (end.0 - lo.0) as usize)
    }

    /// Returns the batch that holds `index`, which must be in the sealed part.
    #[inline]
    fn batch_of(&self, index: Index) -> &Sealed {
        match self.batches.back() {
            // Mostly the end is wanted.
            Some(batch) if batch.first <= index => batch,
            _ => &self.batches[self.batches.partition_point(|batch| batch.end <= index)],
        }
    }

    /// Returns the name of the last entry here.
    pub(super) fn last_id(&self) -> Option<EntryId> {
        let sealed = || self.batches.back().map(|batch| batch.entries.last_id());
        self.open.last().map(Entry::id).or_else(sealed)
    }
}
