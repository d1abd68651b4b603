//! A node at a glance, for tools and tests.

use crate::membership::Membership;
use crate::progress::Progress;
use crate::types::{HardState, Index, NodeId, SoftState};

/// A copy of what a node knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// The node.
    pub id: NodeId,
    /// Term, vote and commit index, durable or not.
    pub hard_state: HardState,
    /// Role and leader.
    pub soft_state: SoftState,
    /// Up to where entries are applied.
    pub applied: Index,
    /// The membership as of `applied`.
    pub membership: Membership,
    /// What a leader knows about each member, ascending by id. Empty on other nodes.
    pub progress: Vec<Progress>,
    /// To whom leadership is being transferred.
    pub transferee: Option<NodeId>,
    /// Ticks since a leader was heard, a vote was given or an election began; for a leader, since the
    /// last check of its quorum.
    pub election_elapsed: u32,
}
