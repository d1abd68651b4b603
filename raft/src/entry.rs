//! Entries of the raft log, and batches of them that are shared instead of copied.
//!
//! A leader hands the same entries to its disk, to every follower and to the state machine. Here
//! that is one allocation for a batch: [`Entries`] is a view (a range) of a reference-counted
//! batch, and cloning it costs one increment, however many entries it shows.
//!
//! Invariant: the entries of a batch have consecutive indexes.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::confchange::Change;
use crate::types::{EntryId, Index, Term};

/// The most entries one batch may hold; longer runs are several batches.
pub const BATCH_ENTRIES_MAX: usize = u16::MAX as usize;

/// What an entry costs beside its payload, in bytes, when sizes are limited.
pub(crate) const ENTRY_OVERHEAD_BYTES: u64 = 16;

/// One entry of the raft log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The term in which a leader created the entry.
    pub term: Term,
    /// The entry's position.
    pub index: Index,
    /// What it says.
    pub payload: Payload,
}

/// What an entry says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Payload {
    /// A command for the state machine. Empty is the no-op that a new leader appends (section 8).
    Normal(Bytes),
    /// A change of the membership, carried out when the entry is applied.
    Change(Arc<Change>),
}

/// A shared view of consecutive entries.
///
/// An empty view owns nothing. The view knows whether it may contain a membership change, so that
/// looking for one in a long log touches no entries.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Entry>", into = "Vec<Entry>")]
pub struct Entries {
    batch: Option<Arc<Batch>>,
    /// Where the view begins in the batch.
    start: u32,
    /// How many entries it shows.
    len: u16,
    /// Whether the batch (not only the view) has a membership change.
    has_change: bool,
}

/// What is shared. Under light load most batches are a single entry, which then needs no vector.
#[derive(Debug)]
enum Batch {
    One([Entry; 1]),
    Many(Vec<Entry>),
}

impl Batch {
    fn as_slice(&self) -> &[Entry] {
        match self {
            Batch::One(entry) => entry,
            Batch::Many(entries) => entries,
        }
    }
}

impl Entry {
    /// Returns the entry's name.
    pub fn id(&self) -> EntryId {
        EntryId { term: self.term, index: self.index }
    }

    fn is_change(&self) -> bool {
        matches!(self.payload, Payload::Change(_))
    }

    /// Returns what the entry costs against a size limit, in bytes.
    pub fn size_bytes(&self) -> u64 {
        ENTRY_OVERHEAD_BYTES + self.payload.len_bytes()
    }
}

impl Payload {
    /// The entry with which a leader opens its term.
    pub const NOOP: Payload = Payload::Normal(Bytes::new());

    /// Returns the length of a command in bytes. A membership change counts as nothing, so that no
    /// quota can refuse the change that ends a joint configuration.
    pub fn len_bytes(&self) -> u64 {
        match self {
            Payload::Normal(data) => data.len() as u64,
            Payload::Change(_) => 0,
        }
    }
}

impl Entries {
    /// Makes a batch of entries with consecutive indexes.
    ///
    /// # Panics
    /// If there are more than [`BATCH_ENTRIES_MAX`].
    pub fn new(mut entries: Vec<Entry>) -> Entries {
        match entries.len() {
            0 => Entries::default(),
            1 => entries.pop().map_or(Entries::default(), Entries::one),
            count => {
                let len = u16::try_from(count).expect("a batch holds at most BATCH_ENTRIES_MAX");
                let has_change = entries.iter().any(Entry::is_change);
                let batch = Some(Arc::new(Batch::Many(entries)));
                Entries { batch, start: 0, len, has_change }
            }
        }
    }

    /// Makes a batch of one entry.
    pub(crate) fn one(entry: Entry) -> Entries {
        let has_change = entry.is_change();
        Entries { batch: Some(Arc::new(Batch::One([entry]))), start: 0, len: 1, has_change }
    }

