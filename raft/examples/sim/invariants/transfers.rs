//! A hand-over of leadership (thesis 3.10): its target has all entries, no more are taken meanwhile,
//! and it ends when its target is no voter any more.

use tinykv_raft::{MemStorage, Message, Node, Proposed, Storage};

use super::super::member::Member;
use super::Check;

/// When a node tells another to campaign.
pub(super) fn on_timeout_now(member: &Member, all: &[Member], message: &Message) -> Check {
    let Some(node) = &member.node else { return Ok(()) };
    let disk = &all[message.to.0 as usize - 1].disk.durable;
    let last = node.last();
    let later = disk.hard_state().term > message.term;
    match later || disk.first_index() > last.index || disk.term(last.index) == Ok(last.term) {
        true => Ok(()),
        false => Err(format!(
            "transfer: {} tells {} to campaign, which does not have {last}",
            message.from, message.to
        )),
    }
}

/// When a node was asked to take proposals, `before` which it was in the middle of a transfer or not.
pub(crate) fn on_propose(id: u64, transferring: bool, taken: &Proposed) -> Check {
    match (transferring, taken) {
        (true, Proposed::Appended { last }) => {
            Err(format!("transfer: {id} took {last} while it hands over"))
        }
        _ => Ok(()),
    }
}

/// When a node has applied a membership change.
pub(super) fn on_change(node: &Node<MemStorage>) -> Check {
    match node.status().transferee {
        Some(target) if !node.membership().is_voter(target) => {
            Err(format!("transfer: {} hands over to {target}, which is no voter", node.id()))
        }
        _ => Ok(()),
    }
}
