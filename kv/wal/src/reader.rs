//! Reads: [`WalReader`].
//!
//! A read looks up the places under the lock, reads without it, and checks every entry against
//! its checksum. A segment that is purged in between stays readable through its handle.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use crate::entry::WalEntry;
use crate::error::{Error, Result};
use crate::fs::File;
use crate::group::Slot;
use crate::id::{GroupId, Lsn};
use crate::metrics::{Metrics, count};
use crate::record::entry_crc;
use crate::store::{State, Store};
use mutant::mutant;

/// Reads a log. Clones are cheap, and may be used in any thread.
#[derive(Debug)]
pub struct WalReader<E> {
    pub(crate) store: Arc<Store>,
    entry: PhantomData<fn() -> E>,
}

impl<E> Clone for WalReader<E> {
    fn clone(&self) -> WalReader<E> {
        WalReader::new(Arc::clone(&self.store))
    }
}

/// Where an entry's bytes come from.
enum Source {
    Memory(Arc<Vec<u8>>, usize),
    Disk(Arc<dyn File>),
}

/// An entry to be read.
struct Wanted {
    index: u64,
    term: u64,
    slot: Slot,
    uid: u64,
    source: Source,
}

impl<E> WalReader<E> {
    pub(crate) fn new(store: Arc<Store>) -> WalReader<E> {
        WalReader { store, entry: PhantomData }
    }

    /// The lowest index of a group's entries; `None` if it has none.
    #[must_use]
    pub fn first_index(&self, group: GroupId) -> Option<u64> {
        Some(self.bounds(group)?.0)
    }

    /// The highest index of a group's entries; `None` if it has none.
    #[must_use]
    pub fn last_index(&self, group: GroupId) -> Option<u64> {
        Some(self.bounds(group)?.1)
    }

    fn bounds(&self, group: GroupId) -> Option<(u64, u64)> {
        self.store.state.read().index.group(group)?.bounds()
    }

    /// The term of an entry, without reading the disk. `None` if there is no such entry.
    #[must_use]
    pub fn term(&self, group: GroupId, index: u64) -> Option<u64> {
        self.store.state.read().index.group(group)?.term(index)
    }

    /// The value of a group's key.
    #[must_use]
    pub fn get(&self, group: GroupId, key: &[u8]) -> Option<Vec<u8>> {
        Some(self.store.state.read().index.group(group)?.key(key)?.to_vec())
    }

    /// A group's keys and values, by key.
    #[must_use]
    pub fn keys(&self, group: GroupId) -> Vec<(Vec<u8>, Vec<u8>)> {
        let state = self.store.state.read();
        let keys = state.index.group(group).map_or(&[][..], |group| group.keys());
        keys.iter().map(|kv| (kv.key().to_vec(), kv.value().to_vec())).collect()
    }

    /// All groups, in order.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupId> {
        self.store.state.read().index.groups().map(|(id, _)| id).collect()
    }

    /// The last block that is durable.
    #[must_use]
    pub fn synced_lsn(&self) -> Lsn {
        self.store.state.read().synced
    }

    /// The last block that was written, durable or not.
    #[must_use]
    pub fn last_lsn(&self) -> Lsn {
        self.store.state.read().written
    }

    /// The oldest segment that a group still needs; segments before it are not kept by this
    /// group. `None` if it needs none.
    #[must_use]
    pub fn low_water_mark(&self, group: GroupId) -> Option<u32> {
        let state = self.store.state.read();
        let group = state.index.group(group)?;
        let entries = group.entries().map(|(_, _, slot)| slot.seq);
        entries.chain(group.keys().iter().map(|kv| kv.seq)).min()
    }

    /// Counters and sizes.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.store.metrics()
    }
}

impl<E: WalEntry> WalReader<E> {
    /// Reads the entries of a range: at least one, and not more once they are over `bytes_max`.
    ///
    /// # Errors
    /// - [`Error::Compacted`], [`Error::Unavailable`]: some of the range is not there.
    /// - [`Error::Faulty`]: an entry is damaged. Those before it can be read.
    /// - [`Error::Entry`]: the entry's type refuses the bytes.
    pub fn fetch(&self, group: GroupId, range: Range<u64>, bytes_max: u64) -> Result<Vec<E>> {
        let wanted = self.locate(group, range, bytes_max)?;
        let mut entries = Vec::with_capacity(wanted.len());
        let mut rest = &wanted[..];
        let mut buf = Vec::new();
        let mut at_once = usize::MAX;
        while let Some(first) = rest.first() {
            let (now, later) = rest.split_at(run_len(rest).min(at_once));
            let bytes = match &first.source {
                Source::Memory(block, at) => &block[*at..],
                Source::Disk(file) => {
                    let len: u64 = now.iter().map(|entry| u64::from(entry.slot.len())).sum();
                    buf.clear();
                    buf.resize(len as usize, 0);
                    match file.read_exact_at(&mut buf, u64::from(first.slot.offset)) {
                        Ok(()) => &buf[..],
                        Err(_) if now.len() > 1 => {
                            // One by one: what the disk refuses is not all of it.
                            at_once = 1;
                            continue;
                        }
                        // What the disk refuses to read is as lost as what it reads wrongly.
                        Err(_) => &[],
                    }
                }
            };
            rest = later;
            let mut at = 0;
            for entry in now {
                let stored = bytes.get(at..at + entry.slot.len() as usize);
                at += entry.slot.len() as usize;
                entries.push(self.decode(group, entry, stored)?);
            }
        }
        Ok(entries)
    }

