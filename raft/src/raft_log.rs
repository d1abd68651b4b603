//! The replicated log (section 5.3): the end in memory, the rest in storage.
//!
//! ```text
//!   compacted |  applied   applying   committed      stable     handed        last
//!   ----------+----|----------|-----------|------------|-----------|------------|
//!    snapshot |  in storage ................... durable | being     | not yet
//!                                                       | written   | handed out
//! ```
//!
//! Invariants:
//! - `applied <= applying <= committed <= last.index`, and each of them only grows;
//! - `stable <= handed <= last.index`; both fall when entries are replaced;
//! - entries at or below `committed` are never replaced;
//! - while `snapshot` is set, the log is empty after it and nothing is handed out as committed.

mod damage;
mod tail;

use std::collections::VecDeque;

pub(crate) use self::damage::Fetched;
use self::damage::Held;
use self::tail::Tail;
use crate::entry::{ENTRY_OVERHEAD_BYTES, Entries, Entry, Payload, prefix_within};
use crate::error::{ConfigError, StepError, StorageError};
use crate::membership::Membership;
use crate::message::Snapshot;
use crate::storage::{InitialState, Storage};
use crate::types::{EntryId, Index, Term};

/// The log of one node.
#[derive(Debug)]
pub(crate) struct RaftLog<S> {
    pub(crate) storage: S,
    tail: Tail,
    /// The last entry. If damage took its term, an upper bound of it.
    last: EntryId,
    /// Everything up to here is durable.
    stable: Index,
    /// Everything up to here is durable or in a `Ready` that was handed out.
    handed: Index,
    committed: Index,
    /// Everything up to here was handed out as committed.
    applying: Index,
    applied: Index,
    /// What was handed out as committed and is not applied.
    in_apply: InApply,
    /// A snapshot that is not durable yet.
    snapshot: Option<Box<Snapshot>>,
    /// The snapshot is in a `Ready` that was handed out.
    snapshot_handed: bool,
    /// Damaged entries, ascending; see [`crate::storage`].
    faulty: Vec<Index>,
    /// Fresh copies of damaged entries, to be written in place.
    repaired: Vec<Entry>,
    /// The places of fresh copies that are not durable yet; storage cannot read them back before.
    repairing: Vec<Index>,
    /// What the leader has at damaged places, while it is not known to be the same.
    held: Held,
    /// The last run that had to be gathered from several batches, for the next follower.
    gathered: Entries,
    gathered_limit: u64,
}

/// The window of committed entries that the application works on.
#[derive(Debug)]
struct InApply {
    /// The last index, the size, and the command bytes of each hand-out.
    chunks: VecDeque<(Index, u64, u64)>,
    bytes: u64,
    bytes_max: u64,
    /// No more until something is applied.
    paused: bool,
}

