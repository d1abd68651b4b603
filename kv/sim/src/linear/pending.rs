//! Sets of open calls, and the memory of what the search has tried.
//!
//! Two ways to the same state with the same answered calls taken differ only in the open calls
//! that they used up. One that used fewer can do all that the other can; so only the smallest
//! sets are remembered, and whatever contains one of them is not tried again. Without that, `n`
//! open calls could cost `2^n` steps.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A set of open calls of one part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Used(Vec<u64>);

impl Used {
    pub(super) fn contains(&self, open: usize) -> bool {
        self.0.get(open / 64).is_some_and(|word| word >> (open % 64) & 1 == 1)
    }

    pub(super) fn insert(&mut self, open: usize) {
        if self.0.len() <= open / 64 {
            self.0.resize(open / 64 + 1, 0);
        }
        self.0[open / 64] |= 1 << (open % 64);
    }

    pub(super) fn remove(&mut self, open: usize) {
        self.0[open / 64] &= !(1 << (open % 64));
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn is_subset(&self, other: &Used) -> bool {
        self.0.len() <= other.0.len()
            && self.0.iter().zip(&other.0).all(|(word, others)| word & !others == 0)
    }
}

/// What was tried.
#[derive(Default)]
pub(super) struct Memory {
    /// For a hash of answered calls and state, the smallest sets of open calls with which it was
    /// reached. The order of the table is never seen.
    tried: HashMap<u128, Vec<Used>, BuildHasherDefault<Identity>>,
}

impl Memory {
    /// Remembers a place, and says whether it is worth a visit.
    pub(super) fn is_new(&mut self, place: u128, used: &Used) -> bool {
        let sets = self.tried.entry(place).or_default();
        if sets.iter().any(|set| set.is_subset(used)) {
            return false;
        }
        sets.retain(|set| !used.is_subset(set));
        sets.push(used.clone());
        true
    }
}

/// Takes the low half of a hash for a hash.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }
}
