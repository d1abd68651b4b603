//! One log in memory for both sides, so that neither is measured by its storage: a queue of entries
//! without locks, into which entries are cloned one by one and out of which ranges are cloned.

use std::collections::VecDeque;

/// What a log must know of an entry.
pub(crate) trait Numbered: Clone {
    fn index(&self) -> u64;
    fn term(&self) -> u64;
}

/// Entries without gaps, after what is compacted.
#[derive(Debug)]
pub(crate) struct Log<E> {
    compacted: (u64, u64),
    entries: VecDeque<E>,
}

impl<E> Default for Log<E> {
    fn default() -> Log<E> {
        Log { compacted: (0, 0), entries: VecDeque::new() }
    }
}

impl<E: Numbered> Log<E> {
    pub(crate) fn first(&self) -> u64 {
        self.compacted.0 + 1
    }

    pub(crate) fn last(&self) -> u64 {
        self.compacted.0 + self.entries.len() as u64
    }

    pub(crate) fn term(&self, index: u64) -> Option<u64> {
        match index.checked_sub(self.first()) {
            Some(place) => self.entries.get(place as usize).map(Numbered::term),
            None => (index == self.compacted.0).then_some(self.compacted.1),
        }
    }

    /// Appends entries, in the place of what stood there.
    pub(crate) fn append(&mut self, entries: &[E]) {
        if let Some(first) = entries.first() {
            self.entries.truncate((first.index() - self.first()) as usize);
            self.entries.extend(entries.iter().cloned());
        }
    }

    pub(crate) fn range(&self, lo: u64, hi: u64) -> Vec<E> {
        let first = self.first();
        self.entries.range((lo - first) as usize..(hi - first) as usize).cloned().collect()
    }

    /// Forgets what stands up to `index`.
    pub(crate) fn compact(&mut self, index: u64) {
        if let (Some(term), true) = (self.term(index), index > self.compacted.0) {
            self.entries.drain(..(index - self.compacted.0) as usize);
            self.compacted = (index, term);
        }
    }

    /// Begins anew after a snapshot.
    pub(crate) fn restart(&mut self, index: u64, term: u64) {
        self.entries.clear();
        self.compacted = (index, term);
    }
}
