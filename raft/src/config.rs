//! What can be chosen about a node.

use crate::error::ConfigError;
use crate::types::{Index, NodeId};

/// Options of one node. Time is counted in ticks, whose length the caller chooses.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// Silence of a leader, in ticks, after which an election may begin. The actual time is drawn
    /// anew for each role change from `[election_ticks, 2 * election_ticks)` (section 5.2). Must be
    /// above `heartbeat_ticks`; ten times as much is a good choice.
    pub election_ticks: u32,
    /// Time between two heartbeats, in ticks. At least 1.
    pub heartbeat_ticks: u32,
    /// Up to where the state machine is applied already, when a node restarts. Zero for a new one.
    pub applied: Index,
    /// Ask before campaigning, so that a node that was cut off does not disturb (thesis 9.6).
    pub pre_vote: bool,
    /// A leader that hears no majority for an election timeout steps down, and followers that hear
    /// a leader do not vote (thesis 6.2, 4.2.3).
    pub check_quorum: bool,
    /// How linearizable reads are confirmed.
    pub reads: ReadMode,
    /// When appends leave.
    pub send: SendPolicy,
    /// Forward proposals to the leader instead of refusing them.
    pub forward_proposals: bool,
    /// Check membership changes when they are proposed. Without it a change that is impossible when
    /// its entry is applied does nothing.
    pub validate_changes: bool,
    /// A leader that is no longer a voter steps down as soon as the change is applied.
    pub step_down_on_removal: bool,
    /// The most bytes of entries in one append message; one entry always fits.
    pub message_bytes_max: u64,
    /// The most append messages on the way to one follower. At least 1.
    pub inflight_messages_max: usize,
    /// The most bytes of entries on the way to one follower.
    pub inflight_bytes_max: u64,
    /// The most bytes of commands proposed and not yet applied; a first one always fits.
    pub uncommitted_bytes_max: u64,
    /// The most bytes of committed entries handed out and not yet applied; one entry always fits.
    pub applying_bytes_max: u64,
    /// How long a snapshot may take to reach a follower, in ticks; then the leader asks again where
    /// their logs match. The snapshot or its acknowledgement may be lost without a report.
    pub snapshot_ticks: u32,
    /// The most reads that wait for confirmation.
    pub reads_max: usize,
    /// Entries are handed out as committed only when they are durable on this node. With `false` a
    /// single [`crate::Ready`] may carry an entry as new and as committed; the caller must then
    /// store before it applies.
    pub async_writes: bool,
}

/// How a leader makes sure that it still leads before a read (thesis 6.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadMode {
    /// By a round of heartbeats, which holds whatever clocks do.
    Quorum,
    /// By the time since a majority answered, which needs ticks of equal length on all nodes.
    /// Needs `check_quorum`.
    Lease,
}

/// When appends leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendPolicy {
    /// Gather all that was proposed until [`crate::Node::ready`] and send each follower one message.
    Coalesce,
    /// One message for each proposal and each commit, at once.
    Immediate,
}

impl Config {
    /// Returns the options for production: 10 ticks of election timeout, pre-vote and check-quorum.
    pub fn new(id: NodeId) -> Config {
        Config {
            id,
            election_ticks: 10,
            heartbeat_ticks: 1,
            applied: Index(0),
            pre_vote: true,
            check_quorum: true,
            reads: ReadMode::Quorum,
            send: SendPolicy::Coalesce,
            forward_proposals: true,
            validate_changes: true,
            step_down_on_removal: true,
            message_bytes_max: 1 << 20,
            inflight_messages_max: 256,
            inflight_bytes_max: 64 << 20,
            uncommitted_bytes_max: 256 << 20,
            applying_bytes_max: 64 << 20,
            snapshot_ticks: 200,
            reads_max: 4096,
            async_writes: true,
        }
    }

    /// Checks that the options can work together.
    ///
    /// # Errors
    /// The first option that cannot stand, and what it must be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let rule = |ok: bool, option, rule| match ok {
            true => Ok(()),
            false => Err(ConfigError::Option { option, rule }),
        };
        if self.id == NodeId(0) {
            return Err(ConfigError::ZeroId);
        }
        rule(self.heartbeat_ticks >= 1, "heartbeat_ticks", "at least 1")?;
        rule(
            self.election_ticks > self.heartbeat_ticks,
            "election_ticks",
            "above heartbeat_ticks",
        )?;
        rule(self.election_ticks <= u32::MAX / 2, "election_ticks", "at most 2^31")?;
        rule(self.inflight_messages_max >= 1, "inflight_messages_max", "at least 1")?;
        rule(
            self.inflight_bytes_max >= self.message_bytes_max,
            "inflight_bytes_max",
            "at least message_bytes_max",
        )?;
        rule(self.applying_bytes_max >= 1, "applying_bytes_max", "at least 1")?;
        rule(
            self.reads == ReadMode::Quorum || self.check_quorum,
            "check_quorum",
            "on when reads use a lease",
        )
    }
}
