//! Handing leadership over (thesis 3.10).
//!
//! The leader stops taking proposals, brings the target's log up to its own, and tells it to
//! campaign at once. If the target does not win within an election timeout, the leader goes on.

use crate::election::Campaign;
use crate::error::{StepError, TransferError};
use crate::leader::Leader;
use crate::message::Body;
use crate::raft::Raft;
use crate::role::Role;
use crate::state::State;
use crate::storage::Storage;
use crate::types::NodeId;

impl<S: Storage> Raft<S> {
    /// Starts a transfer here, or asks the leader for one.
    pub(crate) fn transfer_leader(&mut self, target: NodeId) -> Result<(), TransferError> {
        match (&mut self.role, self.state.leader) {
            (Role::Leader(leader), _) => leader.transfer(&mut self.state, target),
            (_, Some(leader)) => {
                self.state.send(leader, Body::TransferLeader { target });
                Ok(())
            }
            (_, None) => Err(TransferError::NoLeader),
        }
    }

    /// Campaigns because the leader says so. Pre-vote would only ask whether the leader is missed.
    pub(crate) fn on_timeout_now(&mut self, from: NodeId) -> Result<(), StepError> {
        // The election would end a lease, which only the leader itself may give up.
        if self.state.leader.is_some_and(|leader| leader != from) {
            return Err(StepError::Malformed("only the leader hands over"));
        }
        if matches!(self.role, Role::Follower) {
            // If this node cannot campaign now, the leader notices by the silence.
            let _ = self.campaign(Campaign::Transfer);
        }
        Ok(())
    }
}

impl Leader {
    fn transfer<S: Storage>(
        &mut self,
        state: &mut State<S>,
        target: NodeId,
    ) -> Result<(), TransferError> {
        let place = match self.place(target) {
            Some(place) if state.membership.is_voter(target) => place,
            _ => return Err(TransferError::NotVoter { target }),
        };
        if self.transferee == Some(target) {
            return Err(TransferError::InProgress { target });
        }
        self.abort_transfer(state);
        if target == state.id() {
            return Ok(());
        }
        // The target gets a whole election timeout.
        state.election_elapsed = 0;
        self.transferee = Some(target);
        if !self.hand_over_if_ready(state, place) {
            self.send_append(state, place, true);
        }
        Ok(())
    }

    /// Tells the target to campaign if its log is as long as ours; returns whether it was told.
    pub(crate) fn hand_over_if_ready<S: Storage>(
        &mut self,
        state: &mut State<S>,
        place: usize,
    ) -> bool {
        let progress = &self.progress[place];
        let caught_up =
            progress.matched == state.log.last().index || crate::mutant!("transfer_to_lagging");
        if self.transferee != Some(progress.id) || !caught_up {
            return false;
        }
        // From now on the target may be elected at any time, whatever lease its voters gave us,
        // even after an abort: the message may be late.
        crate::mark!("leadership is handed over");
        self.lease_given_up = !crate::mutant!("transfer_keeps_lease");
        state.send(progress.id, Body::TimeoutNow);
        true
    }

    /// Goes on leading.
    pub(crate) fn abort_transfer<S: Storage>(&mut self, state: &mut State<S>) {
        if self.transferee.is_some() && !crate::mutant!("transfer_never_aborted") {
            crate::mark!("a transfer is given up");
            self.transferee = None;
            self.leave_joint_if_due(state);
        }
    }
}
