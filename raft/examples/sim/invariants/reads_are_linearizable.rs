//! A read sees everything that was applied anywhere before the read began (thesis 6.4), and a leader
//! answers it.

use std::collections::BTreeMap;

use tinykv_raft::{Index, ReadOutcome};

use super::Check;

/// The reads that were begun, and what was applied by then.
#[derive(Default)]
pub(crate) struct Reads {
    next: u64,
    begun: BTreeMap<u64, Begun>,
    /// The highest index applied on any node.
    applied: Index,
    pub(crate) confirmed: u64,
    pub(crate) failed: u64,
}

struct Begun {
    /// What was applied somewhere by then.
    floor: Index,
    id: u64,
    leads: bool,
}

impl Reads {
    /// Names a read that begins now at a node, which leads or not.
    pub(crate) fn begin(&mut self, id: u64, leads: bool) -> u64 {
        self.next += 1;
        self.begun.insert(self.next, Begun { floor: self.applied, id, leads });
        self.next
    }

    /// Checks that leaders have answered what was begun before the read `mark`. What was forwarded may
    /// be lost on its way.
    pub(crate) fn check_answered(&self, mark: u64) -> Check {
        match self.begun.range(..mark).find(|(_, begun)| begun.leads) {
            None => Ok(()),
            Some((token, begun)) => {
                Err(format!("reads: the leader {} never answered read {token}", begun.id))
            }
        }
    }

    /// Gives up a read that could not begin.
    pub(crate) fn refused(&mut self, token: u64) {
        self.begun.remove(&token);
    }

    /// Gives up the reads of a node that is gone.
    pub(super) fn forget(&mut self, id: u64) {
        self.begun.retain(|_, begun| begun.id != id);
    }

    /// Returns the name of the latest read.
    pub(crate) fn latest(&self) -> u64 {
        self.next
    }

    /// Returns the highest index applied on any node.
    pub(crate) fn highest_applied(&self) -> Index {
        self.applied
    }

    pub(crate) fn applied(&mut self, index: Index) {
        self.applied = self.applied.max(index);
    }

    pub(crate) fn check(&mut self, outcome: &ReadOutcome) -> Check {
        let Some(Begun { floor, .. }) = self.begun.remove(&outcome.token) else { return Ok(()) };
        match outcome.result {
            Ok(index) if index < floor => Err(format!(
                "reads: read {} may be served at {index}, but {floor} was applied before it began",
                outcome.token
            )),
            Ok(_) => {
                self.confirmed += 1;
                Ok(())
            }
            Err(_) => {
                self.failed += 1;
                Ok(())
            }
        }
    }
}
