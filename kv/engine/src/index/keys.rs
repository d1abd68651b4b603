//! A sorted list of keys, packed into two pieces of memory.
//!
//! A search looks at the *heads* first: the four bytes that follow the part that all keys have in
//! common. They lie close together, so that few cache lines are touched; a whole key is compared
//! only among those of one head. The beginning of the common part stands in [`Keys`] itself, so that
//! the keys are not touched for it.

use std::ops::Range;

/// Keys in strictly ascending order.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    /// The keys, one after the other.
    bytes: Vec<u8>,
    /// The heads of all keys, and then where each key ends in `bytes`; both ascending.
    table: Vec<u32>,
    /// How many bytes all keys have in common.
    prefix: u32,
    /// The first of these bytes.
    begin: [u8; BEGIN],
}

/// How many of the common bytes are kept apart from the keys.
const BEGIN: usize = 20;

impl Keys {
    pub(super) fn len(&self) -> usize {
        self.table.len() / 2
    }

    /// The bytes of all keys together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn ends(&self) -> &[u32] {
        &self.table[self.len()..]
    }

    pub(super) fn get(&self, i: usize) -> &[u8] {
        let ends = self.ends();
        &self.bytes[start(ends, i)..ends[i] as usize]
    }

    /// The position of a key, or the one where it would be inserted.
    pub(super) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let (heads, ends) = self.table.split_at(self.len());
        let prefix = self.prefix as usize;
        let common = prefix.min(key.len());
        match self.compare_prefix(&key[..common]) {
            std::cmp::Ordering::Less => return Err(0),
            std::cmp::Ordering::Greater => return Err(heads.len()),
            std::cmp::Ordering::Equal if common < prefix => return Err(0),
            std::cmp::Ordering::Equal => {}
        }
        let head = head(key, common);
        let first = heads.partition_point(|&other| other < head);
        let (mut low, mut high) = (first, first);
        while heads.get(high) == Some(&head) {
            high += 1;
        }
        while low < high {
            let middle = low.midpoint(high);
            let other = &self.bytes[start(ends, middle)..ends[middle] as usize];
            match other[common..].cmp(&key[common..]) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// Compares the beginning of a key, no longer than the common part, with as much of that.
    fn compare_prefix(&self, key: &[u8]) -> std::cmp::Ordering {
        let begin = key.len().min(BEGIN);
        let order = key[..begin].cmp(&self.begin[..begin]);
        if key.len() <= BEGIN {
            return order;
        }
        order.then_with(|| key[begin..].cmp(&self.bytes[begin..key.len()]))
    }

    /// The position of the last key that is not above `key`; 0 if there is none.
    pub(super) fn floor(&self, key: &[u8]) -> usize {
        match self.search(key) {
            Ok(i) => i,
            Err(i) => i.saturating_sub(1),
        }
    }
}

fn start(ends: &[u32], i: usize) -> usize {
    if i == 0 { 0 } else { ends[i - 1] as usize }
}

/// The four bytes of a key from `at` on, as a number that sorts as they do; zeros stand for bytes
/// after its end.
fn head(key: &[u8], at: usize) -> u32 {
    if let Some(bytes) = key.get(at..at + 4) {
        return u32::from_be_bytes(bytes.try_into().expect("four bytes"));
    }
    let mut bytes = [0; 4];
    let rest = &key[at.min(key.len())..];
    bytes[..rest.len()].copy_from_slice(rest);
    u32::from_be_bytes(bytes)
}

/// Puts [`Keys`] together.
#[derive(Debug, Default)]
pub(super) struct KeysBuilder {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// The heads, if the common part has `expected` bytes. There is room for the ends too.
    heads: Vec<u32>,
    expected: u32,
}

impl KeysBuilder {
    pub(super) fn with_capacity(keys: usize, bytes: usize) -> KeysBuilder {
        KeysBuilder {
            bytes: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(keys),
            heads: Vec::with_capacity(2 * keys),
            expected: 0,
        }
    }

    /// The same, for keys that mostly come from a list: their heads stay as they are there, if
    /// what all have in common stays the same.
    pub(super) fn like(from: &Keys, keys: usize, bytes: usize) -> KeysBuilder {
        KeysBuilder { expected: from.prefix, ..KeysBuilder::with_capacity(keys, bytes) }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn get(&self, i: usize) -> &[u8] {
        &self.bytes[start(&self.ends, i)..self.ends[i] as usize]
    }

    /// Appends a key, which must be above the last one.
    pub(super) fn push(&mut self, key: &[u8]) {
        debug_assert!(self.len() == 0 || self.get(self.len() - 1) < key, "keys out of order");
        self.bytes.extend_from_slice(key);
        self.ends.push(u32::try_from(self.bytes.len()).expect("a page of keys is below 4 GiB"));
        self.heads.push(head(key, self.expected as usize));
    }

    /// Appends some keys of a list, which must be above the last one.
    pub(super) fn extend(&mut self, from: &Keys, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let (heads, ends) = from.table.split_at(from.len());
        let (start, end) = (start(ends, range.start), ends[range.end - 1] as usize);
        let shift = (self.bytes.len() as u32).wrapping_sub(start as u32);
        self.bytes.extend_from_slice(&from.bytes[start..end]);
        self.ends.extend(ends[range.clone()].iter().map(|&end| end.wrapping_add(shift)));
        if from.prefix == self.expected {
            self.heads.extend_from_slice(&heads[range]);
        } else {
            let expected = self.expected as usize;
            self.heads.extend(range.map(|i| head(from.get(i), expected)));
        }
    }

    pub(super) fn finish(self) -> Keys {
        let KeysBuilder { bytes, ends, mut heads, expected } = self;
        let (Some(&first), Some(last)) = (ends.first(), ends.len().checked_sub(1)) else {
            return Keys::default();
        };
        let first = &bytes[..first as usize];
        let last = &bytes[start(&ends, last)..];
        let prefix = first.iter().zip(last).take_while(|(a, b)| a == b).count();
        if prefix != expected as usize {
            let mut from = 0;
            for (head_of, &end) in heads.iter_mut().zip(&ends) {
                *head_of = head(&bytes[from..end as usize], prefix);
                from = end as usize;
            }
        }
        heads.extend_from_slice(&ends);
        let mut begin = [0; BEGIN];
        let kept = prefix.min(BEGIN);
        begin[..kept].copy_from_slice(&bytes[..kept]);
        Keys { bytes, table: heads, prefix: prefix as u32, begin }
    }
}