impl<S: Storage> RaftLog<S> {
    /// Opens the log as it stands in storage.
    pub(crate) fn open(
        storage: S,
        state: &InitialState,
        applied: Index,
        applying_bytes_max: u64,
    ) -> Result<RaftLog<S>, ConfigError> {
        let inconsistent = ConfigError::Inconsistent;
        let (first, last) = (storage.first_index(), storage.last_index());
        if last.next() < first {
            return Err(inconsistent("the log ends before it begins"));
        }
        let compacted = first.prev();
        // The commit index may be behind, since it need not be synced; what is applied was committed.
        // It is never ahead of the log: it is written after the entries that it covers. Were it cut to
        // the log instead, an entry that a leader had replaced could pass for the committed one.
        let commit_known = match crate::mutant!("applied_not_committed") {
            true => state.hard_state.commit,
            false => state.hard_state.commit.max(applied),
        };
        let committed = commit_known.max(compacted);
        if committed > last {
            return Err(inconsistent("committed or applied entries are missing"));
        }
        // Stands in for the term of a damaged last entry: no smaller than the real one, so that no
        // vote is given to a log that may lack the entry.
        let unknown_term = state.hard_state.term;
        let last_term = match storage.term(last) {
            Ok(term) => term,
            Err(StorageError::Faulty { .. }) => unknown_term,
            Err(error) => return Err(error.into()),
        };
        let applied = applied.max(compacted);
        // What is applied is in the state machine; should a follower need the entry, it gets a
        // snapshot. Where the damage took the term too: a snapshot must tell the term of the last
        // applied entry, so that one is fetched again, if there are others to ask. And without the
        // term of its last entry this node does not know how up-to-date its log is, and must not ask
        // for votes with a guess.
        let alone = state.membership.voters.ids().count() <= 1;
        let tells_term = |index: Index| {
            index == applied && !alone && !crate::mutant!("applied_damage_forgotten")
        };
        let is_nameless = |index: Index| storage.term(index).is_err();
        let needed = |index: &Index| {
            *index > applied || is_nameless(*index) && (tells_term(*index) || *index == last)
        };
        let faulty = state.faulty.iter().copied().filter(needed).collect();
        let in_apply = InApply {
            chunks: VecDeque::new(),
            bytes: 0,
            bytes_max: applying_bytes_max,
            paused: false,
        };
        Ok(RaftLog {
            tail: Tail::new(last.next()),
            last: EntryId { term: last_term, index: last },
            stable: last,
            handed: last,
            committed,
            applying: applied,
            applied,
            in_apply,
            snapshot: None,
            snapshot_handed: false,
            faulty,
            repaired: Vec::new(),
            repairing: Vec::new(),
            held: Held::default(),
            gathered: Entries::default(),
            gathered_limit: 0,
            storage,
        })
    }

    pub(crate) fn last(&self) -> EntryId {
        self.last
    }

    pub(crate) fn committed(&self) -> Index {
        self.committed
    }

    pub(crate) fn applied(&self) -> Index {
        self.applied
    }

    /// Returns the first index whose entry can be had.
    pub(crate) fn first_index(&self) -> Index {
        match &self.snapshot {
            Some(snapshot) => snapshot.last.index.next(),
            None => self.storage.first_index(),
        }
    }

    /// Returns the first damaged entry.
    pub(crate) fn first_faulty(&self) -> Option<Index> {
        self.faulty.first().copied()
    }

    /// Returns the term of an entry, or of the one just before the first.
    pub(crate) fn term(&self, index: Index) -> Result<Term, StorageError> {
        if index == self.last.index {
            return Ok(self.last.term);
        }
        if let Some(term) = self.tail.term(index) {
            return Ok(term);
        }
        if index > self.last.index {
            return Err(StorageError::Unavailable { last: self.last.index });
        }
        if let Some(snapshot) = &self.snapshot {
            return match index == snapshot.last.index {
                true => Ok(snapshot.last.term),
                false => Err(StorageError::Compacted { up_to: snapshot.last.index }),
            };
        }
        self.storage.term(index)
    }

    /// Returns whether the log holds this entry (and so, by Log Matching, all before it).
    pub(crate) fn matches(&self, id: EntryId) -> bool {
        self.term(id.index) == Ok(id.term)
    }

    /// Returns whether a log that ends at `last` is at least as up-to-date as this one (5.4.1).
    pub(crate) fn is_up_to_date(&self, last: EntryId) -> bool {
        if crate::mutant!("up_to_date_componentwise") {
            return last.term >= self.last.term && last.index >= self.last.index;
        }
        if crate::mutant!("up_to_date_length_only") {
            return last.index >= self.last.index;
        }
        if crate::mutant!("up_to_date_unchecked") {
            return true;
        }
        if crate::mutant!("faulty_votes_shorter")
            && let Some(faulty) = self.first_faulty()
        {
            return last.index >= faulty.prev();
        }
        last >= self.last
    }

