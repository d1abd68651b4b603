//! All groups in memory. Applying the items of each block in order makes the index, while
//! writing and while replaying alike: the index is a function of the blocks.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::group::{Group, Slot};
use crate::id::GroupId;
use crate::notes::{Damaged, Notes};
use crate::record::{Item, Note, Run, RunKind};
use crate::usage::Usage;
use mutant::mutant;

/// The groups and what they use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    groups: BTreeMap<GroupId, Group>,
    usage: Usage,
    notes: Notes,
}

/// The bounds that groups will have once the batches that were checked are applied.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    changed: BTreeMap<GroupId, Option<(u64, u64)>>,
}

impl Index {
    pub(crate) fn group(&self, group: GroupId) -> Option<&Group> {
        self.groups.get(&group)
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = (GroupId, &Group)> + '_ {
        self.groups.iter().map(|(id, group)| (*id, group))
    }

    pub(crate) fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Checks that the appends of a batch fit, after those that were checked before it.
    pub(crate) fn check(&self, items: &[Item], bounds: &mut Bounds) -> Result<()> {
        let mut new = BTreeMap::new();
        for item in items {
            let current = |group: &GroupId| match new.get(group).or(bounds.changed.get(group)) {
                Some(bounds) => *bounds,
                None => self.groups.get(group).and_then(Group::bounds),
            };
            match item {
                Item::Run(run) => {
                    let range = check_run(run, current(&run.group))?;
                    self.check_terms(run)?;
                    new.insert(run.group, Some(range));
                }
                Item::Compact { group, to } => {
                    let left = current(group).filter(|(_, last)| last >= to);
                    new.insert(*group, left.map(|(first, last)| (first.max(*to), last)));
                }
                Item::Clean { group } => {
                    new.insert(*group, None);
                }
                _ => {}
            }
        }
        bounds.changed.append(&mut new);
        Ok(())
    }

    /// Entries that are put back must be those that the group has.
    fn check_terms(&self, run: &Run) -> Result<()> {
        let Some(group) = self.groups.get(&run.group).filter(|_| run.kind != RunKind::Append)
        else {
            return Ok(());
        };
        for (index, term, ..) in run.placed(0) {
            if group.term(index).is_some_and(|known| known != term) {
                let group = run.group;
                return Err(Error::Gap { group, index, low: index, high: index });
            }
        }
        Ok(())
    }

    /// Applies the items of a block in segment `seq` whose payload starts at `payload`.
    pub(crate) fn apply(&mut self, items: &[Item], seq: u32, payload: u64) {
        let mut offset = payload;
        for item in items {
            match item {
                Item::Run(run) => {
                    let group = self.groups.entry(run.group).or_default();
                    apply_run(group, run, seq, offset, &mut self.usage);
                    if run.kind == RunKind::Faulty {
                        self.apply_lost(run);
                    }
                    offset += run.payload_len();
                }
                Item::Put { group, key, value } => {
                    self.groups.entry(*group).or_default().put(key, value, seq, &mut self.usage);
                }
                Item::Delete { group, key } => {
                    self.change(*group, |group, usage| group.delete(key, usage));
                }
                Item::Compact { group, to } => {
                    self.change(*group, |group, usage| group.compact(*to, usage));
                }
                Item::Clean { group } => self.change(*group, Group::clean),
                Item::Note(note) => self.apply_note(note),
                Item::Start(_) | Item::PurgedTo { .. } | Item::GaveUp { .. } => {}
            }
        }
    }

    /// Notes entries whose bytes are gone, as `purge` leaves them.
    fn apply_lost(&mut self, run: &Run) {
        let Some(group) = self.groups.get(&run.group) else { return };
        for (index, term, slot) in group.places(run.first..run.end()) {
            self.notes.written(run.group, index, Damaged { slot, term, durable: true });
        }
    }

    fn apply_note(&mut self, note: &Note) {
        let Some(group) = self.groups.get(&note.group) else { return };
        let range = note.first..note.first.saturating_add(note.count);
        for (index, term, slot) in group.places(range).filter(|(_, term, _)| *term == note.term) {
            let durable = note.durable;
            self.notes.written(note.group, index, Damaged { slot, term, durable });
        }
    }

