//! Splits calls into parts that can be judged apart: keys that no operation joins.
//!
//! A history is linearizable exactly if it is for each object alone (Herlihy and Wing, theorem 1).
//! Here an object is a set of keys that multi-key operations join.

use std::collections::BTreeMap;

use crate::history::Call;

/// The calls on some keys, and on no other.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The keys in order.
    pub(super) keys: Vec<String>,
    /// The calls in the order of their begins, without those that had no effect.
    pub(super) calls: Vec<Call>,
}

/// Splits calls, in the order of the first key of each part.
pub(super) fn split(calls: &[Call]) -> Vec<Part> {
    let mut joined = Joined::default();
    let relevant = || calls.iter().filter(|call| !call.failed);
    for call in relevant() {
        let mut keys = call.op.keys().map(str::to_owned);
        if let Some(first) = keys.next() {
            let first = joined.slot(first);
            keys.for_each(|key| joined.join(first, key));
        }
    }
    let mut parts: BTreeMap<usize, Part> = BTreeMap::new();
    let slots: Vec<(String, usize)> =
        joined.slots.iter().map(|(key, slot)| (key.clone(), *slot)).collect();
    for (key, slot) in slots {
        let root = joined.root(slot);
        let part = parts.entry(root).or_insert_with(|| Part { keys: vec![], calls: vec![] });
        part.keys.push(key);
    }
    for call in relevant() {
        let Some(slot) = call.op.keys().next().map(|key| joined.slots[key]) else { continue };
        let root = joined.root(slot);
        if let Some(part) = parts.get_mut(&root) {
            part.calls.push(call.clone());
        }
    }
    let mut parts: Vec<Part> = parts.into_values().collect();
    parts.sort_by(|a, b| a.keys.cmp(&b.keys));
    parts
}

/// Disjoint sets of keys.
#[derive(Default)]
struct Joined {
    slots: BTreeMap<String, usize>,
    parents: Vec<usize>,
}

impl Joined {
    fn slot(&mut self, key: String) -> usize {
        let next = self.parents.len();
        let slot = *self.slots.entry(key).or_insert(next);
        if slot == next {
            self.parents.push(next);
        }
        slot
    }

    fn root(&mut self, mut slot: usize) -> usize {
        while self.parents[slot] != slot {
            self.parents[slot] = self.parents[self.parents[slot]];
            slot = self.parents[slot];
        }
        slot
    }

    fn join(&mut self, first: usize, key: String) {
        let slot = self.slot(key);
        let (one, other) = (self.root(first), self.root(slot));
        self.parents[other] = one;
    }
}
