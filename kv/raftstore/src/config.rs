//! What can be chosen about a store.

use proto::peer::StoreId;
use raft::ReadMode;

use crate::error::{Error, Result};

/// Options of a store. Time is counted in ticks, whose length the driver chooses.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster; stores of different ones do not talk. Any value.
    pub cluster_id: u64,
    /// This store, above 0.
    pub store: StoreId,
    /// Decides what is random here: election timeouts. The same seed and inputs give the same run.
    pub seed: u64,
    /// Silence of a leader after which an election may begin, in ticks; see `raft::Config`.
    pub election_ticks: u32,
    /// Time between two heartbeats, in ticks. At least 1, below `election_ticks`.
    pub heartbeat_ticks: u32,
    /// How reads make sure that this store still leads.
    pub reads: ReadMode,
    /// The largest command, and about the largest entry that several commands share, in bytes.
    /// Below a quarter of the wal's segment size.
    pub entry_bytes_max: usize,
    /// The most commands of a region that wait for their answers; more are refused as busy.
    pub proposals_max: usize,
    /// The most bytes of commands of a region that are proposed and not applied.
    pub proposals_bytes_max: u64,
    /// The most reads of a region that wait; more are refused as busy.
    pub reads_max: usize,
    /// The most bytes of entries in one append message, and in flight to one peer a multiple of it.
    pub message_bytes_max: u64,
    /// About the most bytes of one batch of the wal. At most a quarter of its segment size.
    pub batch_bytes_max: u64,
    /// Applied entries kept in a region's log before it is cut off.
    pub log_entries_max: u64,
    /// Bytes of entries kept in a region's log before it is cut off.
    pub log_bytes_max: u64,
    /// How often it is looked whether logs are to be cut off, in ticks. At least 1.
    pub compact_ticks: u32,
    /// About how many bytes of pairs a chunk of a snapshot has; one pair always fits.
    pub chunk_bytes: usize,
    /// The most chunks on the way to one peer. At least 1.
    pub chunk_window: usize,
    /// The most snapshots that are sent at the same time, and that are received.
    pub snapshots_max: usize,
    /// How long nothing may be heard of a snapshot before it is given up, in ticks.
    pub snapshot_ticks: u32,
    /// After how many ticks without an acknowledgement chunks are sent again. At least 1.
    pub resend_ticks: u32,
    /// After how many ticks without a leader a peer asks whether it is still a member, again and
    /// again. At least 1; more than an election takes.
    pub stale_ticks: u32,
}

impl Config {
    /// The options for production.
    #[must_use]
    pub fn new(store: StoreId) -> Config {
        Config {
            cluster_id: 0,
            store,
            seed: store.0,
            election_ticks: 10,
            heartbeat_ticks: 2,
            reads: ReadMode::Quorum,
            entry_bytes_max: 8 << 20,
            proposals_max: 1 << 16,
            proposals_bytes_max: 64 << 20,
            reads_max: 1 << 16,
            message_bytes_max: 1 << 20,
            batch_bytes_max: 8 << 20,
            log_entries_max: 100_000,
            log_bytes_max: 128 << 20,
            compact_ticks: 10,
            chunk_bytes: 1 << 20,
            chunk_window: 4,
            snapshots_max: 8,
            snapshot_ticks: 100,
            resend_ticks: 5,
            stale_ticks: 100,
        }
    }

    /// Checks that the options can work.
    ///
    /// # Errors
    /// [`Error::Option`] names the first that cannot.
    pub fn validate(&self) -> Result<()> {
        let rule = |holds: bool, option, rule| match holds {
            true => Ok(()),
            false => Err(Error::Option { option, rule }),
        };
        rule(self.store != StoreId(0), "store", "above 0")?;
        rule(self.entry_bytes_max >= 1, "entry_bytes_max", "at least 1")?;
        rule(self.proposals_max >= 1, "proposals_max", "at least 1")?;
        rule(self.compact_ticks >= 1, "compact_ticks", "at least 1")?;
        rule(self.chunk_bytes >= 1, "chunk_bytes", "at least 1")?;
        rule(self.chunk_window >= 1, "chunk_window", "at least 1")?;
        rule(self.resend_ticks >= 1, "resend_ticks", "at least 1")?;
        rule(self.stale_ticks >= 1, "stale_ticks", "at least 1")?;
        rule(self.batch_bytes_max >= 1, "batch_bytes_max", "at least 1")?;
        rule(self.log_entries_max >= 2, "log_entries_max", "at least 2")
    }

    /// The options of a peer's raft group.
    pub(crate) fn raft(&self, id: raft::NodeId, applied: raft::Index) -> raft::Config {
        raft::Config {
            election_ticks: self.election_ticks,
            heartbeat_ticks: self.heartbeat_ticks,
            applied,
            reads: self.reads,
            forward_proposals: false,
            message_bytes_max: self.message_bytes_max,
            inflight_bytes_max: self.message_bytes_max.saturating_mul(64),
            uncommitted_bytes_max: self.proposals_bytes_max,
            snapshot_ticks: self.snapshot_ticks.saturating_mul(2),
            ..raft::Config::new(id)
        }
    }
}
