//! Membership changes taking effect (section 6). See [`crate::confchange`] for why at apply time.

use crate::confchange::{Change, Diff};
use crate::entry::Payload;
use crate::error::ChangeError;
use crate::leader::Leader;
use crate::membership::Membership;
use crate::progress::Progress;
use crate::raft::Raft;
use crate::role::Role;
use crate::state::State;
use crate::storage::Storage;

impl<S: Storage> Raft<S> {
    /// Carries out a change whose entry is being applied.
    pub(crate) fn apply_change(&mut self, change: &Change) -> Result<Membership, ChangeError> {
        let (membership, diff) = change.apply(&self.state.membership)?;
        self.state.membership = membership;
        let id = self.state.id();
        if let Role::Leader(leader) = &mut self.role {
            leader.reconfigure(&mut self.state, &diff);
            let steps_down =
                self.state.config.step_down_on_removal && !crate::mutant!("removed_leader_stays");
            if steps_down && !self.state.membership.is_voter(id) {
                self.become_follower(self.state.term, None);
            }
        }
        Ok(self.state.membership.clone())
    }
}

impl Leader {
    /// Follows a new membership.
    fn reconfigure<S: Storage>(&mut self, state: &mut State<S>, diff: &Diff) {
        let gone = |progress: &Progress| {
            diff.removed.contains(&progress.id) || diff.added.contains(&progress.id)
        };
        self.progress.retain(|progress| !gone(progress));
        for id in &diff.added {
            let mut progress = Progress::new(*id, state.log.last().index);
            // It had no chance to be heard yet; were it inactive, adding a node to a small group
            // could cost the leader its quorum at once.
            progress.recent_active = !crate::mutant!("added_node_inactive");
            self.progress.push(progress);
        }
        self.progress.sort_unstable_by_key(|progress| progress.id);

        let voter = state.membership.is_voter(state.id());
        if voter && !state.membership.voters.incoming.is_empty() {
            // A smaller quorum may have what the larger one lacked.
            if self.maybe_commit(state) {
                self.open_reads(state);
                self.replicate(state);
            } else {
                self.probe_new(state);
            }
            self.confirm_reads(state);
        }
        // Also by a leader that is on its way out itself.
        if let Some(target) = self.transferee
            && !state.membership.is_voter(target)
            && !crate::mutant!("transfer_outlives_removal")
        {
            self.abort_transfer(state);
        }
    }

    /// Sends to members that wait for nothing, so that a new one need not wait for a heartbeat.
    fn probe_new<S: Storage>(&mut self, state: &mut State<S>) {
        if state.config.send == crate::SendPolicy::Coalesce {
            self.due = true;
            return;
        }
        for place in 0..self.progress.len() {
            if self.progress[place].id != state.id() {
                self.send_append(state, place, false);
            }
        }
    }

    /// Proposes to leave a joint configuration that is to be left by itself, once it is applied and
    /// no other change is on the way. Asked again whenever something may have changed.
    pub(crate) fn leave_joint_if_due<S: Storage>(&mut self, state: &mut State<S>) {
        let due = state.membership.auto_leave
            && state.log.applied() >= self.pending_change
            && self.transferee.is_none()
            && state.membership.contains(state.id());
        if !due || crate::mutant!("auto_leave_never") {
            return;
        }
        self.append_unchecked(state, Payload::Change(Change::leave_joint().into()));
        if !crate::mutant!("auto_leave_repeated") {
            self.pending_change = state.log.last().index;
        }
        self.replicate(state);
    }
}
