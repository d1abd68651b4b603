//! Which old segments to free, and what to write again for that. Nothing is written here.
//!
//! Segments are freed from the oldest on, without gaps, so that replay never sees an entry
//! without what removed it. What little a segment still holds is rewritten at the end of the log;
//! a group that holds much is reported instead, so that its owner compacts it.
//!
//! A rewritten run only moves entries that the group has. Replaying it once, twice or not at all
//! gives the same entries as long as the old segments are there, and these are removed only after
//! all of it is durable. So an interrupted rewrite needs no marks and no clean-up.

use std::collections::BTreeMap;

use crate::id::GroupId;
use crate::options::Options;
use crate::store::State;

/// What a purge did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeReport {
    /// How many segments were freed.
    pub freed: usize,
    /// Bytes of entries and keys that were written again.
    pub rewritten_bytes: u64,
    /// Groups that hold too much of the oldest segments to be rewritten, with the oldest segment
    /// each of them needs. Compact these.
    pub blocked_by: Vec<(GroupId, u32)>,
}

/// What a purge will do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PurgePlan {
    /// What is below this segment is to be rewritten.
    pub(crate) limit: u32,
    /// The groups that have something there, the first one last.
    pub(crate) rewrite: Vec<GroupId>,
    /// How many bytes to rewrite at most; what is left then waits for the next purge.
    pub(crate) budget: u64,
    pub(crate) blocked_by: Vec<(GroupId, u32)>,
}

/// Plans a purge of the segments before `current`, with so much credit for rewriting.
pub(crate) fn plan(state: &State, current: u32, options: &Options, credit: u64) -> PurgePlan {
    let total: u64 = state.segments.values().map(|segment| segment.bytes).sum();
    let wanted = wanted_limit(state, current, total, options);
    if state.index.usage().oldest().is_none_or(|oldest| oldest >= wanted) {
        // What is to go holds nothing: no need to look at every group.
        return PurgePlan { limit: wanted, ..PurgePlan::default() };
    }
    let held = held_below(state, wanted);
    // Twice the wanted size is the bound that no group may break.
    let forced = total > 2 * options.purge_bytes;
    let blocks = |(bytes, _): &(u64, u32)| *bytes > options.straggler_bytes_max;
    let blocked_by: Vec<(GroupId, u32)> =
        held.iter().filter(|(_, held)| blocks(held)).map(|(id, held)| (*id, held.1)).collect();
    let free = match blocked_by.iter().map(|(_, oldest)| *oldest).min() {
        Some(oldest) if !forced => oldest,
        _ => wanted,
    };
    let budget = if forced { options.rewrite_bytes_max } else { credit };
    let limit = affordable_limit(state, free, budget);
    let rewrite = held.iter().rev().filter(|(_, held)| held.1 < limit).map(|(id, _)| *id).collect();
    PurgePlan { limit, rewrite, budget, blocked_by }
}

/// What each group has below a segment: bytes, and the oldest segment of them.
fn held_below(state: &State, limit: u32) -> BTreeMap<GroupId, (u64, u32)> {
    let mut held: BTreeMap<GroupId, (u64, u32)> = BTreeMap::new();
    for (id, group) in state.index.groups() {
        let entries = group.entries().map(|(_, _, slot)| (slot.seq, slot.bytes()));
        let keys = group.keys().iter().map(|kv| (kv.seq, kv.bytes()));
        for (seq, bytes) in entries.chain(keys).filter(|(seq, _)| *seq < limit) {
            let (sum, oldest) = held.entry(id).or_insert((0, seq));
            *sum += bytes;
            *oldest = seq.min(*oldest);
        }
    }
    held
}

/// How far a purge would go to make the log small enough.
fn wanted_limit(state: &State, current: u32, total: u64, options: &Options) -> u32 {
    let mut left = total;
    let mut limit = state.first_seq;
    for (seq, segment) in state.segments.range(..current) {
        if state.index.usage().of(*seq) > 0 && left <= options.purge_bytes {
            break;
        }
        left -= segment.bytes;
        limit = seq + 1;
    }
    limit
}

/// How far a purge comes with a budget: whole segments, but at least one that holds something, so
/// that even a segment that holds more than the budget goes some day.
fn affordable_limit(state: &State, free: u32, budget: u64) -> u32 {
    let mut cost = 0;
    let mut limit = state.first_seq;
    for (seq, _) in state.segments.range(..free) {
        let live = state.index.usage().of(*seq);
        if cost > 0 && cost + live > budget {
            break;
        }
        cost += live;
        limit = seq + 1;
    }
    limit
}
