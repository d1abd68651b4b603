//! Coverage marks: rare things that happened in a run.
//!
//! A search can only find bugs in what it reaches. The world leaves marks here, and the rare
//! branches of raft, raftstore and wal leave theirs (`mark!`, see the crate `tinykv-mark`); a
//! campaign tells which marks no run left, and the test `corpus` compares the list with the sources.

use std::collections::BTreeSet;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// The marks of the world.
pub const WORLD: &[&str] = &[
    "a disk rots",
    "a log is compacted",
    "a member leaves for good",
    "a message is damaged",
    "a program stops by itself",
    "a snapshot is installed",
    "a store is lost for good",
    "power fails at a mark",
    "power fails everywhere",
    "power fails in the middle of work",
    "refuses a damaged disk",
];

/// The marks of the product, as its crates leave them.
pub const PRODUCT: &[&str] = &[
    // raft
    "a committed change stands against a campaign",
    "a damaged entry is fetched from the leader",
    "a damaged log does not campaign",
    "a leader steps down without a majority",
    "a snapshot brings only a commit index",
    "a snapshot is older than what is committed",
    "a transfer is given up",
    "a vote is refused because of a lease",
    "a vote is refused to a log that lacks entries",
    "an append comes late",
    "entries are replaced by those of a new leader",
    "entries of an earlier term wait for one of this term",
    "leadership is handed over",
    // raftstore
    "a change of members is overtaken",
    "a chunk comes again after the last one",
    "a chunk comes whose beginning is not known",
    "a command is overtaken",
    "a command's entry is replaced",
    "a commit index is held back",
    "a damaged chunk is refused",
    "a key of another region is refused",
    "a log is begun anew after its snapshot",
    "a log is cut off though a follower needs it",
    "a newer peer takes the place of a removed one",
    "a peer asks whether it is still a member",
    "a peer is made by its first message",
    "a peer is told that it was removed",
    "a read waits until more is applied",
    "a region's log holds up the wal",
    "a removal is finished at the start",
    "a removed peer is spoken to",
    "a removed region's data goes at the start",
    "a snapshot came that is no news",
    "a snapshot covers a command",
    "a snapshot is given up by its receiver",
    "a snapshot is given up by its sender",
    "a snapshot is in the engine and not in the log",
    "a snapshot takes the place of one on its way",
    "a view that nobody wants is dropped",
    "an entry is repaired in its place",
    "an installation is done again",
    "an old epoch is refused",
    "chunks are sent again",
    "the engine is told of a first region",
    "the last entry is repaired",
    // wal
    "a block is repaired from its mirror",
    "a durable block is damaged",
    "a torn block is cut off",
    "a torn block of a store alone is cut off",
    "a torn block's entries are kept as damaged",
];

/// Marks at which power may fail: each stands where the disk is left between two states.
pub const AMBUSHES: &[&str] = &[
    "a snapshot is in the engine and not in the log",
    "entries are replaced by those of a new leader",
    "a commit index is held back",
    "a peer is made by its first message",
    "a peer is told that it was removed",
    "a damaged entry is fetched from the leader",
    "an installation is done again",
    "a log is begun anew after its snapshot",
    "the engine is told of a first region",
    "leadership is handed over",
    "a log is cut off though a follower needs it",
];

/// A mark, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Spot(pub &'static str);

impl<'de> Deserialize<'de> for Spot {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Spot, D::Error> {
        let name = String::deserialize(from)?;
        let known = WORLD.iter().chain(PRODUCT).find(|it| **it == name);
        known
            .map(|known| Spot(known))
            .ok_or_else(|| D::Error::custom(format!("there is no mark `{name}`")))
    }
}

/// Leaves a mark in the run of this thread.
pub fn mark(name: &'static str) {
    debug_assert!(WORLD.contains(&name), "`{name}` is missing in the list of marks");
    mark::leave(name);
}

/// Begins a run: there are no marks.
pub(crate) fn begin() {
    mark::disarm();
    mark::take();
}

/// The marks of the run.
pub(crate) fn end() -> BTreeSet<&'static str> {
    mark::disarm();
    mark::take()
}