    /// Returns the last entry at or before `index` whose term is not above `term`: the latest that
    /// can match a log whose entry there has `term`. One probe skips a whole term of conflicts.
    pub(crate) fn conflict_hint(&self, index: Index, term: Term) -> EntryId {
        let mut index = index;
        while index > Index(0) {
            match self.term(index) {
                Ok(ours) if ours <= term => return EntryId { term: ours, index },
                Ok(_) => index = index.prev(),
                // Unknown: say nothing of the term, and let the other side try here.
                Err(_) => return EntryId { term: Term(0), index },
            }
        }
        EntryId::default()
    }

    /// Returns whether any entry in `(after, up_to]` changes the membership.
    pub(crate) fn has_change(&self, after: Index, up_to: Index) -> bool {
        let mut lo = after.next();
        while lo <= up_to {
            let run = if self.tail.first() <= lo {
                match self.tail.get(lo) {
                    Some(entry) if matches!(entry.payload, Payload::Change(_)) => return true,
                    Some(_) => {
                        lo = lo.next();
                        continue;
                    }
                    None => return false,
                }
            } else {
                match self.storage.entries(lo, up_to.next(), 1 << 20) {
                    Ok(run) => run,
                    // What cannot be read may be a change.
                    Err(_) => return true,
                }
            };
            if run.is_empty() || run.has_change() {
                return !run.is_empty();
            }
            lo = run.last_id().index.next();
        }
        false
    }

    /// Appends an entry of this node's own making.
    pub(crate) fn push(&mut self, term: Term, payload: Payload) -> EntryId {
        self.last = EntryId { term, index: self.last.index.next() };
        self.tail.push(Entry { term, index: self.last.index, payload });
        self.last
    }

    pub(crate) fn reserve(&mut self, count: usize) {
        self.tail.reserve(count);
    }

    /// Takes entries of a leader whose `prev` matches here; returns the last index that now matches.
    ///
    /// Only a conflict cuts the log off. An append may be late: were everything after its entries
    /// dropped, a delayed message would delete entries that are acknowledged since.
    pub(crate) fn merge(&mut self, prev: EntryId, entries: &Entries) -> Result<Index, StepError> {
        let matched = prev.index.plus(entries.len() as u64);
        let all_new = prev.index == self.last.index || crate::mutant!("truncate_always");
        let conflict = match all_new {
            true => entries.first(),
            false => {
                entries.iter().find(|entry| !self.matches(entry.id()) && !self.is_fetched(entry))
            }
        };
        let Some(conflict) = conflict else { return Ok(matched) };
        if conflict.index <= self.committed && !crate::mutant!("truncate_always") {
            return Err(StepError::Violation { theirs: conflict.id() });
        }
        let from = conflict.index;
        let skip = (from.0 - prev.index.0 - 1) as usize;
        let news =
            if skip == 0 { entries.clone() } else { entries.cut(skip, entries.len() - skip) };
        self.replace_from(from, news);
        Ok(matched)
    }

    fn replace_from(&mut self, from: Index, entries: Entries) {
        if from <= self.last.index {
            crate::mark!("entries are replaced by those of a new leader");
            self.tail.truncate_from(from);
            self.stable = self.stable.min(from.prev());
            self.handed = self.handed.min(from.prev());
            self.faulty.retain(|faulty| *faulty < from);
            self.repairing.retain(|index| *index < from);
            self.repaired.retain(|entry| entry.index < from);
            self.gathered = Entries::default();
        }
        self.last = entries.last_id();
        self.tail.push_batch(entries);
    }

    /// Takes back what was pushed after `last` and was not handed out.
    pub(crate) fn retract(&mut self, last: Index) {
        if last < self.last.index {
            self.tail.truncate_from(last.next());
            let term = self.term(last).unwrap_or(self.last.term);
            self.last = EntryId { term, index: last };
        }
    }

