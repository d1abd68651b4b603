//! Builds the index from the sorted keys of all segments.
//!
//! Of all records of a key the one with the highest sequence number counts, in whichever segment
//! it is. A removed range counts as a removal of each key in it whose records are all older; a put
//! of the same batch is not older, for a batch removes its ranges first.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::num::NonZeroU32;

use bytes::Bytes;

use super::frame::Kind;
use super::location::Location;
use super::run::{Item, Removed, Run};
use crate::Cf;
use crate::index::{Index, Loader};
use crate::usage::Usage;
use mutant::mutant;

/// The next item of one run; the greatest is the one to take first.
struct Next<'a> {
    run: &'a Run,
    segment: NonZeroU32,
    at: usize,
    /// How many bytes the keys of each column family have in common.
    common: &'a [usize; Cf::ALL.len()],
    /// The eight bytes of the item's key after these, as a number that sorts as they do.
    head: u64,
}

impl Next<'_> {
    fn item(&self) -> &Item {
        &self.run.items[self.at]
    }

    /// Goes on to the item at `at`.
    fn at(mut self, at: usize) -> Self {
        self.set(at);
        self
    }

    fn set(&mut self, at: usize) {
        self.at = at;
        let item = self.item();
        let key = self.run.key(item);
        let rest = &key[self.common[item.cf.index()].min(key.len())..];
        let mut head = [0; 8];
        let len = rest.len().min(8);
        head[..len].copy_from_slice(&rest[..len]);
        self.head = u64::from_be_bytes(head);
    }

    fn order(&self) -> (Cf, &[u8], Reverse<u64>, NonZeroU32) {
        let item = self.item();
        let seq = if mutant!("old-version-wins") { !item.seq } else { item.seq };
        (item.cf, self.run.key(item), Reverse(seq), self.segment)
    }
}

impl PartialEq for Next<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Next<'_> {}

impl PartialOrd for Next<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Next<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let head = |next: &Self| (next.item().cf, next.head);
        head(other).cmp(&head(self)).then_with(|| other.order().cmp(&self.order()))
    }
}

/// The removed ranges, met in the order of their starts.
struct Ranges {
    /// Ascending; taken from the end.
    ahead: Vec<Removed>,
    /// Those that have started; the newest first. Ended ones stay until they are the newest.
    here: BinaryHeap<(u64, Option<Bytes>)>,
    cf: Cf,
}

impl Ranges {
    fn new(mut ranges: Vec<Removed>) -> Ranges {
        ranges.sort_by(|a, b| (b.cf, &b.range.start).cmp(&(a.cf, &a.range.start)));
        Ranges { ahead: ranges, here: BinaryHeap::new(), cf: Cf::Default }
    }

    /// The newest removal of a key, asked for keys in ascending order.
    fn newest(&mut self, cf: Cf, key: &[u8]) -> u64 {
        if cf != self.cf {
            self.here.clear();
            self.cf = cf;
        }
        while let Some(removed) =
            self.ahead.pop_if(|removed| (removed.cf, &removed.range.start[..]) <= (cf, key))
        {
            if removed.cf == cf {
                self.here.push((removed.seq, removed.range.end));
            }
        }
        while let Some((seq, end)) = self.here.peek() {
            if end.as_ref().is_none_or(|end| key < &end[..]) {
                return *seq;
            }
            self.here.pop();
        }
        0
    }
}

/// How many bytes all keys of each column family have in common: as many as the first and the last
/// ones of all runs.
fn common_prefixes(runs: &[(NonZeroU32, Run)]) -> [usize; Cf::ALL.len()] {
    Cf::ALL.map(|cf| {
        let ends = runs.iter().flat_map(|(_, run)| {
            let items = run.of(cf);
            [items.first(), items.last()].into_iter().flatten().map(|item| run.key(item))
        });
        let mut common: Option<&[u8]> = None;
        for key in ends {
            let prefix = common.unwrap_or(key);
            let same = prefix.iter().zip(key).take_while(|(a, b)| a == b).count();
            common = Some(&prefix[..same]);
        }
        common.map_or(0, <[u8]>::len)
    })
}

/// Builds the index of all sorted runs, in which everything up to `visible` can be seen. Calls
/// `live` with the segment and size of each record that counts.
pub(super) fn load(
    runs: &[(NonZeroU32, Run)],
    visible: u64,
    usage: &Usage,
    mut live: impl FnMut(NonZeroU32, u64),
) -> Index<Location> {
    let ranges = runs.iter().flat_map(|(_, run)| run.ranges.iter().cloned()).collect();
    let mut removed = Ranges::new(ranges);
    let common = common_prefixes(runs);
    let mut heap: BinaryHeap<Next<'_>> = runs
        .iter()
        .filter(|(_, run)| !run.items.is_empty())
        .map(|&(segment, ref run)| Next { run, segment, at: 0, common: &common, head: 0 }.at(0))
        .collect();
    let mut loader = Loader::new();
    let mut last: Option<(Cf, &[u8])> = None;
    while let Some(mut next) = heap.peek_mut() {
        let (run, segment, item) = (next.run, next.segment, *next.item());
        match next.at + 1 {
            end if end == run.items.len() => drop(PeekMut::pop(next)),
            at => next.set(at),
        }
        let key = run.key(&item);
        if last == Some((item.cf, key)) {
            continue;
        }
        last = Some((item.cf, key));
        if item.kind == Kind::Put && item.seq >= removed.newest(item.cf, key) {
            let location = Location { segment, offset: item.offset, value_len: item.value_len };
            loader.push(item.cf, key, item.seq, location);
            usage.change(item.cf, key.len(), None, Some(item.value_len as usize));
            live(segment, item.record_len());
        }
    }
    loader.finish(visible)
}