    /// Takes in that an entry was found damaged, unless it is another one by now. The next blocks
    /// carry a note of it.
    pub(crate) fn found(&mut self, id: GroupId, index: u64, slot: Slot, durable: bool) {
        let place = self.groups.get(&id).and_then(|group| group.places(index..index + 1).next());
        if let Some((_, term, _)) = place.filter(|(.., current)| *current == slot) {
            self.notes.found(id, index, Damaged { slot, term, durable });
        }
    }

    /// Whether the log does not say yet that this entry is damaged.
    pub(crate) fn is_unwritten(&self, id: GroupId, index: u64) -> bool {
        self.notes.is_unwritten(id, index)
    }

    /// Whether damage was found that the log does not say yet.
    pub(crate) fn wants_notes(&self) -> bool {
        self.notes.any_unwritten() && !mutant!("wal-damage-forgotten")
    }

    /// The notes that are to be written, at most so many items.
    pub(crate) fn unwritten_notes(&mut self, items_max: usize) -> Vec<Item> {
        self.drop_void_notes();
        self.notes.unwritten(items_max)
    }

    /// Forgets the damage of entries that are elsewhere now.
    pub(crate) fn drop_void_notes(&mut self) {
        self.notes.drop_void(|id, index| self.groups.get(&id)?.slot(index));
    }

    /// The entries that are known to be damaged, after [`Index::drop_void_notes`].
    pub(crate) fn damaged(&self) -> impl Iterator<Item = (GroupId, u64, Damaged)> + '_ {
        self.notes.known()
    }

    /// What is known of one entry's damage.
    pub(crate) fn damage_of(&self, id: GroupId, index: u64, slot: Slot) -> Option<Damaged> {
        self.notes.get(id, index).filter(|damaged| damaged.slot == slot)
    }

    /// An entry that was noted can be read again, so that it is not damaged.
    pub(crate) fn sound(&mut self, id: GroupId, index: u64) {
        self.notes.forget(id, index);
    }

    /// Changes a group if it exists, and forgets it if nothing is left of it.
    fn change(&mut self, id: GroupId, change: impl FnOnce(&mut Group, &mut Usage)) {
        if let Some(group) = self.groups.get_mut(&id) {
            change(group, &mut self.usage);
            if group.is_empty() {
                self.groups.remove(&id);
            }
        }
    }

    /// Ends replay: see [`Group::settle`]. What is missing is known to be damaged.
    pub(crate) fn settle(&mut self) {
        for (id, group) in &mut self.groups {
            for index in group.settle(&mut self.usage) {
                if let Some((_, term, slot)) = group.places(index..index + 1).next() {
                    // The hole itself says it at every start.
                    self.notes.written(*id, index, Damaged { slot, term, durable: true });
                }
            }
        }
    }

    /// About how many bytes the index takes.
    pub(crate) fn memory(&self) -> usize {
        self.groups.values().map(|group| group.memory() + size_of::<GroupId>()).sum()
    }
}

/// Gives the bounds after the run.
fn check_run(run: &Run, bounds: Option<(u64, u64)>) -> Result<(u64, u64)> {
    let (group, index) = (run.group, run.first);
    let run_last = run.end() - 1;
    match (run.kind, bounds) {
        (RunKind::Append, None) => Ok((index, run_last)),
        (RunKind::Append, Some((first, last))) => {
            if index < first || index > last + 1 {
                return Err(Error::Gap { group, index, low: first, high: last + 1 });
            }
            Ok((first, run_last))
        }
        (_, None) => Err(Error::Unavailable { group, index, last: 0 }),
        (_, Some((first, last))) if index >= first && run_last <= last => Ok((first, last)),
        (_, Some((first, _))) if index < first => Err(Error::Compacted { group, index, first }),
        (_, Some((_, last))) => Err(Error::Unavailable { group, index: run_last, last }),
    }
}

fn apply_run(group: &mut Group, run: &Run, seq: u32, offset: u64, usage: &mut Usage) {
    let faulty = run.kind == RunKind::Faulty;
    let slots = run
        .placed(offset)
        .map(|(index, term, at, stored)| (index, (term, Slot::new(seq, at, stored, faulty))));
    if run.kind == RunKind::Append {
        group.append_run(run.first, run.entries.len(), slots.map(|(_, entry)| entry), usage);
        return;
    }
    for (index, (term, slot)) in slots {
        group.insert(index, term, slot, usage);
    }
}
