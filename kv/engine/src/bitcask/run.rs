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

/// Puts and deletes of one segment, and the ranges that it removes.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    keys: Vec<u8>,
    pub(super) items: Vec<Item>,
    pub(super) ranges: Vec<(Cf, Range, u64)>,
    /// Bytes of records that remove.
    pub(super) removals: u64,
    /// The smallest sequence number of a record.
    pub(super) seq_min: Option<u64>,
}

impl Run {
    pub(super) fn key(&self, item: &Item) -> &[u8] {
        let start = item.key_start as usize;
        &self.keys[start..start + usize::from(item.key_len)]
    }

    /// Adds a record of the batch `seq`, which starts at `offset` of the segment.
    pub(super) fn add(&mut self, record: &Record<'_>, offset: u64, seq: u64) {
        self.seq_min = Some(self.seq_min.map_or(seq, |least| least.min(seq)));
        if record.kind != Kind::Put {
            self.removals += record.len();
        }
        if record.kind == Kind::DeleteRange {
            self.ranges.push((record.cf, record.range(), seq));
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

    /// Sorts by column family and key, newest first.
    pub(super) fn sort(&mut self) {
        let keys = &self.keys;
        let key = |item: &Item| {
            let start = item.key_start as usize;
            &keys[start..start + usize::from(item.key_len)]
        };
        self.items.sort_unstable_by(|a, b| {
            (a.cf, key(a), Reverse(a.seq)).cmp(&(b.cf, key(b), Reverse(b.seq)))
        });
    }
}
