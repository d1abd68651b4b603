//! Who answered a leader that reads by a lease elects nobody else for an election timeout, unless the
//! leader itself hands over (thesis 6.4).

use std::collections::BTreeMap;

use tinykv_raft::{Body, Config, MemStorage, Message, Node, NodeId, ReadMode, Term};

use super::Check;

/// What each node promised. Time is counted in its own ticks.
#[derive(Default)]
pub(crate) struct LeasePromise {
    nodes: BTreeMap<u64, Promise>,
}

#[derive(Default)]
struct Promise {
    now: u64,
    /// When a leader was answered.
    answered: Option<u64>,
    vote: (Term, Option<NodeId>),
    /// The message that is being handled belongs to a hand-over.
    handed_over: bool,
}

impl LeasePromise {
    pub(crate) fn ticked(&mut self, id: u64) {
        self.nodes.entry(id).or_default().now += 1;
    }

    /// When a node starts: it may have answered a leader and forgotten it.
    pub(crate) fn started(&mut self, node: &Node<MemStorage>) {
        let promise = self.nodes.entry(node.id().0).or_default();
        let state = node.hard_state();
        promise.vote = (state.term, state.vote);
        promise.answered = (state.term > Term(0)).then_some(promise.now);
    }

    /// Before `message` reaches its receiver.
    pub(crate) fn heard(&mut self, message: &Message) {
        let handed_over =
            matches!(message.body, Body::TimeoutNow | Body::RequestVote { transfer: true, .. });
        self.nodes.entry(message.to.0).or_default().handed_over = handed_over;
    }

    pub(super) fn on_send(&mut self, message: &Message) {
        if let Body::HeartbeatResponse { .. } = message.body {
            let promise = self.nodes.entry(message.from.0).or_default();
            promise.answered = Some(promise.now);
        }
    }

    pub(super) fn check(&mut self, node: &Node<MemStorage>, config: &Config) -> Check {
        let promise = self.nodes.entry(node.id().0).or_default();
        let state = node.hard_state();
        let vote = (state.term, state.vote);
        let news = std::mem::replace(&mut promise.vote, vote) != vote && state.vote.is_some();
        let handed_over = std::mem::take(&mut promise.handed_over);
        if !news || handed_over || config.reads != ReadMode::Lease {
            return Ok(());
        }
        match promise.answered {
            Some(at) if promise.now - at < u64::from(config.election_ticks) => Err(format!(
                "lease: {} voted in {} only {} ticks after it had answered a leader",
                node.id(),
                state.term,
                promise.now - at
            )),
            _ => Ok(()),
        }
    }
}
