//! What members say to each other.
//!
//! Plain Rust types that derive serde; a wire format is the transport's business. A message is
//! small (64 bytes) because it is moved several times; what is large stands behind one pointer.
//!
//! Anything may arrive: late, twice, in any order, or never. Nothing that a peer sends can make
//! [`crate::Node::step`] panic.

use serde::{Deserialize, Serialize};

use crate::entry::{Entries, Payload};
use crate::membership::Membership;
use crate::types::{EntryId, Index, NodeId, Term};
use bytes::Bytes;

/// One message between two members.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Message {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// The sender's term. Zero in [`Body::Propose`] and the read messages, which are not bound to
    /// a term. A [`Body::RequestPreVote`] and a granted [`Body::PreVoteResponse`] carry the term
    /// that the election would have.
    pub term: Term,
    /// What is said.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Body {
    /// "Would you vote for me?" (thesis 9.6). Changes nothing at the receiver.
    RequestPreVote {
        /// The last entry of the candidate's log.
        last: EntryId,
    },
    /// The answer to [`Body::RequestPreVote`].
    PreVoteResponse(Vote),
    /// `RequestVote` of the paper (section 5.2).
    RequestVote {
        /// The last entry of the candidate's log.
        last: EntryId,
        /// The leader itself asked for this election, so a lease need not be respected (thesis 4.2.3).
        transfer: bool,
    },
    /// The answer to [`Body::RequestVote`].
    VoteResponse(Vote),
    /// `AppendEntries` of the paper (section 5.3).
    Append {
        /// The entry just before `entries`.
        prev: EntryId,
        /// The leader's commit index. The receiver commits no further than the last entry that
        /// this message has shown to match.
        commit: Index,
        /// The entries; empty to probe or to tell the commit index.
        entries: Entries,
    },
    /// The receiver's log matches the leader's up to `index`, durably.
    AppendAccepted {
        /// The last index that matches.
        index: Index,
    },
    /// The receiver's log does not match at `prev`.
    AppendRejected {
        /// The index of the refused message's `prev`.
        rejected: Index,
        /// Where the receiver's log may match: its last entry whose term is not above `prev`'s.
        hint: EntryId,
        /// The receiver holds a damaged entry just after `hint`, so an earlier acknowledgement of
        /// it no longer holds.
        damaged: bool,
    },
    /// The leader lives (section 5.2).
    Heartbeat {
        /// The commit index, but no more than what the receiver is known to match.
        commit: Index,
        /// Counts the leader's rounds; an answer to it proves that the leader still led when the
        /// round began (section 6.4 of the thesis).
        round: u64,
    },
    /// The answer to [`Body::Heartbeat`].
    HeartbeatResponse {
        /// The round that is answered.
        round: u64,
    },
    /// Entries up to `index`, which the receiver is known to match, are committed. Not answered.
    Commit {
        /// The commit index.
        index: Index,
    },
    /// `InstallSnapshot` of the paper (section 7), whole.
    Snapshot(Box<Snapshot>),
    /// "Campaign now": leadership is handed over (thesis 3.10).
    TimeoutNow,
    /// A member asks the leader to hand leadership over to `target`.
    TransferLeader {
        /// Who shall lead.
        target: NodeId,
    },
    /// Proposals forwarded to the leader.
    Propose {
        /// What is proposed, in order.
        payloads: Vec<Payload>,
    },
    /// A read forwarded to the leader.
    ReadIndex {
        /// The asking node's own name for the read.
        token: u64,
    },
    /// The answer to [`Body::ReadIndex`].
    ReadIndexResponse {
        /// The name that the asking node gave.
        token: u64,
        /// The read may be served once this index is applied.
        index: Index,
    },
}

/// A voter's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Vote {
    /// Whether the vote is given, durably; in a pre-vote: would be.
    pub granted: bool,
    /// The last entry that the voter knows to be committed. It may be a membership change that the
    /// candidate has and does not know to be committed, and under which alone it could win.
    pub committed: EntryId,
}

impl Vote {
    /// A vote of somebody who knows of nothing committed.
    pub const GRANTED: Vote = Vote { granted: true, committed: EntryId::new(0, 0) };
}

/// A state machine at one index, with the membership of that moment (section 7).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// The last entry that the snapshot replaces.
    pub last: EntryId,
    /// The membership in force at that entry.
    pub membership: Membership,
    /// The state machine's own format.
    pub data: Bytes,
}

impl Body {
    /// Returns whether this answers a message of ours, so that a stranger has no reason to send it.
    pub fn is_response(&self) -> bool {
        matches!(
            self,
            Body::PreVoteResponse(_)
                | Body::VoteResponse(_)
                | Body::AppendAccepted { .. }
                | Body::AppendRejected { .. }
                | Body::HeartbeatResponse { .. }
                | Body::ReadIndexResponse { .. }
        )
    }

    /// Returns whether only the leader of the message's term sends this.
    pub fn is_from_leader(&self) -> bool {
        matches!(
            self,
            Body::Append { .. } | Body::Heartbeat { .. } | Body::Commit { .. } | Body::Snapshot(_)
        )
    }

    /// Returns whether this is a promise: it may leave only when what it promises is on disk.
    ///
    /// Were a vote sent before it is durable, a crash would let the node vote again in the same
    /// term; were an entry acknowledged before it is durable, a crash could undo a commit.
    pub(crate) fn is_promise(&self) -> bool {
        matches!(
            self,
            Body::PreVoteResponse(_)
                | Body::VoteResponse(_)
                | Body::AppendAccepted { .. }
                | Body::AppendRejected { .. }
        )
    }

    /// Returns whether the message is bound to no term.
    pub(crate) fn is_termless(&self) -> bool {
        matches!(self, Body::Propose { .. } | Body::ReadIndex { .. })
    }
}
