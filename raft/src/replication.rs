//! Log replication (section 5.3) and commitment (5.4.2).

use crate::config::SendPolicy;
use crate::entry::Entries;
use crate::error::{StepError, StorageError};
use crate::leader::Leader;
use crate::message::Body;
use crate::progress::ProgressState;
use crate::raft::Raft;
use crate::raft_log::Fetched;
use crate::role::Role;
use crate::state::State;
use crate::storage::Storage;
use crate::types::{EntryId, Index, NodeId, Term};

// The leader's side.

impl Leader {
    /// Sends what is new to everybody: now, or when output is taken.
    pub(crate) fn replicate<S: Storage>(&mut self, state: &mut State<S>) {
        match state.config.send {
            SendPolicy::Coalesce => self.due = true,
            SendPolicy::Immediate => {
                for place in self.order() {
                    if self.progress[place].id != state.id() {
                        self.send_append(state, place, true);
                    }
                }
            }
        }
    }

    /// Returns the order in which members are served.
    fn order(&self) -> std::ops::Range<usize> {
        #[cfg(feature = "mutants")]
        if crate::mutant!("hash_order") {
            use std::hash::{BuildHasher, RandomState};
            let rotate = RandomState::new().hash_one(0) as usize % self.progress.len().max(1);
            return rotate..self.progress.len();
        }
        0..self.progress.len()
    }

    /// Sends one append to a member, if it may be sent anything; `even_empty` sends one without
    /// entries too. Returns whether something was sent.
    pub(crate) fn send_append<S: Storage>(
        &mut self,
        state: &mut State<S>,
        place: usize,
        even_empty: bool,
    ) -> bool {
        let progress = &mut self.progress[place];
        if progress.is_paused() || !even_empty && progress.next > state.log.last().index {
            return false;
        }
        let index = progress.next.prev();
        let term = match state.log.term(index) {
            Ok(term) => term,
            Err(_) => return self.send_snapshot(state, place),
        };
        let limits = (state.config.inflight_messages_max, state.config.inflight_bytes_max);
        let full = progress.state == ProgressState::Replicate && progress.inflights.is_full(limits);
        let entries = if full {
            Entries::default()
        } else {
            match state.log.slice(progress.next, state.config.message_bytes_max) {
                Ok(entries) => entries,
                Err(StorageError::Compacted { .. }) => return self.send_snapshot(state, place),
                // Our own copy cannot be read: a snapshot is the other way to get it there.
                Err(_) => return self.send_snapshot(state, place),
            }
        };
        if entries.is_empty() && !even_empty {
            return false;
        }
        let commit = state.log.committed();
        let count = entries.len();
        let bytes = match state.config.inflight_bytes_max {
            u64::MAX => 0,
            _ => entries.iter().map(|entry| entry.payload.len_bytes()).sum(),
        };
        let to = progress.id;
        progress.sent_entries(count, bytes, limits);
        progress.sent_commit = match state.config.send {
            SendPolicy::Immediate => commit,
            SendPolicy::Coalesce => commit.min(progress.next.prev()),
        };
        state.send(to, Body::Append { prev: EntryId { term, index }, commit, entries });
        true
    }

    /// Sends whatever the window allows to one member.
    fn send_all<S: Storage>(&mut self, state: &mut State<S>, place: usize) {
        if self.progress[place].id != state.id() {
            while self.send_append(state, place, false) {}
        }
    }

    /// Returns whether [`Leader::flush`] would send something.
    pub(crate) fn has_due<S: Storage>(&self, state: &State<S>) -> bool {
        let last = state.log.last().index;
        self.due
            && self.progress.iter().any(|progress| {
                let entries = !progress.is_paused() && progress.next <= last;
                let commit = progress.state == ProgressState::Replicate
                    && progress.matched.min(state.log.committed()) > progress.sent_commit;
                progress.id != state.id() && (entries || commit)
            })
    }

