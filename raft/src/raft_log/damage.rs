//! Damaged entries, and how they are fetched again.
//!
//! What stands after a damaged entry may be acknowledged, so it must stay unless the leader's log is
//! another one. Whether the leader's entry at a damaged place is a copy of what stood there is known
//! if the entry is committed, if its term is known, or if its neighbours leave no other. Else the
//! first sound entry after it tells: if the leader has the same one there, all before it are the same
//! (Log Matching, section 5.3). Until the leader has sent so far, its entries are held in memory, and
//! it is told that the log is intact up to the last of them, so that it goes on after that. That says
//! nothing new of what this node has: a report of damage never raises what a leader takes for matching.

use super::RaftLog;
use crate::entry::{Entries, Entry};
use crate::storage::Storage;
use crate::types::{EntryId, Index, Term};

/// Entries of a leader from the first damaged place on, without a gap.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The term of that leader.
    term: Term,
    entries: Vec<Entry>,
}

/// What is to be done with an append to a log with damaged entries.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// It can be taken: these entries after this one, which are the append's or more.
    Ready(EntryId, Entries),
    /// It cannot be taken yet; the leader should go on after this entry.
    Asks(EntryId),
}

impl<S: Storage> RaftLog<S> {
    /// Looks at an append of the leader of `term`, which may bring what is damaged.
    pub(crate) fn fetch(&mut self, term: Term, prev: EntryId, entries: Entries) -> Fetched {
        let Some(first) = self.first_faulty() else { return Fetched::Ready(prev, entries) };
        let held = self.held(term);
        if prev.index >= first {
            // It may go on where what is held ends.
            if held.last().is_none_or(|last| last.id() != prev) {
                return Fetched::Asks(self.intact(term));
            }
            let all = held.iter().cloned().chain(entries.iter().cloned()).collect();
            let before =
                EntryId { term: self.term(first.prev()).unwrap_or_default(), index: first.prev() };
            return self.judge(term, before, Entries::new(all));
        }
        self.judge(term, prev, entries)
    }

    /// The last entry up to which a leader of `term` need not send.
    pub(crate) fn intact(&self, term: Term) -> EntryId {
        match (self.held(term).last(), self.first_faulty()) {
            (Some(last), _) => last.id(),
            (None, Some(first)) => self.conflict_hint(first.prev(), Term(u64::MAX)),
            (None, None) => self.last(),
        }
    }

    /// What is held of the leader of `term`.
    fn held(&self, term: Term) -> &[Entry] {
        let held = &self.held.entries[..];
        match held.first().map(|entry| entry.index) == self.first_faulty() && self.held.term == term
        {
            true => held,
            false => &[],
        }
    }

    /// Repairs what is known to be the same, and holds what may be.
    fn judge(&mut self, term: Term, prev: EntryId, entries: Entries) -> Fetched {
        if prev.index < self.committed {
            // What goes beyond is not looked at: it may not follow what is here.
            let end = self.committed.next();
            self.repair(entries.iter().take_while(|entry| entry.index < end));
            return Fetched::Ready(prev, entries);
        }
        let first = self.first_faulty();
        let mut before = entries.iter().take_while(|entry| Some(entry.index) < first);
        if !self.matches(prev) || before.any(|entry| !self.is_ours(entry)) {
            // It is refused, or replaces what is before the damage.
            return Fetched::Ready(prev, entries);
        }
        self.repair(entries.iter());
        let end = prev.index.plus(entries.len() as u64);
        let first = self.first_faulty().filter(|first| *first <= end);
        let Some(first) = first.filter(|first| self.storage.term(*first).is_err()) else {
            return Fetched::Ready(prev, entries);
        };
        let sound = self.sound_after(first);
        let Some(sound) = sound.filter(|_| !crate::mutant!("faulty_cuts_what_follows")) else {
            return Fetched::Ready(prev, entries);
        };
        match entries.iter().find(|entry| entry.index >= sound.index) {
            Some(theirs) if theirs.id() == sound => self.repair_before(sound.index, &entries),
            Some(_) => {}
            // Terms do not go back within a log, so the leader's is another one.
            None if entries.last_id().term > sound.term => {}
            None => {
                let held = entries.iter().filter(|entry| entry.index >= first).cloned();
                self.held = Held { term, entries: held.collect() };
                return Fetched::Asks(entries.last_id());
            }
        }
        Fetched::Ready(prev, entries)
    }

    /// The first entry after `index` that is not damaged.
    fn sound_after(&self, index: Index) -> Option<EntryId> {
        let mut index = index;
        while index < self.last.index {
            index = index.next();
            if self.faulty.binary_search(&index).is_err() {
                return self.term(index).ok().map(|term| EntryId { term, index });
            }
        }
        None
    }

    fn is_ours(&self, entry: &Entry) -> bool {
        self.matches(entry.id()) || self.is_fetched(entry)
    }

    /// Takes the entries at all damaged places before `end`: they are copies.
    fn repair_before(&mut self, end: Index, entries: &Entries) {
        for entry in entries.iter().filter(|entry| entry.index < end) {
            if let Ok(place) = self.faulty.binary_search(&entry.index) {
                self.repair_at(place, entry);
            }
        }
    }

    fn repair_at(&mut self, place: usize, entry: &Entry) {
        crate::mark!("a damaged entry is fetched from the leader");
        self.faulty.remove(place);
        self.repairing.push(entry.index);
        self.repaired.push(entry.clone());
        if entry.index == self.last.index {
            self.last.term = entry.term;
        }
    }

    /// Takes fresh copies of damaged entries that are known by themselves to be copies.
    fn repair<'a>(&mut self, entries: impl Iterator<Item = &'a Entry>) {
        for entry in entries {
            let Ok(place) = self.faulty.binary_search(&entry.index) else { continue };
            let is_last = entry.index == self.last.index;
            let term = |index| self.term(index).ok();
            let is_copy = match self.storage.term(entry.index) {
                // No leader lacks what is committed (Leader Completeness, section 5.4).
                _ if entry.index <= self.committed && !crate::mutant!("faulty_committed_kept") => {
                    true
                }
                // Storage knows the name of what it cannot read.
                Ok(known) => known == entry.term,
                // Terms do not go back within a log. So between two entries of one term stands one
                // of that term, and at the end one of no earlier term than the one before it.
                Err(_) if is_last => term(entry.index.prev()).is_some_and(|it| it <= entry.term),
                Err(_) => [entry.index.prev(), entry.index.next()]
                    .iter()
                    .all(|neighbour| term(*neighbour) == Some(entry.term)),
            };
            if is_copy {
                self.repair_at(place, entry);
            }
        }
    }

    /// Whether this is the fresh copy of a damaged entry, which is not in storage yet.
    pub(super) fn is_fetched(&self, entry: &Entry) -> bool {
        self.repaired.iter().any(|repaired| repaired.id() == entry.id())
    }

    /// Records that fresh copies of damaged entries are durable.
    pub(crate) fn repairs_stored(&mut self, indexes: &[Index]) {
        if !indexes.is_empty() {
            self.repairing.retain(|index| !indexes.contains(index));
        }
    }
}