    /// Checks that what an append names below the commit index is what is committed here. Every leader
    /// has that (Leader Completeness, section 5.4), unless somebody lost what he had acknowledged.
    pub(crate) fn check_committed(
        &self,
        prev: EntryId,
        entries: &Entries,
    ) -> Result<(), StepError> {
        let contradicts = |id: &EntryId| {
            // What is compacted or damaged cannot be compared.
            id.index <= self.committed
                && self.faulty.binary_search(&id.index).is_err()
                && self.term(id.index).is_ok_and(|term| term != id.term)
        };
        let named = std::iter::once(prev).chain(entries.iter().map(Entry::id));
        match named.into_iter().find(contradicts) {
            Some(theirs) if !crate::mutant!("committed_contradiction_ignored") => {
                Err(StepError::Violation { theirs })
            }
            _ => Ok(()),
        }
    }

    /// Checks that what the leader takes for acknowledged by this node is here. Nothing but a leader
    /// of a later term takes away what was acknowledged, and after that nobody listens to this one.
    pub(crate) fn check_acknowledged(&self, acknowledged: Index) -> Result<(), StepError> {
        let last = self.last.index;
        match acknowledged > last && !crate::mutant!("forgotten_ignored") {
            true => Err(StepError::Forgotten { acknowledged, last }),
            false => Ok(()),
        }
    }

    /// Raises the commit index; a lower one changes nothing. Returns whether it rose.
    pub(crate) fn commit_to(&mut self, index: Index) -> bool {
        let index = index.min(self.last.index);
        if crate::mutant!("commit_regress") && index > Index(0) {
            self.committed = index.max(self.applied);
            return true;
        }
        if index <= self.committed {
            return false;
        }
        self.committed = index;
        true
    }

    /// Returns entries from `lo` on, as one batch within `max_bytes`; at least one.
    pub(crate) fn slice(&mut self, lo: Index, max_bytes: u64) -> Result<Entries, StorageError> {
        if lo > self.last.index {
            return Ok(Entries::default());
        }
        self.tail.seal();
        let hi = self.last.index.next();
        let first = self.run(lo, hi, max_bytes)?;
        let mut next = lo.plus(first.len() as u64);
        if next >= hi {
            return Ok(first);
        }
        if self.gathered.first_index() == lo
            && self.gathered_limit == max_bytes
            && self.gathered.last_id().index.next() == hi
        {
            return Ok(self.gathered.clone());
        }
        let mut all: Vec<Entry> = first.to_vec();
        let mut bytes = if max_bytes == u64::MAX { 0 } else { first.size_bytes() };
        while next < hi && bytes < max_bytes {
            let Ok(run) = self.run(next, hi, max_bytes - bytes) else { break };
            if max_bytes != u64::MAX {
                let size = run.size_bytes();
                if bytes.saturating_add(size) > max_bytes {
                    break;
                }
                bytes += size;
            }
            if all.len() + run.len() > crate::entry::BATCH_ENTRIES_MAX {
                break;
            }
            next = next.plus(run.len() as u64);
            all.extend_from_slice(&run);
        }
        if all.len() == first.len() {
            return Ok(first);
        }
        let gathered = Entries::new(all);
        if next == hi {
            (self.gathered, self.gathered_limit) = (gathered.clone(), max_bytes);
        }
        Ok(gathered)
    }

    /// Returns some entries from `lo` on that stand together, at least one.
    fn run(&self, lo: Index, hi: Index, max_bytes: u64) -> Result<Entries, StorageError> {
        if lo < self.tail.first() {
            if lo < self.first_index() {
                return Err(StorageError::Compacted { up_to: self.first_index().prev() });
            }
            let hi = hi.min(self.tail.first());
            return self.storage.entries(lo, hi, max_bytes);
        }
        Ok(self.tail.run(lo, hi).into_limited(max_bytes))
    }

    // What goes to disk.

    /// Returns whether there are entries to write that were not handed out.
    pub(crate) fn has_unhanded(&self) -> bool {
        self.handed < self.last.index || !self.repaired.is_empty()
    }

    /// Returns whether anything is not durable yet: new entries, or old ones to be replaced.
    pub(crate) fn has_unstable(&self) -> bool {
        self.stable < self.last.index
    }

