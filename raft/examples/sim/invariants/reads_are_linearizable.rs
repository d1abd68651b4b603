//! A read sees everything that was applied anywhere before the read began (thesis 6.4).

use std::collections::BTreeMap;

use tinykv_raft::{Index, ReadOutcome};

use super::Check;

/// The reads that were begun, and what was applied by then.
#[derive(Default)]
pub(crate) struct Reads {
    next: u64,
    begun: BTreeMap<u64, Index>,
    /// The highest index applied on any node.
    applied: Index,
    pub(crate) confirmed: u64,
    pub(crate) failed: u64,
}

impl Reads {
    /// Names a read that begins now.
    pub(crate) fn begin(&mut self) -> u64 {
        self.next += 1;
        self.begun.insert(self.next, self.applied);
        self.next
    }

    /// Gives up a read that could not begin.
    pub(crate) fn refused(&mut self, token: u64) {
        self.begun.remove(&token);
    }

    /// Gives up the reads of nodes that are gone.
    pub(crate) fn forget_all(&mut self) {
        self.begun.clear();
    }

    /// Returns the highest index applied on any node.
    pub(crate) fn highest_applied(&self) -> Index {
        self.applied
    }

    pub(crate) fn applied(&mut self, index: Index) {
        self.applied = self.applied.max(index);
    }

    pub(crate) fn check(&mut self, outcome: &ReadOutcome) -> Check {
        let Some(floor) = self.begun.remove(&outcome.token) else { return Ok(()) };
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
