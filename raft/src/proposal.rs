//! Proposals (section 5.3): a leader appends them, a follower forwards them.

use crate::confchange::Change;
use crate::config::SendPolicy;
use crate::entry::{BATCH_ENTRIES_MAX, Payload};
use crate::error::{ChangeError, ProposeError};
use crate::leader::Leader;
use crate::message::Body;
use crate::raft::Raft;
use crate::role::Role;
use crate::state::State;
use crate::storage::Storage;
use crate::types::{EntryId, Index, NodeId};

/// What became of a proposal that was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proposed {
    /// The entries stand in this leader's log, the last at this place. They are committed if and only
    /// if an entry with this **term and index** is: another leader may put another entry at the
    /// same index.
    Appended {
        /// The last entry.
        last: EntryId,
    },
    /// The proposal was sent to the leader. Nothing will be heard of it: it may be lost.
    Forwarded {
        /// Who leads.
        leader: NodeId,
    },
}

impl Proposed {
    /// Returns what became of the proposal, when `applied` is the entry that stands at its index:
    /// whether it is this one. `None` if the entry stands elsewhere, or if the proposal was forwarded.
    pub fn outcome(&self, applied: EntryId) -> Option<bool> {
        match self {
            Proposed::Appended { last } if last.index == applied.index => {
                Some(last.term == applied.term || crate::mutant!("answer_by_index"))
            }
            _ => None,
        }
    }
}

impl<S: Storage> Raft<S> {
    /// Takes proposals, all or none.
    pub(crate) fn propose(
        &mut self,
        payloads: impl IntoIterator<Item = Payload>,
    ) -> Result<Proposed, ProposeError> {
        match &mut self.role {
            Role::Leader(leader) => {
                let last = leader.propose(&mut self.state, payloads)?;
                Ok(Proposed::Appended { last })
            }
            Role::PreCandidate(_) | Role::Candidate(_) => Err(ProposeError::NoLeader),
            Role::Follower => self.forward(payloads.into_iter().collect()),
        }
    }

    fn forward(&mut self, payloads: Vec<Payload>) -> Result<Proposed, ProposeError> {
        let leader = self.state.leader.ok_or(ProposeError::NoLeader)?;
        if !self.state.config.forward_proposals {
            return Err(ProposeError::NotLeader { leader });
        }
        self.state.send(leader, Body::Propose { payloads });
        Ok(Proposed::Forwarded { leader })
    }

    /// Takes a membership change, which only a leader can judge.
    pub(crate) fn propose_change(&mut self, change: Change) -> Result<EntryId, ProposeError> {
        match (&mut self.role, self.state.leader) {
            (Role::Leader(leader), _) => {
                leader.propose(&mut self.state, [Payload::Change(change.into())])
            }
            (_, Some(leader)) => Err(ProposeError::NotLeader { leader }),
            (_, None) => Err(ProposeError::NoLeader),
        }
    }
}

impl Leader {
    fn propose<S: Storage>(
        &mut self,
        state: &mut State<S>,
        payloads: impl IntoIterator<Item = Payload>,
    ) -> Result<EntryId, ProposeError> {
        // A leader that is no longer a member still serves until it steps down, but what it
        // accepted now it might never see committed.
        if !state.membership.contains(state.id()) {
            return Err(ProposeError::NotMember);
        }
        if let Some(target) = self.transferee
            && !crate::mutant!("proposal_during_transfer")
        {
            return Err(ProposeError::Transferring { target });
        }
        let payloads = payloads.into_iter();
        let before = state.log.last().index;
        let mut pending_change = self.pending_change;
        let mut bytes = 0;
        state.log.reserve(payloads.size_hint().0.min(BATCH_ENTRIES_MAX));
        let mut refused = None;
        for payload in payloads {
            if let Payload::Change(change) = &payload {
                if let Err(error) = check_change(state, pending_change, change) {
                    refused = Some(error.into());
                    break;
                }
                pending_change = state.log.last().index.next();
            }
            bytes += payload.len_bytes();
            state.log.push(state.term, payload);
        }
        let count = (state.log.last().index.0 - before.0) as usize;
        if count == 0 || count > BATCH_ENTRIES_MAX {
            refused = refused.or(Some(ProposeError::BatchSize { max: BATCH_ENTRIES_MAX }));
        }
        let refused = refused.or_else(|| self.over_quota(state, bytes));
        if let Some(error) = refused {
            state.log.retract(before);
            return Err(error);
        }
        self.pending_change = pending_change;
        self.uncommitted_bytes += bytes;
        self.appended(state);
        self.replicate(state);
        Ok(state.log.last())
    }

    /// Returns why `bytes` more cannot be taken. The first proposal always is, whatever its size,
    /// and so is one that costs nothing: the no-op and the change that leaves a joint configuration
    /// must not wait for room.
    fn over_quota<S: Storage>(&self, state: &State<S>, bytes: u64) -> Option<ProposeError> {
        let max_bytes = state.config.uncommitted_bytes_max;
        let sum = self.uncommitted_bytes.saturating_add(bytes);
        let over = self.uncommitted_bytes > 0 && bytes > 0 && sum > max_bytes;
        let uncommitted_bytes = self.uncommitted_bytes;
        over.then_some(ProposeError::QuotaExceeded { uncommitted_bytes, max_bytes })
    }

    /// Gives back the bytes of commands that are applied.
    pub(crate) fn free_quota(&mut self, bytes: u64) {
        if !crate::mutant!("quota_leak") {
            // Entries of earlier terms were never counted.
            self.uncommitted_bytes = self.uncommitted_bytes.saturating_sub(bytes);
        }
    }

    /// Appends an entry that no limit may refuse.
    pub(crate) fn append_unchecked<S: Storage>(&mut self, state: &mut State<S>, payload: Payload) {
        state.log.push(state.term, payload);
        self.appended(state);
    }

    /// Promises this leader's own acknowledgement, which counts like a follower's: when the entries
    /// are durable. With coalescing it is made when output is taken.
    fn appended<S: Storage>(&mut self, state: &mut State<S>) {
        let last = state.log.last().index;
        if crate::mutant!("self_ack_before_durable")
            && let Some(place) = self.place(state.id())
        {
            self.progress[place].maybe_update(last);
            self.maybe_commit(state);
        }
        if state.config.send == SendPolicy::Immediate {
            state.send(state.id(), Body::AppendAccepted { index: last });
        }
    }
}

/// Checks whether a membership change may be proposed now.
fn check_change<S: Storage>(
    state: &State<S>,
    pending: Index,
    change: &Change,
) -> Result<(), ChangeError> {
    if !state.config.validate_changes {
        return Ok(());
    }
    // Two changes at a time could give two majorities without a common node.
    if pending > state.log.applied() && !crate::mutant!("two_changes") {
        return Err(ChangeError::PendingAt { index: pending });
    }
    match (state.membership.voters.is_joint(), change.steps.is_empty()) {
        (true, false) => Err(ChangeError::AlreadyJoint),
        // Whatever its transition: to enter a joint configuration of equal halves is of no use.
        (false, true) => Err(ChangeError::NotJoint),
        // No other change comes between, so what is possible now is possible when applied.
        _ => change.apply(&state.membership).map(|_| ()),
    }
}
