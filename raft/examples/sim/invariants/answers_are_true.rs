//! A client is told of success only if its own command was applied: answers go by (term, index).

use std::collections::BTreeMap;

use bytes::Bytes;
use tinykv_raft::{Entry, EntryId, Index, Payload, Term};

use super::Check;

/// The proposals that wait for an answer at each node.
#[derive(Default)]
pub(crate) struct Answers {
    waiting: BTreeMap<(u64, Index), (Term, Bytes)>,
}

impl Answers {
    /// Notes that node `id` took `command` as its entry `last`.
    pub(crate) fn proposed(&mut self, id: u64, last: EntryId, command: Bytes) {
        self.waiting.insert((id, last.index), (last.term, command));
    }

    /// Answers the client that waits at node `id`, if `entry` says how its proposal ended.
    pub(super) fn on_apply(&mut self, id: u64, entry: &Entry) -> Check {
        let Some((term, command)) = self.waiting.remove(&(id, entry.index)) else { return Ok(()) };
        let success = entry.term == term || mutant::mutant!("answer_by_index");
        match success && entry.payload != Payload::Normal(command) {
            false => Ok(()),
            true => Err(format!(
                "answers: node {id} reported success for its entry {term}/{}, but {} was applied",
                entry.index,
                entry.id()
            )),
        }
    }

    /// Who has crashed answers nobody.
    pub(super) fn forget(&mut self, id: u64) {
        self.waiting.retain(|(node, _), _| *node != id);
    }
}