    /// Sends what was gathered: to each member its entries, and the commit index to those that know
    /// all that is committed but not that it is.
    pub(crate) fn flush<S: Storage>(&mut self, state: &mut State<S>) {
        if !std::mem::take(&mut self.due) {
            return;
        }
        for place in self.order() {
            self.send_all(state, place);
            let progress = &mut self.progress[place];
            let index = progress.matched.min(state.log.committed());
            if progress.id != state.id()
                && progress.state == ProgressState::Replicate
                && index > progress.sent_commit
            {
                progress.sent_commit = index;
                state.send(progress.id, Body::Commit { index });
            }
        }
    }

    fn on_append_accepted<S: Storage>(
        &mut self,
        state: &mut State<S>,
        from: NodeId,
        index: Index,
    ) -> Result<(), StepError> {
        let Some(place) = self.place(from) else { return Ok(()) };
        if index > state.log.last().index {
            return Err(StepError::Malformed("an acknowledgement beyond the log"));
        }
        let first = state.log.first_index();
        let progress = &mut self.progress[place];
        progress.recent_active = true;
        // An answer that matches nothing new still ends a probe: the follower may be up to date and
        // only have been unreachable for a while.
        let probe_answered = progress.state == ProgressState::Probe && progress.matched == index;
        if !progress.maybe_update(index) && !probe_answered {
            return Ok(());
        }
        match progress.state {
            ProgressState::Probe => progress.become_replicate(),
            // Whatever snapshot was installed, the log can take over once it reaches far enough.
            // To wait for exactly the pending one could be to wait for ever.
            ProgressState::Snapshot(pending) => {
                let enough = match crate::mutant!("snapshot_ack_exact") {
                    true => progress.matched == pending,
                    false => progress.matched.next() >= first,
                };
                if enough {
                    progress.become_replicate();
                }
            }
            ProgressState::Replicate => progress.inflights.free_to(index),
        }
        self.after_progress(state, place);
        Ok(())
    }

    /// Does what an acknowledgement makes possible.
    fn after_progress<S: Storage>(&mut self, state: &mut State<S>, place: usize) {
        // What is committed already does not move the commit index.
        let committed =
            self.progress[place].matched > state.log.committed() && self.maybe_commit(state);
        if committed {
            self.open_reads(state);
        }
        match state.config.send {
            SendPolicy::Coalesce => self.due = true,
            SendPolicy::Immediate => {
                if committed {
                    self.replicate(state);
                } else if self.progress[place].id != state.id()
                    && self.progress[place].can_bump_commit(state.log.committed())
                {
                    self.send_append(state, place, true);
                }
                self.send_all(state, place);
            }
        }
        self.hand_over_if_ready(state, place);
    }

    /// Commits what a majority has, if it is of this term; returns whether anything was.
    ///
    /// An entry of an earlier term on a majority is not safe by that (section 5.4.2, figure 8): a
    /// node with a later-term entry in its place could still be elected and overwrite it.
    pub(crate) fn maybe_commit<S: Storage>(&mut self, state: &mut State<S>) -> bool {
        let index = state
            .membership
            .voters
            .committed_index(|id| self.of(id).map(|progress| progress.matched));
        if index <= state.log.committed() {
            return false;
        }
        let own_term = state.log.matches(EntryId { term: state.term, index });
        if !own_term {
            crate::mark!("entries of an earlier term wait for one of this term");
        }
        (own_term || crate::mutant!("commit_old_term")) && state.log.commit_to(index)
    }

    pub(crate) fn on_append_rejected<S: Storage>(
        &mut self,
        state: &mut State<S>,
        from: NodeId,
        rejected: Index,
        hint: EntryId,
        damaged: bool,
    ) {
        let Some(place) = self.place(from) else { return };
        let progress = &mut self.progress[place];
        progress.recent_active = true;
        if damaged {
            let last = state.log.last().index;
            if progress.damaged_after(hint.index.min(last)) {
                self.send_append(state, place, true);
            }
            return;
        }
        let mut probe = hint.index;
        // The follower has `hint.term` there; ours may be later. Then nothing of ours down to that
        // term can match, and one more step finds where the terms may meet.
        if hint.term > Term(0) {
            probe = state.log.conflict_hint(hint.index, hint.term).index;
        }
        if crate::mutant!("probe_one_by_one") {
            probe = rejected.prev();
        }
        if progress.maybe_decrease(rejected, probe) {
            if progress.state == ProgressState::Replicate {
                progress.become_probe();
            }
            self.send_append(state, place, true);
        }
    }
}

