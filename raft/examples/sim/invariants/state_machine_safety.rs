//! If a node has applied an entry at an index, no other node applies another one there (5.4.3).
//!
//! Each node applies every index once and in order, so equal entries give equal state machines.

use std::collections::BTreeMap;

use tinykv_raft::{Entry, EntryId, Index};

use super::super::member::Member;
use super::{Check, entry_hash};

#[derive(Default)]
pub(super) struct StateMachineSafety {
    /// What stands at each applied index, and the state machine's hash after it.
    applied: BTreeMap<Index, (EntryId, u64, u64)>,
}

impl StateMachineSafety {
    pub(super) fn check(&mut self, member: &Member, entry: &Entry) -> Check {
        let machine = &member.disk.machine;
        let now = (entry.id(), entry_hash(0, entry), machine.hash);
        let known = self.applied.entry(entry.index).or_insert(now);
        if *known != now {
            return Err(format!(
                "state machine safety: node {} applied {} where {} was applied, or is in another state",
                member.id,
                entry.id(),
                known.0
            ));
        }
        Ok(())
    }

    pub(super) fn last_committed(&self) -> EntryId {
        self.applied.last_key_value().map_or(EntryId::default(), |(_, (id, _, _))| *id)
    }
}
