//! What is known of damaged entries: [`Notes`].
//!
//! Damage is found by recovery, by a read or by the scrubber. Later starts do not look at every
//! entry again, so the log says which ones to look at: the next block carries a note of each. A
//! note is about one place. Once the entry is replaced, compacted, removed or moved by a purge, its
//! place is another one and the note is void; nothing has to be taken back.
//!
//! ```text
//! found damaged at a start,     before `open` returns   + then the next start reads the place:
//!   whose bytes are gone        they are gone already   |   bad:  it is named again
//! found by a read or a scrub    in the next block       +   good: the disk had only refused it
//! ```
//!
//! A noted entry is read at each start, since what a disk refuses today it may give tomorrow.
//!
//! Invariant: until all that a start found is noted, no block calls what is damaged durable (see
//! `Appender::write_notes`). So whoever recovers in between finds the same again.

use std::collections::{BTreeMap, BTreeSet};

use crate::group::Slot;
use crate::id::GroupId;
use crate::record::{Item, Note};

/// A damaged entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged {
    /// Where it was found damaged. If it is elsewhere now, this is void.
    pub(crate) slot: Slot,
    pub(crate) term: u64,
    /// Whether it was durable before; otherwise it may never have been acknowledged.
    pub(crate) durable: bool,
}

/// The damaged entries by group and index, among them void ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    known: BTreeMap<(GroupId, u64), Damaged>,
    /// Those of which the log does not say it yet.
    unwritten: BTreeSet<(GroupId, u64)>,
}

impl Notes {
    /// Takes in what a read found, unless it is known.
    pub(crate) fn found(&mut self, group: GroupId, index: u64, damaged: Damaged) {
        let known = self.known.get(&(group, index));
        if known.is_none_or(|known| known.slot != damaged.slot) {
            self.known.insert((group, index), damaged);
            self.unwritten.insert((group, index));
        }
    }

    /// Takes in what a block of the log says.
    pub(crate) fn written(&mut self, group: GroupId, index: u64, damaged: Damaged) {
        self.known.insert((group, index), damaged);
        self.unwritten.remove(&(group, index));
    }

    pub(crate) fn forget(&mut self, group: GroupId, index: u64) {
        self.known.remove(&(group, index));
        self.unwritten.remove(&(group, index));
    }

    pub(crate) fn get(&self, group: GroupId, index: u64) -> Option<Damaged> {
        self.known.get(&(group, index)).copied()
    }

    pub(crate) fn known(&self) -> impl Iterator<Item = (GroupId, u64, Damaged)> + '_ {
        self.known.iter().map(|((group, index), damaged)| (*group, *index, *damaged))
    }

    pub(crate) fn is_unwritten(&self, group: GroupId, index: u64) -> bool {
        self.unwritten.contains(&(group, index))
    }

    pub(crate) fn any_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Forgets the void ones, given where each entry is.
    pub(crate) fn drop_void(&mut self, slot: impl Fn(GroupId, u64) -> Option<Slot>) {
        self.known.retain(|(group, index), known| slot(*group, *index) == Some(known.slot));
        self.unwritten.retain(|key| self.known.contains_key(key));
    }

    /// The notes that the log lacks, neighbours in one item; at most so many items.
    pub(crate) fn unwritten(&self, items_max: usize) -> Vec<Item> {
        let mut notes: Vec<Note> = Vec::new();
        for (group, index) in &self.unwritten {
            let Damaged { term, durable, .. } = self.known[&(*group, *index)];
            let full = notes.len() == items_max;
            match notes.last_mut() {
                Some(note)
                    if (note.group, note.first + note.count) == (*group, *index)
                        && (note.term, note.durable) == (term, durable) =>
                {
                    note.count += 1;
                }
                _ if full => break,
                _ => notes.push(Note { group: *group, first: *index, count: 1, term, durable }),
            }
        }
        notes.into_iter().map(Item::Note).collect()
    }
}