    /// Looks up where the entries are.
    fn locate(&self, group: GroupId, range: Range<u64>, bytes_max: u64) -> Result<Vec<Wanted>> {
        let state = self.store.state.read();
        let bounds = state.index.group(group).and_then(|group| Some((group, group.bounds()?)));
        let Some((found, (first, last))) = bounds else {
            let index = range.start;
            return Err(Error::Unavailable { group, index, last: 0 });
        };
        if range.start < first {
            return Err(Error::Compacted { group, index: range.start, first });
        }
        if range.end > last + 1 {
            return Err(Error::Unavailable { group, index: range.end - 1, last });
        }
        let mut wanted = Vec::new();
        let mut bytes = 0;
        for index in range {
            let slot = found.slot(index).expect("the index is in bounds");
            bytes += u64::from(slot.len());
            if bytes > bytes_max && !wanted.is_empty() {
                break;
            }
            let term = found.term(index).expect("the index is in bounds");
            wanted.push(state.wanted(index, term, slot));
        }
        Ok(wanted)
    }

    fn decode(&self, group: GroupId, entry: &Wanted, stored: Option<&[u8]>) -> Result<E> {
        let index = entry.index;
        let good = |bytes: &&[u8]| {
            mutant!("wal-read-unchecked")
                || entry_crc(entry.uid, group, index, bytes) == entry.slot.crc
        };
        let Some(bytes) = stored.filter(good).filter(|_| !entry.slot.is_faulty()) else {
            return self.retry(group, entry);
        };
        let plain;
        let bytes = if entry.slot.is_lz4() {
            plain = unpack(bytes).ok_or(Error::Faulty { group, index, term: entry.term })?;
            &plain
        } else {
            bytes
        };
        E::decode(bytes).map_err(|source| Error::Entry { group, index, source })
    }

    /// A mismatch is damage, unless the entry moved while it was read.
    fn retry(&self, group: GroupId, entry: &Wanted) -> Result<E> {
        let index = entry.index;
        let moved = {
            let state = self.store.state.read();
            let slot = state.index.group(group).and_then(|group| group.slot(index));
            slot.is_some_and(|slot| slot != entry.slot)
        };
        if moved {
            let mut again = self.fetch(group, index..index + 1, 0)?;
            return Ok(again.pop().expect("a fetch gives at least one entry"));
        }
        count(&self.store.counters.faulty_reads, 1);
        self.store.found_damaged(group, index, entry.slot);
        Err(Error::Faulty { group, index, term: entry.term })
    }
}

impl State {
    /// Finds where an entry's bytes are.
    fn wanted(&self, index: u64, term: u64, slot: Slot) -> Wanted {
        let segment = &self.segments[&slot.seq];
        let source = match self.recent.get(slot.seq, u64::from(slot.offset)) {
            Some((block, at)) => Source::Memory(block, at),
            None => Source::Disk(Arc::clone(&segment.file.file)),
        };
        Wanted { index, term, slot, uid: segment.file.id.uid, source }
    }
}

/// How many of the entries can be read at once: they follow each other on the disk, or in one
/// block.
fn run_len(wanted: &[Wanted]) -> usize {
    let follows = |pair: &[Wanted]| {
        let (a, b) = (&pair[0], &pair[1]);
        let near = a.slot.seq == b.slot.seq && a.slot.offset + a.slot.len() == b.slot.offset;
        let alike = match (&a.source, &b.source) {
            (Source::Memory(x, _), Source::Memory(y, _)) => Arc::ptr_eq(x, y),
            (Source::Disk(_), Source::Disk(_)) => true,
            _ => false,
        };
        near && alike
    };
    1 + wanted.windows(2).take_while(|pair| follows(pair)).count()
}

/// Decompresses an entry. A length that LZ4 cannot reach is refused before memory is taken.
pub(crate) fn unpack(bytes: &[u8]) -> Option<Vec<u8>> {
    let len = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    if len > 255 * bytes.len() {
        return None;
    }
    lz4_flex::decompress_size_prepended(bytes).ok()
}