    /// Returns the entries of the view.
    #[inline]
    pub fn as_slice(&self) -> &[Entry] {
        match &self.batch {
            Some(batch) => {
                let start = self.start as usize;
                &batch.as_slice()[start..start + self.len as usize]
            }
            None => &[],
        }
    }

    /// Returns how many entries the view shows.
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Returns whether the view shows nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the first entry's index, or zero for an empty view.
    #[inline]
    pub fn first_index(&self) -> Index {
        self.as_slice().first().map_or(Index(0), |entry| entry.index)
    }

    /// Returns the last entry's name, or zeroes for an empty view.
    #[inline]
    pub fn last_id(&self) -> EntryId {
        self.as_slice().last().map_or(EntryId::default(), Entry::id)
    }

    /// Returns whether the view has a membership change.
    pub fn has_change(&self) -> bool {
        self.has_change && self.as_slice().iter().any(Entry::is_change)
    }

    /// Returns a view of the same batch, from `lo` up to but without `hi`, both cut to this view.
    #[must_use]
    pub fn between(&self, lo: Index, hi: Index) -> Entries {
        let first = self.first_index();
        let end = first.plus(self.len() as u64);
        if lo <= first && hi >= end {
            return self.clone();
        }
        let lo = lo.clamp(first, end);
        let hi = hi.clamp(lo, end);
        self.cut((lo.0 - first.0) as usize, (hi.0 - lo.0) as usize)
    }

    /// Returns the longest prefix of at most `max_bytes`, but at least one entry if there is one.
    #[must_use]
    pub fn limited(&self, max_bytes: u64) -> Entries {
        match prefix_within(self.as_slice(), max_bytes) {
            count if count == self.len() => self.clone(),
            count => self.cut(0, count),
        }
    }

    /// Does the same with a view that is not needed any more.
    pub(crate) fn into_limited(self, max_bytes: u64) -> Entries {
        match prefix_within(self.as_slice(), max_bytes) {
            count if count == self.len() => self,
            count => self.cut(0, count),
        }
    }

    /// Returns the size of the view against a limit, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.as_slice().iter().map(Entry::size_bytes).sum()
    }

    /// Returns whether indexes are consecutive and terms never fall: what every real log has.
    pub fn is_well_formed(&self) -> bool {
        self.as_slice()
            .windows(2)
            .all(|pair| pair[0].index.next() == pair[1].index && pair[0].term <= pair[1].term)
            && self.last_id().index.0 < u64::MAX
    }

    /// Returns a view of `len` entries after the first `skip`, which must be there.
    pub(crate) fn cut(&self, skip: usize, len: usize) -> Entries {
        if len == 0 {
            return Entries::default();
        }
        Entries {
            batch: self.batch.clone(),
            start: self.start + skip as u32,
            len: len as u16,
            has_change: self.has_change,
        }
    }
}

/// Returns how many of the first entries fit into `max_bytes`; the first always does.
pub(crate) fn prefix_within(entries: &[Entry], max_bytes: u64) -> usize {
    if max_bytes == u64::MAX || entries.len() <= 1 {
        return entries.len();
    }
    let mut total = 0u64;
    for (count, entry) in entries.iter().enumerate() {
        total = total.saturating_add(entry.size_bytes());
        if count > 0 && total > max_bytes {
            return count;
        }
    }
    entries.len()
}

impl std::ops::Deref for Entries {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        self.as_slice()
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.as_slice().iter()
    }
}

impl From<Vec<Entry>> for Entries {
    /// Cuts what does not fit into one batch: a peer that sends more is answered as if it had sent
    /// the beginning, and sends the rest later.
    fn from(mut entries: Vec<Entry>) -> Entries {
        entries.truncate(BATCH_ENTRIES_MAX);
        Entries::new(entries)
    }
}

impl From<Entries> for Vec<Entry> {
    fn from(entries: Entries) -> Vec<Entry> {
        entries.as_slice().to_vec()
    }
}

impl PartialEq for Entries {
    fn eq(&self, other: &Entries) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Entries {}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}