impl<S: Storage> Raft<S> {
    /// Takes an acknowledgement, a peer's or this node's own.
    pub(crate) fn on_append_accepted(
        &mut self,
        from: NodeId,
        index: Index,
    ) -> Result<(), StepError> {
        match &mut self.role {
            Role::Leader(leader) => leader.on_append_accepted(&mut self.state, from, index),
            _ => Ok(()),
        }
    }

    // The follower's side.

    /// Takes entries from the leader of our term.
    pub(crate) fn on_append(
        &mut self,
        from: NodeId,
        prev: EntryId,
        commit: Index,
        entries: Entries,
    ) -> Result<(), StepError> {
        let log = &mut self.state.log;
        let rejected = prev.index;
        let (prev, entries) = match log.fetch(self.state.term, prev, entries) {
            Fetched::Ready(prev, entries) => (prev, entries),
            Fetched::Asks(intact) => {
                self.state.send(from, damage_report(intact, rejected));
                return Ok(());
            }
        };
        if prev.index < log.committed() && !crate::mutant!("truncate_always") {
            crate::mark!("an append comes late");
            log.check_committed(prev, &entries)?;
            // What is committed here matches whatever the leader sends.
            let index = acknowledgeable(log.first_faulty(), log.committed());
            self.acknowledge(from, index);
            return Ok(());
        }
        if !log.matches(prev) {
            let hint = log.conflict_hint(prev.index.min(log.last().index), prev.term);
            let body = Body::AppendRejected { rejected: prev.index, hint, damaged: false };
            self.state.send(from, body);
            return Ok(());
        }
        let matched = log.merge(prev, &entries)?;
        // Entries of ours beyond `matched` may not be the leader's, so its commit index says
        // nothing of them.
        let known = match crate::mutant!("commit_beyond_match") {
            true => log.last().index,
            false => matched,
        };
        log.commit_to(commit.min(known));
        let index = acknowledgeable(log.first_faulty(), matched);
        self.acknowledge(from, index);
        Ok(())
    }

    /// Acknowledges entries up to `index`; with coalescing, a later acknowledgement takes the place
    /// of an earlier one that has not left.
    fn acknowledge(&mut self, to: NodeId, index: Index) {
        if self.state.config.send == SendPolicy::Coalesce
            && let Some(waiting) = self.state.promises.last_mut()
            && (waiting.to, waiting.term) == (to, self.state.term)
            && let Body::AppendAccepted { index: earlier } = &mut waiting.body
        {
            *earlier = index.max(*earlier);
            return;
        }
        self.state.send(to, Body::AppendAccepted { index });
    }

    pub(crate) fn on_heartbeat(&mut self, from: NodeId, commit: Index, round: u64) {
        let state = &mut self.state;
        state.log.commit_to(commit);
        state.send(from, Body::HeartbeatResponse { round });
        if let Some(faulty) = state.log.first_faulty() {
            // An idle leader would otherwise never hear of the damage.
            let intact = state.log.intact(state.term);
            state.send(from, damage_report(intact, faulty));
        }
    }
}

/// Says that the entry after `intact` is damaged.
fn damage_report(intact: EntryId, rejected: Index) -> Body {
    Body::AppendRejected { rejected, hint: intact, damaged: true }
}

/// Returns how much of `matched` may be acknowledged: nothing from a damaged entry on.
pub(crate) fn acknowledgeable(faulty: Option<Index>, matched: Index) -> Index {
    match faulty {
        Some(faulty) if !crate::mutant!("faulty_acknowledged") => matched.min(faulty.prev()),
        _ => matched,
    }
}
