//! The commit index of a running program never goes back.

use std::collections::BTreeMap;

use super::{Broken, broken};
use crate::network::Place;

#[derive(Debug, Default)]
pub(super) struct CommitForward(BTreeMap<(Place, u64), u64>);

impl CommitForward {
    pub(super) fn check(&mut self, store: Place, group: u64, index: u64) -> Result<(), Broken> {
        let before = self.0.insert((store, group), index).unwrap_or(0);
        if before <= index {
            return Ok(());
        }
        let detail = format!("group {group}: store {store} went from {before} back to {index}");
        broken("commit index goes forward", detail)
    }

    /// A store that comes back to a group begins anew.
    pub(super) fn forget_group(&mut self, store: Place, group: u64) {
        self.0.remove(&(store, group));
    }

    pub(super) fn forget(&mut self, store: Place) {
        self.0.retain(|(its, _), _| *its != store);
    }
}
