//! A sorted list of keys, packed into one piece of memory.

use std::ops::Range;

/// Keys in strictly ascending order: their bytes one after the other, and where each ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    bytes: Vec<u8>,
    /// Where each key ends in `bytes`; ascending.
    ends: Vec<u32>,
}

impl Keys {
    pub(super) fn with_capacity(keys: usize, bytes: usize) -> Keys {
        Keys { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(keys) }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of all keys together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn start(&self, i: usize) -> usize {
        if i == 0 { 0 } else { self.ends[i - 1] as usize }
    }

    pub(super) fn get(&self, i: usize) -> &[u8] {
        &self.bytes[self.start(i)..self.ends[i] as usize]
    }

    /// The position of a key, or the one where it would be inserted.
    pub(super) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle).cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// The position of the last key that is not above `key`; 0 if there is none.
    pub(super) fn floor(&self, key: &[u8]) -> usize {
        match self.search(key) {
            Ok(i) => i,
            Err(i) => i.saturating_sub(1),
        }
    }

    /// Appends a key, which must be above the last one.
    pub(super) fn push(&mut self, key: &[u8]) {
        debug_assert!(self.len() == 0 || self.get(self.len() - 1) < key, "keys out of order");
        self.bytes.extend_from_slice(key);
        self.ends.push(u32::try_from(self.bytes.len()).expect("a page of keys is below 4 GiB"));
    }

    /// Appends some keys of another list, which must be above the last one.
    pub(super) fn extend(&mut self, from: &Keys, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let (start, end) = (from.start(range.start), from.ends[range.end - 1] as usize);
        let shift = self.bytes.len();
        self.bytes.extend_from_slice(&from.bytes[start..end]);
        self.ends.extend(from.ends[range].iter().map(|&e| (e as usize - start + shift) as u32));
    }
}
