//! The keys of one segment, sorted: what a start reads, and what a hint file holds.

use std::cmp::Reverse;

use super::frame::{Kind, Record, record_len};
use crate::{Cf, Range};

/// One record, without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) cf: Cf,
    pub(super) kind: Kind,
    key_start: u32,
    key_len: u16,
    pub(super) value_len: u32,
    /// Where the record starts in the segment.
    pub(super) offset: u32,
    pub(super) seq: u64,
}

impl Item {
    /// The size of the record in bytes.
    pub(super) fn record_len(&self) -> u64 {
        record_len(usize::from(self.key_len), self.value_len)
    }
}

/// Bytes of an item in a hint file before its key; [`hint`](super::hint) draws them.
const ITEM_HEAD: usize = 20;

impl Item {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.cf as u8, self.kind as u8]);
        out.extend_from_slice(&self.key_len.to_le_bytes());
        out.extend_from_slice(&self.value_len.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
    }

    /// Reads the item at `at`, without looking at its key.
    fn decode(bytes: &[u8], at: usize) -> Option<Item> {
        let head: &[u8; ITEM_HEAD] = bytes.get(at..)?.first_chunk()?;
        let u32_at = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("4 bytes"));
        Some(Item {
            cf: Cf::from_number(head[0])?,
            kind: Kind::from_number(head[1])?,
            key_start: u32::try_from(at + ITEM_HEAD).ok()?,
            key_len: u16::from_le_bytes([head[2], head[3]]),
            value_len: u32_at(4),
            offset: u32_at(8),
            seq: u64::from_le_bytes(head[12..].try_into().expect("8 bytes")),
        })
    }
}

/// A range that a batch removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) cf: Cf,
    pub(super) range: Range,
    pub(super) seq: u64,
}

impl Removed {
    /// The key and the value of its record.
    fn record(&self) -> (&[u8], Vec<u8>) {
        let mut value = vec![u8::from(self.range.end.is_some())];
        value.extend_from_slice(self.range.end.as_deref().unwrap_or_default());
        (&self.range.start, value)
    }
}

/// Puts and deletes of one segment, and the ranges that it removes.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    keys: Vec<u8>,
    pub(super) items: Vec<Item>,
    pub(super) ranges: Vec<Removed>,
    /// Bytes of records that remove.
    pub(super) removals: u64,
    /// Bytes of records that put.
    pub(super) puts: u64,
}

impl Run {
    pub(super) fn key(&self, item: &Item) -> &[u8] {
        let start = item.key_start as usize;
        &self.keys[start..start + usize::from(item.key_len)]
    }

    /// Adds a record of the batch `seq`, which starts at `offset` of the segment.
    pub(super) fn add(&mut self, record: &Record<'_>, offset: u64, seq: u64) {
        match record.kind {
            Kind::Put => self.puts += record.len(),
            Kind::Delete | Kind::DeleteRange => self.removals += record.len(),
        }
        if record.kind == Kind::DeleteRange {
            self.ranges.push(Removed { cf: record.cf, range: record.range(), seq });
            return;
        }
        let item = Item {
            cf: record.cf,
            kind: record.kind,
            key_start: self.keys.len() as u32,
            key_len: record.key.len() as u16,
            value_len: record.value.len() as u32,
            offset: offset as u32,
            seq,
        };
        self.keys.extend_from_slice(record.key);
        self.items.push(item);
    }

    /// The items of a column family, when sorted.
    pub(super) fn of(&self, cf: Cf) -> &[Item] {
        let start = self.items.partition_point(|item| item.cf < cf);
        let end = self.items.partition_point(|item| item.cf <= cf);
        &self.items[start..end]
    }

    /// Sorts by column family and key, newest first.
    pub(super) fn sort(&mut self) {
        let mut items = std::mem::take(&mut self.items);
        items.sort_unstable_by(|a, b| self.order(a).cmp(&self.order(b)));
        self.items = items;
    }

    /// The size of all items in a hint file, in bytes.
    pub(super) fn hint_len(&self) -> usize {
        let items = self.items.iter().map(|item| ITEM_HEAD + usize::from(item.key_len));
        let ranges = self.ranges.iter().map(|removed| {
            let (key, value) = removed.record();
            ITEM_HEAD + key.len() + value.len()
        });
        items.sum::<usize>() + ranges.sum::<usize>()
    }

    /// Appends all items as a hint file has them.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for item in &self.items {
            item.encode(out);
            out.extend_from_slice(self.key(item));
        }
        for removed in &self.ranges {
            let (key, value) = removed.record();
            let item = Item {
                cf: removed.cf,
                kind: Kind::DeleteRange,
                key_start: 0,
                key_len: key.len() as u16,
                value_len: value.len() as u32,
                offset: 0,
                seq: removed.seq,
            };
            item.encode(out);
            out.extend_from_slice(key);
            out.extend_from_slice(&value);
        }
    }

    /// Reads the items of a hint file, which start at `at`; `None` if they make no sense.
    pub(super) fn decode(bytes: Vec<u8>, mut at: usize, count: usize) -> Option<Run> {
        let most = (bytes.len() - at) / ITEM_HEAD;
        let mut run = Run { items: Vec::with_capacity(count.min(most)), ..Run::default() };
        for _ in 0..count {
            let item = Item::decode(&bytes, at)?;
            at += ITEM_HEAD + usize::from(item.key_len);
            let key = bytes.get(item.key_start as usize..at)?;
            match item.kind {
                Kind::Put => run.puts += item.record_len(),
                Kind::Delete | Kind::DeleteRange => run.removals += item.record_len(),
            }
            if item.kind == Kind::DeleteRange {
                let value = bytes.get(at..at + item.value_len as usize)?;
                at += value.len();
                let record = Record { kind: item.kind, cf: item.cf, key, value, offset: 0 };
                run.ranges.push(Removed { cf: item.cf, range: record.range(), seq: item.seq });
            } else {
                run.items.push(item);
            }
        }
        let whole = at == bytes.len();
        run.keys = bytes;
        (whole && run.is_sorted()).then_some(run)
    }

    fn order(&self, item: &Item) -> (Cf, &[u8], Reverse<u64>) {
        (item.cf, self.key(item), Reverse(item.seq))
    }

    fn is_sorted(&self) -> bool {
        self.items.is_sorted_by(|a, b| self.order(a) <= self.order(b))
    }
}
