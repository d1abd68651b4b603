//! The numbers of Raft: who, when and where.
//!
//! Each is a newtype, so that a term cannot be passed for an index. [`EntryId`] derives its order
//! as (term, index), which is the paper's rule for "more up-to-date" (section 5.4.1): the later
//! term wins, and within a term the longer log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Identifies a member of the group. Zero is never a member.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct NodeId(pub u64);

/// A term of office (section 5.1): a logical clock that only grows. Zero is "before any election".
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Term(pub u64);

/// A position in the raft log. The first entry is at 1; zero is "before the log".
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Index(pub u64);

/// Names an entry: two logs that hold the same `EntryId` hold the same entries up to it (the Log
/// Matching property, section 5.3).
///
/// The derived order compares the term first and the index second.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct EntryId {
    /// The term of the leader that created the entry.
    pub term: Term,
    /// Where the entry stands.
    pub index: Index,
}

/// What must be on disk before a promise made to a peer may leave this node (section 5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct HardState {
    /// The latest term this node has seen. Never decreases.
    pub term: Term,
    /// The candidate that got this node's vote in `term`, if any. Set at most once a term.
    pub vote: Option<NodeId>,
    /// The highest index known to be committed. Never decreases. It may be lost in a crash without
    /// harm: a leader tells it again.
    pub commit: Index,
}

/// What an application may want to know at once but need not store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SoftState {
    /// The leader of the current term as far as this node knows.
    pub leader: Option<NodeId>,
    /// What this node is.
    pub role: RoleKind,
}

/// The name of a role (section 5.1, figure 4), without its data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum RoleKind {
    /// Answers leaders and candidates.
    Follower,
    /// Asks whether an election could be won, without disturbing anybody (thesis 9.6).
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Accepts proposals and replicates them.
    Leader,
}

impl Term {
    /// Returns the next term, or `None` at the end of the number range.
    ///
    /// Campaigning in a term twice would allow two votes in one term, so running out of terms must
    /// be an error and not a wrap or a clamp.
    pub fn next(self) -> Option<Term> {
        self.0.checked_add(1).map(Term)
    }
}

impl Index {
    /// Returns the index `n` places on; stays at the end of the number range.
    #[must_use]
    #[inline]
    pub fn plus(self, n: u64) -> Index {
        Index(self.0.saturating_add(n))
    }

    /// Returns the following index.
    #[must_use]
    #[inline]
    pub fn next(self) -> Index {
        self.plus(1)
    }

    /// Returns the preceding index; zero stays zero.
    #[must_use]
    #[inline]
    pub fn prev(self) -> Index {
        Index(self.0.saturating_sub(1))
    }
}

impl EntryId {
    /// Makes an id of its two parts.
    pub const fn new(term: u64, index: u64) -> EntryId {
        EntryId { term: Term(term), index: Index(index) }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.term, self.index)
    }
}
