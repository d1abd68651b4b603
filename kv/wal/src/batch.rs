//! What a caller wants written at once: [`LogBatch`].

use std::marker::PhantomData;

use crate::entry::WalEntry;
use crate::error::{Error, Result};
use crate::id::GroupId;
use crate::record::{Item, Run, RunKind, Stored};

/// Operations on any number of groups that are written whole or not at all, in order.
#[derive(Clone, Debug)]
pub struct LogBatch<E> {
    ops: Ops,
    entry: PhantomData<fn(E)>,
}

/// A batch whose entries are already bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ops {
    pub(crate) items: Vec<Item>,
    /// The entries' bytes in the order of the items.
    pub(crate) payload: Vec<u8>,
}

impl<E> Default for LogBatch<E> {
    fn default() -> LogBatch<E> {
        LogBatch { ops: Ops::default(), entry: PhantomData }
    }
}

impl<E: WalEntry> LogBatch<E> {
    /// An empty batch.
    #[must_use]
    pub fn new() -> LogBatch<E> {
        LogBatch::default()
    }

    /// Appends entries to a group. If the group has entries from the first index on, these are
    /// gone: this is how raft replaces a conflicting suffix.
    ///
    /// # Errors
    /// [`Error::Gap`] if the entries do not follow each other.
    pub fn append(&mut self, group: GroupId, entries: &[E]) -> Result<()> {
        self.push_run(RunKind::Append, group, entries)
    }

    /// Puts back entries that were damaged: the group must have them, with the same terms. Unlike
    /// an append, this leaves what comes after them.
    ///
    /// # Errors
    /// [`Error::Gap`] if the entries do not follow each other.
    pub fn repair(&mut self, group: GroupId, entries: &[E]) -> Result<()> {
        self.push_run(RunKind::Rewrite, group, entries)
    }

    fn push_run(&mut self, kind: RunKind, group: GroupId, entries: &[E]) -> Result<()> {
        for entry in entries {
            let start = self.ops.payload.len();
            entry.encode(&mut self.ops.payload);
            let len = self.ops.payload.len() - start;
            self.ops.place(kind, group, (entry.index(), entry.term()), len)?;
        }
        Ok(())
    }

    /// Sets a key of a group, such as its hard state.
    pub fn put(&mut self, group: GroupId, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.ops.items.push(Item::Put { group, key: key.into(), value: value.into() });
    }

    /// Removes a key of a group.
    pub fn delete(&mut self, group: GroupId, key: impl Into<Vec<u8>>) {
        self.ops.items.push(Item::Delete { group, key: key.into() });
    }

    /// Removes a group's entries below index `to`, so that this is the first one left.
    pub fn compact_to(&mut self, group: GroupId, to: u64) {
        self.ops.items.push(Item::Compact { group, to });
    }

    /// Removes a group with all its entries and keys. It may be created again afterwards.
    pub fn clean(&mut self, group: GroupId) {
        self.ops.items.push(Item::Clean { group });
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.items.is_empty()
    }

    /// About how many bytes the batch will take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.ops.bytes_max()
    }

    pub(crate) fn into_ops(self) -> Ops {
        self.ops
    }
}

impl Ops {
    /// Adds the entry whose `len` bytes were just put at the end of the payload.
    fn place(
        &mut self,
        kind: RunKind,
        group: GroupId,
        (index, term): (u64, u64),
        len: usize,
    ) -> Result<()> {
        if index == u64::MAX {
            return Err(Error::Gap { group, index, low: 0, high: u64::MAX - 1 });
        }
        // Above what fits into any block.
        let limit = 1 << 30;
        let stored_len = u32::try_from(len).ok().filter(|len| *len < limit);
        let Some(stored_len) = stored_len else {
            return Err(Error::TooLarge { bytes: len as u64, limit: u64::from(limit) });
        };
        let stored = Stored { len: stored_len, crc: 0, lz4: false };
        if let Some(Item::Run(run)) = self.items.last()
            && (run.kind, run.group) == (kind, group)
            && run.end() != index
        {
            let (low, high) = (run.end(), run.end());
            return Err(Error::Gap { group, index, low, high });
        }
        self.push_entry(kind, group, (index, term), stored);
        Ok(())
    }

    /// Adds a stored entry as it is, for rewriting.
    pub(crate) fn place_stored(
        &mut self,
        kind: RunKind,
        group: GroupId,
        (index, term): (u64, u64),
        (stored, bytes): (Stored, &[u8]),
    ) {
        self.payload.extend_from_slice(bytes);
        self.push_entry(kind, group, (index, term), stored);
    }

    /// Adds an entry to the last run if it follows it, else to a new one.
    fn push_entry(
        &mut self,
        kind: RunKind,
        group: GroupId,
        (index, term): (u64, u64),
        stored: Stored,
    ) {
        match self.items.last_mut() {
            Some(Item::Run(run)) if (run.kind, run.group, run.end()) == (kind, group, index) => {
                run.push(term, stored);
            }
            _ => {
                let mut run =
                    Run { kind, group, first: index, terms: Vec::new(), entries: Vec::new() };
                run.push(term, stored);
                self.items.push(Item::Run(run));
            }
        }
    }

    /// An upper bound of what the batch adds to a block.
    pub(crate) fn bytes_max(&self) -> u64 {
        let items: usize = self.items.iter().map(Item::encoded_len_max).sum();
        (items + self.payload.len()) as u64
    }

    /// Whether the batch only makes the log smaller or records small facts, so that it may use the
    /// last prepared segment of a full disk.
    pub(crate) fn frees_space(&self) -> bool {
        !self.items.iter().any(|item| matches!(item, Item::Run(run) if run.kind == RunKind::Append))
    }

    /// Compresses the entries of at least `bytes_min` where that saves an eighth of their bytes.
    pub(crate) fn compress(&mut self, bytes_min: usize) {
        let long = |stored: &Stored| !stored.lz4 && stored.len as usize >= bytes_min;
        let any = self.items.iter().any(|item| match item {
            Item::Run(run) => run.entries.iter().any(long),
            _ => false,
        });
        if !any {
            return;
        }
        let mut payload = Vec::with_capacity(self.payload.len());
        let mut at = 0;
        for item in &mut self.items {
            let Item::Run(run) = item else { continue };
            for stored in &mut run.entries {
                let bytes = &self.payload[at..at + stored.len as usize];
                at += bytes.len();
                let packed = long(stored).then(|| lz4_flex::compress_prepend_size(bytes));
                match packed {
                    Some(packed) if packed.len() <= bytes.len() / 8 * 7 => {
                        *stored = Stored { len: packed.len() as u32, crc: 0, lz4: true };
                        payload.extend_from_slice(&packed);
                    }
                    _ => payload.extend_from_slice(bytes),
                }
            }
        }
        self.payload = payload;
    }
}
