//! State machine safety: at an index every store applies the same entry, each once and in order,
//! and holds the same data thereafter (Raft, section 5.4.3).

use std::collections::BTreeMap;

use super::{Broken, broken};
use crate::network::Place;
use crate::process::State;

const NAME: &str = "state machine safety";

#[derive(Debug, Default)]
pub(super) struct AppliedAlike {
    /// Who first applied an entry of a group, and its term and digest.
    entries: BTreeMap<(u64, u64), (Place, (u64, u64))>,
    /// Up to where each store has applied each group; 0 where nothing is known of a group yet,
    /// which may begin anywhere.
    applied: BTreeMap<(Place, u64), u64>,
    /// Who first held which state at an index of a group.
    states: BTreeMap<(u64, u64), (Place, u64)>,
}

impl AppliedAlike {
    pub(super) fn applied(
        &mut self,
        store: Place,
        group: u64,
        index: u64,
        entry: (u64, u64),
    ) -> Result<(), Broken> {
        let before = self.applied.insert((store, group), index);
        if let Some(before) = before.filter(|before| *before > 0 && before + 1 != index) {
            let detail = format!("group {group}: store {store} applied {index} after {before}");
            return broken(NAME, detail);
        }
        let (other, first) = *self.entries.entry((group, index)).or_insert((store, entry));
        if first == entry {
            return Ok(());
        }
        let detail = format!(
            "group {group}: at {index} store {other} applied an entry of term {}, store {store} \
             another one of term {}",
            first.0, entry.0
        );
        broken(NAME, detail)
    }

    pub(super) fn restored(&mut self, store: Place, group: u64, index: u64) {
        self.applied.insert((store, group), index);
    }

    pub(super) fn restarted(&mut self, store: Place, states: &[State]) {
        self.applied.retain(|(its, _), _| *its != store);
        for state in states {
            self.applied.insert((store, state.group), state.applied);
        }
    }

    pub(super) fn forget_group(&mut self, store: Place, group: u64) {
        self.applied.remove(&(store, group));
    }

    pub(super) fn state(&mut self, store: Place, state: &State) -> Result<(), Broken> {
        let State { group, applied, digest, .. } = *state;
        let (other, first) = *self.states.entry((group, applied)).or_insert((store, digest));
        if first == digest {
            return Ok(());
        }
        let detail = format!(
            "group {group}: stores {other} and {store} hold different data after entry {applied}"
        );
        broken(NAME, detail)
    }

    pub(super) fn highest(&self) -> u64 {
        self.entries.keys().map(|(_, index)| *index).max().unwrap_or(0)
    }
}
