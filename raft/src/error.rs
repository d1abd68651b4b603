//! What can go wrong, by what the caller can do about it.

use crate::types::{EntryId, Index, NodeId, Term};

/// A proposal was not taken. Nothing was appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProposeError {
    /// Send it to `leader`.
    #[error("not the leader; the leader is {leader}")]
    NotLeader {
        /// Who leads.
        leader: NodeId,
    },
    /// Try again when there is a leader.
    #[error("no leader is known")]
    NoLeader,
    /// Send it to `target` soon: leadership is being handed over.
    #[error("leadership is being transferred to {target}")]
    Transferring {
        /// Who will lead.
        target: NodeId,
    },
    /// Try again when entries have been applied.
    #[error("{uncommitted_bytes} bytes are proposed and not yet applied; the limit is {max_bytes}")]
    QuotaExceeded {
        /// Bytes proposed and not applied.
        uncommitted_bytes: u64,
        /// The configured limit.
        max_bytes: u64,
    },
    /// This leader was removed from the group; a new one will be elected.
    #[error("this node is no longer a member of the group")]
    NotMember,
    /// More payloads than a batch can hold; propose fewer at a time.
    #[error("a proposal holds between 1 and {max} payloads")]
    BatchSize {
        /// The most payloads in one call.
        max: usize,
    },
    /// A membership change was refused.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// A membership change is not possible now, or not at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChangeError {
    /// Try again when the log is applied up to `index`: a change there may not have taken effect.
    #[error("a membership change at index {index} is not applied yet")]
    PendingAt {
        /// Where the latest change stands (or may stand, for a new leader).
        index: Index,
    },
    /// Leave the joint configuration first.
    #[error("config is already joint")]
    AlreadyJoint,
    /// There is no joint configuration to leave.
    #[error("can't leave a non-joint config")]
    NotJoint,
    /// Only leaving is possible in a joint configuration.
    #[error("can't apply simple config change in joint config")]
    SimpleInJoint,
    /// A joint configuration needs voters to start from.
    #[error("can't make a zero-voter config joint")]
    NoVoters,
    /// Nobody could vote any more.
    #[error("removed all voters")]
    RemovesAllVoters,
    /// Two majorities could be disjoint; use a joint change.
    #[error("more than one voter changed without entering joint config")]
    NeedsJoint,
}

/// A campaign was not started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CampaignError {
    /// There is nothing to win.
    #[error("already the leader")]
    AlreadyLeader,
    /// Only voters may lead.
    #[error("not a voter of the group")]
    NotVoter,
    /// Install the snapshot first.
    #[error("a snapshot is being installed")]
    Restoring,
    /// Apply committed entries first: one changes the membership, so the quorum is not known.
    #[error("a committed membership change after index {applied} is not applied yet")]
    UnappliedChange {
        /// Up to where entries are applied.
        applied: Index,
    },
    /// The log has a damaged entry, which a leader could not send to anybody.
    #[error("the entry at index {index} is damaged and not yet fetched again")]
    Faulty {
        /// The first damaged entry.
        index: Index,
    },
    /// Try again after so many ticks, or transfer the leadership: a leader was heard, and may read by
    /// this node's promise to elect nobody else so soon.
    #[error("a leader's lease may stand for {ticks} more ticks")]
    OwesLease {
        /// When the promise ends, if the leader is not heard again.
        ticks: u32,
    },
    /// Terms are used up.
    #[error("no term follows {term}")]
    TermExhausted {
        /// The last possible term.
        term: Term,
    },
}

/// A transfer of leadership was not started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TransferError {
    /// Nobody could be asked.
    #[error("no leader is known")]
    NoLeader,
    /// Only voters may lead.
    #[error("{target} is not a voter of the group")]
    NotVoter {
        /// Who was to lead.
        target: NodeId,
    },
    /// Such a transfer is under way.
    #[error("leadership is already being transferred to {target}")]
    InProgress {
        /// Who will lead.
        target: NodeId,
    },
}

/// A linearizable read cannot be served. Ask again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// Nobody could be asked.
    #[error("no leader is known")]
    NoLeader,
    /// The node lost its leadership or its leader before the read was confirmed.
    #[error("leadership changed before the read was confirmed")]
    LeaderChanged,
    /// Try again when earlier reads are confirmed.
    #[error("{max} reads wait already")]
    TooMany {
        /// The configured limit.
        max: usize,
    },
}

/// A message from a peer was not taken; the node is unchanged by it, but for its term.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StepError {
    /// Drop it: it is for somebody else.
    #[error("the message is for node {to}")]
    NotForUs {
        /// To whom it is addressed.
        to: NodeId,
    },
    /// Drop it: an answer from a node that is not in the membership.
    #[error("raft: cannot step as peer not found")]
    PeerNotFound,
    /// Drop it: no correct peer sends such a message.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
    /// Raise an alarm: the peer contradicts what is committed here. One of the two has lost or
    /// forged data. Nothing was changed.
    #[error("entry {theirs} of the message contradicts the committed log")]
    Violation {
        /// The entry that contradicts.
        theirs: EntryId,
    },
    /// Stop: the leader was told that this node has entries up to `acknowledged`, and they are not
    /// here any more. What is stored is an old copy, or the disk lost what it had synced. This node
    /// has forgotten what it promised, and votes too, so it must not go on under its id.
    #[error("entries up to {acknowledged} were acknowledged from here, and the log ends at {last}")]
    Forgotten {
        /// Up to where the leader relies on this node.
        acknowledged: Index,
        /// The last entry that is here.
        last: Index,
    },
    /// A forwarded proposal was not taken.
    #[error("raft proposal dropped: {0}")]
    Propose(#[from] ProposeError),
    /// A forwarded read was not taken.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The node's own storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Stored entries cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StorageError {
    /// The entry was replaced by a snapshot.
    #[error("the log is compacted up to index {up_to}")]
    Compacted {
        /// The last index that is gone.
        up_to: Index,
    },
    /// The entry was never stored.
    #[error("the log ends at index {last}")]
    Unavailable {
        /// The last index.
        last: Index,
    },
    /// The entry is known to be damaged. It must be fetched again from a leader.
    #[error("the entry at index {index} is damaged")]
    Faulty {
        /// Where.
        index: Index,
    },
    /// Try again later: a snapshot is being made.
    #[error("no snapshot is ready")]
    SnapshotNotReady,
    /// The medium failed. Stop this node.
    #[error("storage failed: {0}")]
    Failed(&'static str),
}

/// A node cannot be started like this.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// Zero is never a member.
    #[error("a node id must not be zero")]
    ZeroId,
    /// Correct the named option.
    #[error("{option} must be {rule}")]
    Option {
        /// The field of [`crate::Config`].
        option: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// The stored state contradicts itself.
    #[error("stored state is inconsistent: {0}")]
    Inconsistent(&'static str),
    /// The storage could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
