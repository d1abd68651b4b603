//! A client is told of success only if its own command was applied: answers go by (term, index).

use std::collections::BTreeMap;

use bytes::Bytes;
use tinykv_raft::{Entry, Index, Payload, Proposed};

use super::Check;

/// The proposals that wait for an answer at each node.
#[derive(Default)]
pub(crate) struct Answers {
    waiting: BTreeMap<(u64, Index), (Proposed, Bytes)>,
}

impl Answers {
    /// Notes what node `id` made of `command`.
    pub(crate) fn proposed(&mut self, id: u64, proposed: Proposed, command: Bytes) {
        if let Proposed::Appended { last } = proposed {
            self.waiting.insert((id, last.index), (proposed, command));
        }
    }

    /// Answers the client that waits at node `id`, if `entry` says how its proposal ended.
    pub(super) fn on_apply(&mut self, id: u64, entry: &Entry) -> Check {
        let waiting = self.waiting.remove(&(id, entry.index));
        let Some((proposed, command)) = waiting else { return Ok(()) };
        let success = proposed.outcome(entry.id()) == Some(true);
        match success && entry.payload != Payload::Normal(command) {
            false => Ok(()),
            true => Err(format!(
                "answers: node {id} reported success for {proposed:?}, but {} was applied",
                entry.id()
            )),
        }
    }

    /// Who has crashed answers nobody.
    pub(super) fn forget(&mut self, id: u64) {
        self.waiting.retain(|(node, _), _| *node != id);
    }
}
