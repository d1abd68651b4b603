//! Log matching: entries with the same index and term say the same, and so do those before them
//! (Raft, section 5.3).

use std::collections::BTreeMap;

use super::{Broken, broken};
use crate::network::Place;

/// An entry as it was written to a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) index: u64,
    pub(super) term: u64,
    /// The term of the entry before.
    pub(super) before: Option<u64>,
    pub(super) digest: u64,
}

#[derive(Debug, Default)]
pub(super) struct SameLog(BTreeMap<(u64, u64, u64), (Place, Written)>);

impl SameLog {
    pub(super) fn check(&mut self, store: Place, group: u64, entry: Written) -> Result<(), Broken> {
        let Written { index, term, before, digest } = entry;
        let (other, first) = self.0.entry((group, index, term)).or_insert((store, entry));
        let same_before = match (first.before, before) {
            (Some(one), Some(other)) => one == other,
            (None, _) => {
                first.before = before;
                true
            }
            (_, None) => true,
        };
        if first.digest == digest && same_before {
            return Ok(());
        }
        let detail = format!(
            "group {group}: entry {index} of term {term} differs on stores {other} and {store}"
        );
        broken("log matching", detail)
    }
}