    /// Moves the entries to write into `out`.
    #[inline]
    pub(crate) fn hand_out(&mut self, out: &mut Vec<Entries>, repaired: &mut Vec<Entry>) {
        self.tail.seal();
        let hi = self.last.index.next();
        while self.handed < self.last.index {
            let run = self.tail.run(self.handed.next(), hi);
            self.handed = self.handed.plus(run.len() as u64);
            out.push(run);
        }
        repaired.append(&mut self.repaired);
    }

    /// Records that everything up to `id` is durable, if the log still holds `id`.
    ///
    /// The check of the term is what makes a late report harmless: the entry may have been replaced
    /// since by one at the same index, which is not written yet.
    pub(crate) fn stable_to(&mut self, id: EntryId) {
        let holds = self.matches(id) || crate::mutant!("stale_write_report");
        if id.index <= self.stable || id.index > self.last.index || !holds {
            return;
        }
        self.stable = id.index;
        self.handed = self.handed.max(id.index);
        self.tail.forget_to(self.stable.min(self.applied));
    }

    // What goes to the state machine.

    /// Returns the last index that may be applied.
    fn appliable(&self, unstable_too: bool) -> Index {
        let mut committed = self.committed;
        if !self.faulty.is_empty() || !self.repairing.is_empty() {
            let unreadable = self.faulty.iter().chain(&self.repairing);
            committed = unreadable.fold(committed, |end, index| end.min(index.prev()));
        }
        match unstable_too || crate::mutant!("apply_unpersisted") {
            true => committed,
            false => committed.min(self.stable),
        }
    }

    /// Returns whether there are committed entries to hand out.
    #[inline]
    pub(crate) fn has_committed(&self, unstable_too: bool) -> bool {
        let snapshot_waits = self.snapshot.is_some() && !crate::mutant!("apply_over_snapshot");
        !self.in_apply.paused && !snapshot_waits && self.applying < self.appliable(unstable_too)
    }

    /// Moves committed entries into `out`, within the limit on what is being applied.
    #[inline]
    pub(crate) fn hand_out_committed(
        &mut self,
        unstable_too: bool,
        out: &mut Vec<Entries>,
    ) -> Result<(), StorageError> {
        if !self.has_committed(unstable_too) {
            return Ok(());
        }
        self.tail.seal();
        let end = self.appliable(unstable_too);
        let budget = self.in_apply.bytes_max.saturating_sub(self.in_apply.bytes);
        let (mut bytes, mut payload_bytes) = (0u64, 0u64);
        while self.applying < end {
            let run = match self.run(self.applying.next(), end.next(), u64::MAX) {
                Ok(run) => run,
                Err(_) if bytes > 0 => break,
                Err(error) => return Err(error),
            };
            let Some((run, size)) = fit(run, budget - bytes.min(budget), bytes == 0) else {
                break;
            };
            bytes += size;
            payload_bytes += size - ENTRY_OVERHEAD_BYTES * run.len() as u64;
            self.applying = self.applying.plus(run.len() as u64);
            out.push(run);
            if bytes >= budget {
                break;
            }
        }
        self.in_apply.bytes = self.in_apply.bytes.saturating_add(bytes);
        self.in_apply.chunks.push_back((self.applying, bytes, payload_bytes));
        self.in_apply.paused =
            self.in_apply.bytes >= self.in_apply.bytes_max || self.applying < end;
        if crate::mutant!("pagination_skips") {
            self.applying = end;
        }
        Ok(())
    }

