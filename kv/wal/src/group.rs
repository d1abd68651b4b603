//! One group in memory: where its entries are, their terms, and its keys.
//!
//! An entry takes 16 bytes here (segment, offset, length, checksum) and terms take one item per
//! run, so that a million entries cost 16 MB and an idle group less than 200 bytes. A read needs
//! no other metadata from the disk.
//!
//! Replay from a log whose start was purged meets a group's later entries before the rewritten
//! earlier ones. Those wait as strays until the hole before them is filled.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use crate::record::Stored;
use crate::usage::Usage;

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The segment.
    pub(crate) seq: u32,
    /// Where the bytes start in its file; below the segment's size, so below 1 GiB.
    pub(crate) offset: u32,
    /// The length, shifted by two; bit 0: LZ4, bit 1: known to be lost.
    len_flags: u32,
    pub(crate) crc: u32,
}

impl Slot {
    pub(crate) fn new(seq: u32, offset: u64, stored: Stored, faulty: bool) -> Slot {
        let offset = u32::try_from(offset).expect("a segment is at most 1 GiB");
        let len_flags = stored.len << 2 | u32::from(stored.lz4) | u32::from(faulty) << 1;
        Slot { seq, offset, len_flags, crc: stored.crc }
    }

    /// Stored bytes.
    pub(crate) fn len(self) -> u32 {
        self.len_flags >> 2
    }

    pub(crate) fn is_lz4(self) -> bool {
        self.len_flags & 1 == 1
    }

    /// Whether the entry's bytes are known to be lost.
    pub(crate) fn is_faulty(self) -> bool {
        self.len_flags & 2 == 2
    }

    pub(crate) fn stored(self) -> Stored {
        Stored { len: self.len(), crc: self.crc, lz4: self.is_lz4() }
    }

    /// What the entry counts for in its segment; more than 0, so that a known loss is kept too.
    pub(crate) fn bytes(self) -> u64 {
        u64::from(self.len()) + 16
    }
}

/// A key of a group.
#[derive(Clone, Debug)]
pub(crate) struct KeyValue {
    /// The key, and the value behind it.
    both: Box<[u8]>,
    key_len: u32,
    /// The segment of the block that set it.
    pub(crate) seq: u32,
}

impl KeyValue {
    fn new(key: &[u8], value: &[u8], seq: u32) -> KeyValue {
        let key_len = u32::try_from(key.len()).expect("it came in a block, below 1 GiB");
        KeyValue { both: [key, value].concat().into(), key_len, seq }
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.both[..self.key_len as usize]
    }

    pub(crate) fn value(&self) -> &[u8] {
        &self.both[self.key_len as usize..]
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.both.len() as u64 + 16
    }
}

/// From this index on the entries have this term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TermStart {
    first: u64,
    term: u64,
}

/// Entries and their terms by index.
type Strays = BTreeMap<u64, (Slot, u64)>;

/// The state of one group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    /// The index of `slots[0]`.
    first: u64,
    slots: VecDeque<Slot>,
    /// Ascending in `first`; the first one covers `self.first` if there are slots.
    terms: Vec<TermStart>,
    /// Sorted by key.
    keys: Vec<KeyValue>,
    /// Entries with a hole before them, during replay only.
    strays: Option<Box<Strays>>,
}

impl Group {
    /// The first and the last index; `None` if there are no entries.
    pub(crate) fn bounds(&self) -> Option<(u64, u64)> {
        let last = self.first + (self.slots.len() as u64).checked_sub(1)?;
        Some((self.first, last))
    }

    pub(crate) fn slot(&self, index: u64) -> Option<Slot> {
        self.slots.get(usize::try_from(index.checked_sub(self.first)?).ok()?).copied()
    }

    pub(crate) fn term(&self, index: u64) -> Option<u64> {
        self.slot(index)?;
        let run = self.terms.partition_point(|run| run.first <= index).checked_sub(1)?;
        Some(self.terms[run].term)
    }

