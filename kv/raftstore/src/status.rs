//! What a store knows, for people and programs that watch it.

use proto::peer::{Peer, Region};
use raft::{EntryId, Index, RoleKind, Term};

/// A region as its peer on this store sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionStatus {
    /// The region.
    pub region: Region,
    /// The peer on this store.
    pub peer: Peer,
    /// What it is.
    pub role: RoleKind,
    /// Who leads, if known.
    pub leader: Option<Peer>,
    /// The current term.
    pub term: Term,
    /// The commit index.
    pub committed: Index,
    /// The last entry that was applied.
    pub applied: EntryId,
    /// The last entry that was cut off the log.
    pub truncated: EntryId,
    /// The last entry of the log.
    pub last: EntryId,
    /// Damaged entries of the log that no good copy has taken the place of, ascending.
    pub damaged: Vec<Index>,
    /// Commands that wait for an answer.
    pub proposals: usize,
    /// Reads that wait.
    pub reads: usize,
}

/// Counts since the store was opened, and sizes as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Regions on this store.
    pub regions: u64,
    /// Regions that this store leads.
    pub leaders: u64,
    /// Terms in which a peer of this store became leader.
    pub elections_won: u64,
    /// Commands that were taken.
    pub commands: u64,
    /// Entries that carried them.
    pub entries_proposed: u64,
    /// Commands and reads that were refused or failed.
    pub failed: u64,
    /// Entries that were applied.
    pub entries_applied: u64,
    /// Reads that were given out.
    pub reads: u64,
    /// Batches given to the wal.
    pub log_batches: u64,
    /// Messages from peers that were not taken.
    pub messages_refused: u64,
    /// Snapshots that were sent whole.
    pub snapshots_sent: u64,
    /// Snapshots that were given up on the way.
    pub snapshots_given_up: u64,
    /// Snapshots that were installed.
    pub snapshots_installed: u64,
    /// Times that a log was cut off.
    pub compactions: u64,
    /// Peers that were removed.
    pub peers_destroyed: u64,
}
