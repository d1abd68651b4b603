//! What must hold after every step, whatever fails. One guarantee a file.

mod applied_alike;
mod commit_forward;
mod one_leader;
mod same_log;

use crate::network::Place;
use crate::process::{Deed, Fact, State};

/// A guarantee that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The guarantee.
    pub name: &'static str,
    /// What was seen.
    pub detail: String,
}

/// All guarantees, with what they remember.
#[derive(Debug, Default)]
pub struct Invariants {
    one_leader: one_leader::OneLeader,
    same_log: same_log::SameLog,
    commit_forward: commit_forward::CommitForward,
    applied_alike: applied_alike::AppliedAlike,
}

impl Invariants {
    /// Takes in what a program did.
    ///
    /// # Errors
    /// The guarantee that this breaks.
    pub fn check(&mut self, store: Place, fact: Fact) -> Result<(), Broken> {
        let group = fact.group;
        match fact.deed {
            Deed::Leads { term } => self.one_leader.check(store, group, term),
            Deed::Appended { index, term, before, digest } => {
                let entry = same_log::Written { index, term, before, digest };
                self.same_log.check(store, group, entry)
            }
            Deed::Committed { index } => self.commit_forward.check(store, group, index),
            Deed::Applied { index, term, digest } => {
                self.applied_alike.applied(store, group, index, (term, digest))
            }
            Deed::Restored { index } => {
                self.applied_alike.restored(store, group, index);
                Ok(())
            }
            Deed::Compacted { .. } => Ok(()),
            Deed::Gone => {
                self.commit_forward.forget_group(store, group);
                self.applied_alike.forget_group(store, group);
                Ok(())
            }
        }
    }

    /// Takes in the state of a store as it starts or at any other moment.
    ///
    /// # Errors
    /// Where another store had another state at the same index.
    pub fn check_state(&mut self, store: Place, state: &State) -> Result<(), Broken> {
        self.applied_alike.state(store, state)
    }

    /// Forgets what a program held in memory only, and learns from where it applies on.
    pub fn restarted(&mut self, store: Place, states: &[State]) {
        self.commit_forward.forget(store);
        self.applied_alike.restarted(store, states);
    }

    /// The highest entry that was applied anywhere.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied_alike.highest()
    }
}

fn broken(name: &'static str, detail: String) -> Result<(), Broken> {
    Err(Broken { name, detail })
}