    /// The entries of a range with their terms, also those that wait for a hole to be filled.
    pub(crate) fn places(&self, range: Range<u64>) -> impl Iterator<Item = (u64, u64, Slot)> + '_ {
        let end = self.first + self.slots.len() as u64;
        let here = range.start.max(self.first)..range.end.min(end);
        let here = here.filter_map(|index| Some((index, self.term(index)?, self.slot(index)?)));
        let strays = self.strays.iter().flat_map(move |strays| strays.range(range.clone()));
        here.chain(strays.map(|(index, (slot, term))| (*index, *term, *slot)))
    }

    pub(crate) fn keys(&self) -> &[KeyValue] {
        &self.keys
    }

    pub(crate) fn key(&self, key: &[u8]) -> Option<&[u8]> {
        let at = self.keys.binary_search_by(|kv| kv.key().cmp(key)).ok()?;
        Some(self.keys[at].value())
    }

    /// Each entry's index, term and slot.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u64, u64, Slot)> + '_ {
        let mut run = 0;
        (self.first..).zip(&self.slots).map(move |(index, slot)| {
            while self.terms.get(run + 1).is_some_and(|next| next.first <= index) {
                run += 1;
            }
            (index, self.terms[run].term, *slot)
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.keys.is_empty() && self.strays.is_none()
    }

    /// The heap and own bytes of this group.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Group>()
            + self.slots.capacity() * size_of::<Slot>()
            + self.terms.capacity() * size_of::<TermStart>()
            + self.keys.capacity() * size_of::<KeyValue>()
            + self.keys.iter().map(|kv| kv.both.len()).sum::<usize>()
    }

    /// Appends `count` entries from `first` on, all in one segment, after removing what there was.
    pub(crate) fn append_run(
        &mut self,
        first: u64,
        count: usize,
        entries: impl Iterator<Item = (u64, Slot)>,
        usage: &mut Usage,
    ) {
        self.truncate(first, usage);
        let end = self.first + self.slots.len() as u64;
        let follows = !self.slots.is_empty() && first == end && self.strays.is_none();
        if !follows {
            for (index, (term, slot)) in (first..).zip(entries) {
                self.insert(index, term, slot, usage);
            }
            return;
        }
        self.slots.reserve(count);
        let (mut bytes, mut segment) = (0, None);
        for (index, (term, slot)) in (first..).zip(entries) {
            bytes += slot.bytes();
            segment = Some(slot.seq);
            self.slots.push_back(slot);
            if self.terms.last().is_none_or(|run| run.term != term) {
                self.terms.push(TermStart { first: index, term });
            }
        }
        if let Some(seq) = segment {
            usage.add(seq, bytes);
        }
    }

    /// Puts an entry where it belongs, replacing it if it is there.
    pub(crate) fn insert(&mut self, index: u64, term: u64, slot: Slot, usage: &mut Usage) {
        usage.add(slot.seq, slot.bytes());
        if self.slots.is_empty() {
            self.first = index;
            self.terms.clear();
        }
        let end = self.first + self.slots.len() as u64;
        if index == end {
            self.make_room();
            self.slots.push_back(slot);
            if self.terms.last().is_none_or(|run| run.term != term) {
                self.terms.push(TermStart { first: index, term });
            }
        } else if index.checked_add(1) == Some(self.first) {
            self.slots.push_front(slot);
            self.first = index;
            match self.terms.first_mut() {
                Some(run) if run.term == term => run.first = index,
                _ => self.terms.insert(0, TermStart { first: index, term }),
            }
        } else if (self.first..end).contains(&index) {
            let old = std::mem::replace(&mut self.slots[(index - self.first) as usize], slot);
            usage.sub(old.seq, old.bytes());
        } else {
            let strays = self.strays.get_or_insert_default();
            if let Some((old, _)) = strays.insert(index, (slot, term)) {
                usage.sub(old.seq, old.bytes());
            }
        }
    }

    /// An idle group has one entry, and many groups are idle: room for one more is enough then.
    fn make_room(&mut self) {
        if self.slots.is_empty() && self.slots.capacity() == 0 {
            self.slots.reserve_exact(1);
        }
        if self.terms.is_empty() && self.terms.capacity() == 0 {
            self.terms.reserve_exact(1);
        }
    }

    /// Removes the entries from `index` on.
    pub(crate) fn truncate(&mut self, index: u64, usage: &mut Usage) {
        while self.bounds().is_some_and(|(_, last)| last >= index) {
            let slot = self.slots.pop_back().expect("there is a last entry");
            usage.sub(slot.seq, slot.bytes());
        }
        while self.terms.last().is_some_and(|run| run.first >= index) {
            self.terms.pop();
        }
        self.drop_strays(|stray| stray >= index, usage);
    }

    /// Removes the entries below `index`.
    pub(crate) fn compact(&mut self, index: u64, usage: &mut Usage) {
        while self.bounds().is_some_and(|(first, _)| first < index) {
            let slot = self.slots.pop_front().expect("there is a first entry");
            usage.sub(slot.seq, slot.bytes());
            self.first += 1;
        }
        let unneeded = self.terms.partition_point(|run| run.first <= self.first);
        self.terms.drain(..unneeded.saturating_sub(1));
        if self.slots.capacity() > 64 && self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(2 * self.slots.len());
        }
        self.drop_strays(|stray| stray < index, usage);
    }

    fn drop_strays(&mut self, drop: impl Fn(u64) -> bool, usage: &mut Usage) {
        let Some(strays) = &mut self.strays else { return };
        strays.retain(|index, (slot, _)| {
            let dropped = drop(*index);
            if dropped {
                usage.sub(slot.seq, slot.bytes());
            }
            !dropped
        });
        if strays.is_empty() {
            self.strays = None;
        }
    }

    /// Moves the strays to their places at the end of replay. Gives the indexes that are missing
    /// between entries; they are filled with entries known to be lost, of the term before them.
    pub(crate) fn settle(&mut self, usage: &mut Usage) -> Vec<u64> {
        let Some(mut all) = self.strays.take() else { return Vec::new() };
        for (index, term, slot) in self.entries() {
            all.insert(index, (slot, term));
        }
        self.slots.clear();
        self.terms.clear();
        let mut missing = Vec::new();
        let mut before: Option<(u64, u64, u32)> = None;
        for (index, (slot, term)) in *all {
            if let Some((end, term, seq)) = before {
                for hole in end..index.min(end.saturating_add(HOLE_MAX)) {
                    let lost = Slot::new(seq, 0, Stored { len: 0, crc: 0, lz4: false }, true);
                    self.insert(hole, term, lost, usage);
                    missing.push(hole);
                }
            }
            usage.sub(slot.seq, slot.bytes());
            self.insert(index, term, slot, usage);
            before = Some((index + 1, term, slot.seq));
        }
        missing
    }

    /// Sets a key.
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8], seq: u32, usage: &mut Usage) {
        let new = KeyValue::new(key, value, seq);
        usage.add(seq, new.bytes());
        match self.keys.binary_search_by(|kv| kv.key().cmp(key)) {
            Ok(at) => {
                let old = std::mem::replace(&mut self.keys[at], new);
                usage.sub(old.seq, old.bytes());
            }
            Err(at) => {
                if self.keys.is_empty() {
                    self.keys.reserve_exact(1);
                }
                self.keys.insert(at, new);
            }
        }
    }

    /// Removes a key.
    pub(crate) fn delete(&mut self, key: &[u8], usage: &mut Usage) {
        if let Ok(at) = self.keys.binary_search_by(|kv| kv.key().cmp(key)) {
            let old = self.keys.remove(at);
            usage.sub(old.seq, old.bytes());
        }
    }

    /// Removes everything.
    pub(crate) fn clean(&mut self, usage: &mut Usage) {
        self.truncate(0, usage);
        for kv in std::mem::take(&mut self.keys) {
            usage.sub(kv.seq, kv.bytes());
        }
    }
}

/// A longer hole cannot come from damage to a log of at most 2^32 segments' worth of entries that
/// fits a disk; it only comes from made-up bytes, and is left as it is.
const HOLE_MAX: u64 = 1 << 20;