    /// Records that everything up to `index` is applied; returns the command bytes that this frees.
    /// The size of a hand-out is freed when all of it is applied.
    pub(crate) fn applied_to(&mut self, index: Index) -> u64 {
        let index = index.min(self.committed);
        if index <= self.applied {
            return 0;
        }
        self.applied = index;
        self.applying = self.applying.max(index);
        let mut freed = 0;
        while let Some((last, bytes, payload_bytes)) = self.in_apply.chunks.front()
            && *last <= index
        {
            self.in_apply.bytes = self.in_apply.bytes.saturating_sub(*bytes);
            freed += payload_bytes;
            self.in_apply.chunks.pop_front();
        }
        self.in_apply.paused = self.in_apply.bytes >= self.in_apply.bytes_max;
        self.tail.forget_to(self.stable.min(self.applied));
        if !self.gathered.is_empty() && self.gathered.last_id().index <= self.applied {
            self.gathered = Entries::default();
        }
        freed
    }

    /// Frees what is empty.
    pub(crate) fn release_buffers(&mut self) {
        if self.in_apply.chunks.is_empty() {
            self.in_apply.chunks = VecDeque::new();
        }
        self.tail.release_buffers();
    }

    // Snapshots.

    /// Replaces the log by a snapshot of committed state.
    pub(crate) fn restore(&mut self, snapshot: Box<Snapshot>) {
        let last = snapshot.last;
        self.tail = Tail::new(last.index.next());
        self.last = last;
        self.stable = last.index;
        self.handed = last.index;
        self.committed = last.index;
        self.faulty.clear();
        self.repaired.clear();
        self.repairing.clear();
        self.gathered = Entries::default();
        self.snapshot = Some(snapshot);
        self.snapshot_handed = false;
    }

    /// Returns the snapshot that is not durable yet.
    pub(crate) fn pending_snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_deref()
    }

    /// Returns whether a snapshot is to be handed out.
    pub(crate) fn has_unhanded_snapshot(&self) -> bool {
        self.snapshot.is_some() && !self.snapshot_handed
    }

    /// Hands the snapshot out, once.
    pub(crate) fn hand_out_snapshot(&mut self) -> Option<Snapshot> {
        if !self.has_unhanded_snapshot() {
            return None;
        }
        self.snapshot_handed = true;
        self.snapshot.as_deref().cloned()
    }

    /// Records that the snapshot up to `index` is durable, and with it applied; returns its
    /// membership, unless a newer snapshot has taken its place.
    pub(crate) fn snapshot_stored(&mut self, index: Index) -> Option<Membership> {
        let stored = self.snapshot.take_if(|snapshot| snapshot.last.index == index);
        if stored.is_some() {
            self.snapshot_handed = false;
        }
        self.applied_to(index);
        self.in_apply.chunks.clear();
        self.in_apply.bytes = 0;
        self.in_apply.paused = false;
        stored.map(|snapshot| snapshot.membership)
    }

    /// Returns a snapshot for a follower.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, StorageError> {
        match &self.snapshot {
            Some(snapshot) => Ok((**snapshot).clone()),
            None => self.storage.snapshot(),
        }
    }

    /// Checks the invariants of this module.
    ///
    /// # Panics
    /// If one does not hold, which is a bug of this crate.
    pub(crate) fn assert_invariants(&self) {
        assert!(self.applied <= self.applying, "applied without being handed out");
        assert!(
            self.snapshot.is_some() || self.applying <= self.committed,
            "uncommitted is applied"
        );
        assert!(self.committed <= self.last.index, "committed entries are missing");
        assert!(self.stable <= self.handed, "durable without being handed out");
        assert!(self.handed <= self.last.index, "handed out what does not exist");
        let tail = self.tail.last_id();
        assert!(tail.is_none_or(|last| last == self.last), "the last entry is remembered wrongly");
    }
}

/// Cuts a run to a budget and returns it with its size; `first` says that one entry must be handed out
/// whatever its size.
fn fit(run: Entries, budget: u64, first: bool) -> Option<(Entries, u64)> {
    let size = run.size_bytes();
    if size <= budget {
        return Some((run, size));
    }
    let count = prefix_within(&run, budget);
    let part = run.between(run.first_index(), run.first_index().plus(count as u64));
    let size = part.size_bytes();
    (first || size <= budget).then_some((part, size))
}
