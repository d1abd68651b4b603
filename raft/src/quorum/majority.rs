//! One set of voters, of which more than half decide.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::VoteResult;
use crate::types::{Index, NodeId};

/// Voter sets up to this size are counted without allocating.
const STACK_VOTERS: usize = 7;

/// A set of voters, ascending and without repetition.
///
/// The empty set agrees with everything, so that an absent half of a joint quorum never decides.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<NodeId>", into = "Vec<NodeId>")]
pub struct Majority {
    voters: Vec<NodeId>,
}

impl Majority {
    /// Returns the voters, ascending.
    pub fn ids(&self) -> &[NodeId] {
        &self.voters
    }

    /// Returns whether there are no voters.
    pub fn is_empty(&self) -> bool {
        self.voters.is_empty()
    }

    /// Returns whether `id` is a voter.
    pub fn contains(&self, id: NodeId) -> bool {
        self.voters.contains(&id)
    }

    /// Adds a voter; returns whether it is new.
    pub fn insert(&mut self, id: NodeId) -> bool {
        match self.voters.binary_search(&id) {
            Ok(_) => false,
            Err(place) => {
                self.voters.insert(place, id);
                true
            }
        }
    }

    /// Removes a voter; returns whether it was one.
    pub fn remove(&mut self, id: NodeId) -> bool {
        match self.voters.binary_search(&id) {
            Ok(place) => {
                self.voters.remove(place);
                true
            }
            Err(_) => false,
        }
    }

    /// Returns the highest index that more than half of the voters have reached.
    ///
    /// A voter that `reached` does not know counts as zero. The empty set has reached everything.
    pub fn committed_index(&self, reached: impl Fn(NodeId) -> Option<Index>) -> Index {
        let count = self.voters.len();
        if count == 0 {
            return Index(u64::MAX);
        }
        let mut stack = [Index(0); STACK_VOTERS];
        let mut heap = Vec::new();
        let indexes = if count <= STACK_VOTERS {
            &mut stack[..count]
        } else {
            heap.resize(count, Index(0));
            &mut heap[..]
        };
        for (slot, voter) in indexes.iter_mut().zip(&self.voters) {
            *slot = reached(*voter).unwrap_or(Index(0));
        }
        if let [a, b, c] = *indexes {
            // Mostly there are three, of which the middle one is wanted.
            return a.min(b).max(a.max(b).min(c));
        }
        indexes.sort_unstable();
        // With the smallest first, all from this place on have reached it, which is a majority:
        // of 3 the place is 1, of 4 it is 1, of 5 it is 2.
        indexes[(count - 1) / 2]
    }

    /// Returns how a vote stands. `vote` is `None` for a voter that has not answered.
    pub fn vote_result(&self, vote: impl Fn(NodeId) -> Option<bool>) -> VoteResult {
        if self.voters.is_empty() {
            return VoteResult::Won;
        }
        let (mut yes, mut missing) = (0, 0);
        for voter in &self.voters {
            match vote(*voter) {
                Some(true) => yes += 1,
                Some(false) => {}
                None => missing += 1,
            }
        }
        let needed = self.voters.len() / 2 + 1;
        if yes >= needed {
            VoteResult::Won
        } else if yes + missing >= needed {
            VoteResult::Pending
        } else {
            VoteResult::Lost
        }
    }
}

impl From<Vec<NodeId>> for Majority {
    fn from(mut voters: Vec<NodeId>) -> Majority {
        voters.sort_unstable();
        voters.dedup();
        Majority { voters }
    }
}

impl From<Majority> for Vec<NodeId> {
    fn from(majority: Majority) -> Vec<NodeId> {
        majority.voters
    }
}

impl FromIterator<NodeId> for Majority {
    fn from_iter<I: IntoIterator<Item = NodeId>>(voters: I) -> Majority {
        Majority::from(voters.into_iter().collect::<Vec<_>>())
    }
}

impl fmt::Display for Majority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (place, voter) in self.voters.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}{voter}")?;
        }
        f.write_str(")")
    }
}
