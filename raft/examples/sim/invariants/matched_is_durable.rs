//! What a leader takes for matching is on the member's disk, as the leader has it (figure 2).

use tinykv_raft::{MemStorage, Node, Storage};

use super::super::member::Member;
use super::Check;

pub(super) fn check(node: &Node<MemStorage>, all: &[Member]) -> Check {
    for progress in node.progress() {
        let (id, index) = (progress.id, progress.matched);
        let disk = &all[id.0 as usize - 1].disk.durable;
        let ours = node.entry_term(index);
        // Who is in a later term may have followed another leader since. And a leader's own entries of
        // earlier terms may be on their way to its disk: it does not commit those by counting.
        let own = id == node.id() && ours != Some(node.term());
        let later = disk.hard_state().term > node.term();
        if own || later || disk.first_index() > index || ours.is_none() {
            continue;
        }
        if disk.term(index).ok() != ours {
            return Err(format!(
                "matched: {} takes the log of {id} for equal up to {index}, which is not so on its disk",
                node.id()
            ));
        }
    }
    Ok(())
}
