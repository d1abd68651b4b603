//! A node votes for at most one candidate in a term, whatever crashes (section 5.2).

use std::collections::BTreeMap;

use tinykv_raft::{Message, NodeId, Term};

use super::Check;

#[derive(Default)]
pub(super) struct VoteOnce {
    votes: BTreeMap<(NodeId, Term), NodeId>,
}

impl VoteOnce {
    pub(super) fn check(&mut self, message: &Message) -> Check {
        let vote = self.votes.entry((message.from, message.term)).or_insert(message.to);
        match *vote == message.to {
            true => Ok(()),
            false => Err(format!(
                "one vote: node {} voted for {vote} and {} in term {}",
                message.from, message.to, message.term
            )),
        }
    }
}
