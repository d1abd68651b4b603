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
    /// The groups that have something there.
    pub(crate) rewrite: Vec<GroupId>,
    pub(crate) blocked_by: Vec<(GroupId, u32)>,
}

/// Plans a purge of the segments before `current`.
pub(crate) fn plan(state: &State, current: u32, options: &Options) -> PurgePlan {
    let total: u64 = state.segments.values().map(|segment| segment.bytes).sum();
    let limit = wanted_limit(state, current, total, options);
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
    // Twice the wanted size is the bound that no group may break.
    let forced = total > 2 * options.purge_bytes;
    let blocks = |(bytes, _): &(u64, u32)| *bytes > options.straggler_bytes_max;
    let blocked_by: Vec<(GroupId, u32)> =
        held.iter().filter(|(_, held)| blocks(held)).map(|(id, held)| (*id, held.1)).collect();
    let limit = match blocked_by.iter().map(|(_, oldest)| *oldest).min() {
        Some(oldest) if !forced => oldest,
        _ => limit,
    };
    let rewrite = held.iter().filter(|(_, held)| held.1 < limit).map(|(id, _)| *id).collect();
    PurgePlan { limit, rewrite, blocked_by }
}

/// How far a purge should go: until the log is small enough, as long as that is cheap enough.
fn wanted_limit(state: &State, current: u32, total: u64, options: &Options) -> u32 {
    let mut left = total;
    let mut cost = 0;
    let mut limit = state.first_seq;
    for (seq, segment) in state.segments.range(..current) {
        let live = state.index.usage().of(*seq);
        if live > 0 && left <= options.purge_bytes || cost + live > options.rewrite_bytes_max {
            break;
        }
        cost += live;
        left -= segment.bytes;
        limit = seq + 1;
    }
    limit
}
