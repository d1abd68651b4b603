//! Who belongs to the group, at one point of the log.
//!
//! Invariants, kept by [`crate::confchange`]:
//! - a learner is not a voter of either half;
//! - `learners_next` are voters of the outgoing half only, and become learners when it is left;
//! - without an outgoing half, `learners_next` is empty and `auto_leave` is off.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;
use crate::quorum::{Joint, Majority};
use crate::types::NodeId;

/// The members and what they may do.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Membership {
    /// Who votes.
    pub voters: Joint,
    /// Who only receives entries.
    pub learners: Majority,
    /// Voters of the outgoing half that become learners when the joint configuration is left. They
    /// cannot be learners yet, because they still vote.
    pub learners_next: Majority,
    /// The leader leaves the joint configuration by itself once it has applied it.
    pub auto_leave: bool,
}

impl Membership {
    /// Makes a membership of voters.
    pub fn of_voters(ids: impl IntoIterator<Item = u64>) -> Membership {
        let incoming = ids.into_iter().map(NodeId).collect();
        Membership {
            voters: Joint { incoming, outgoing: Majority::default() },
            ..Membership::default()
        }
    }

    /// Makes a membership of voters and learners.
    pub fn with_learners(mut self, ids: impl IntoIterator<Item = u64>) -> Membership {
        self.learners = ids.into_iter().map(NodeId).collect();
        self
    }

    /// Returns whether `id` receives entries.
    pub fn contains(&self, id: NodeId) -> bool {
        self.voters.contains(id) || self.learners.contains(id)
    }

    /// Returns whether `id` may lead: it votes and is no learner.
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.voters.contains(id)
    }

    /// Returns all members, ascending and without repetition.
    pub fn ids(&self) -> Vec<NodeId> {
        let mut ids: Vec<NodeId> =
            self.voters.ids().chain(self.learners.ids().iter().copied()).collect();
        ids.sort_unstable();
        ids
    }

    /// Checks the invariants, for a membership that comes from disk or from a peer.
    ///
    /// # Errors
    /// [`ConfigError::Inconsistent`] says which one is broken.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let broken = ConfigError::Inconsistent;
        if self.contains(NodeId(0)) {
            return Err(ConfigError::ZeroId);
        }
        if self.learners.ids().iter().any(|id| self.voters.contains(*id)) {
            return Err(broken("a learner is a voter"));
        }
        let staged = self.learners_next.ids();
        if staged
            .iter()
            .any(|id| !self.voters.outgoing.contains(*id) || self.voters.incoming.contains(*id))
        {
            return Err(broken("a staged learner is not an outgoing voter"));
        }
        if !self.voters.is_joint() && self.auto_leave {
            return Err(broken("nothing to leave"));
        }
        Ok(())
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "voters={}", self.voters)?;
        if !self.learners.is_empty() {
            write!(f, " learners={}", self.learners)?;
        }
        if !self.learners_next.is_empty() {
            write!(f, " learners_next={}", self.learners_next)?;
        }
        if self.auto_leave {
            f.write_str(" autoleave")?;
        }
        Ok(())
    }
}
