//! Election safety: in a term there is at most one leader (Raft, section 5.2).

use std::collections::BTreeMap;

use super::{Broken, broken};
use crate::network::Place;

#[derive(Debug, Default)]
pub(super) struct OneLeader(BTreeMap<(u64, u64), Place>);

impl OneLeader {
    pub(super) fn check(&mut self, store: Place, group: u64, term: u64) -> Result<(), Broken> {
        let first = *self.0.entry((group, term)).or_insert(store);
        if first == store {
            return Ok(());
        }
        let detail = format!("group {group}: stores {first} and {store} both lead in term {term}");
        broken("election safety", detail)
    }
}
