//! What only a leader has: "volatile state on leaders" of figure 2, and its clock.
//!
//! Invariant: `progress` has exactly the members, ascending by id, so that messages leave in the same
//! order in every run.

use crate::message::Body;
use crate::progress::{Progress, ProgressState};
use crate::quorum::VoteResult;
use crate::read_index::ReadQueue;
use crate::state::State;
use crate::storage::Storage;
use crate::types::{Index, NodeId};

/// The state of a leader, for one term.
#[derive(Debug)]
pub(crate) struct Leader {
    pub(crate) progress: Vec<Progress>,
    /// A membership change may stand at or below this index and be unapplied. A new leader does not
    /// know what its log's tail holds, so it begins with the end of its log.
    pub(crate) pending_change: Index,
    /// The no-op of this term. What is committed up to here is known to be all there was.
    pub(crate) opened: Index,
    /// Who shall lead next.
    pub(crate) transferee: Option<NodeId>,
    /// Somebody was told to campaign at once, whatever leases say; the message may arrive at any
    /// time, so this leader has no lease any more.
    pub(crate) lease_given_up: bool,
    /// Bytes of commands proposed and not applied.
    pub(crate) uncommitted_bytes: u64,
    pub(crate) reads: ReadQueue,
    /// Ticks since the last heartbeats.
    heartbeat_elapsed: u32,
    /// Appends or commit indexes may be due; see [`crate::SendPolicy::Coalesce`].
    pub(crate) due: bool,
}

impl Leader {
    pub(crate) fn new<S: Storage>(state: &State<S>) -> Leader {
        let last = state.log.last().index;
        let progress = state
            .membership
            .ids()
            .into_iter()
            .map(|id| {
                let mut progress = Progress::new(id, last.next());
                if id == state.id() {
                    // Perhaps not all of it is durable: the votes of others can be a majority without
                    // this node's own, which waits for its disk. That does no harm, since only entries
                    // of this term are committed by counting, and this node acknowledges the first of
                    // them when it is durable, and with it all before it.
                    progress.matched = last;
                    progress.become_replicate();
                    progress.next = last.next();
                    progress.recent_active = true;
                }
                progress
            })
            .collect();
        Leader {
            progress,
            pending_change: last,
            opened: last.next(),
            transferee: None,
            lease_given_up: false,
            uncommitted_bytes: 0,
            reads: ReadQueue::default(),
            heartbeat_elapsed: 0,
            due: false,
        }
    }

    /// Opens the term with a no-op: entries of earlier terms are committed only by an entry of this
    /// term after them (sections 5.4.2 and 8).
    pub(crate) fn open_term<S: Storage>(&mut self, state: &mut State<S>) {
        if !crate::mutant!("noop_missing") {
            self.append_unchecked(state, crate::entry::Payload::NOOP);
        }
        self.replicate(state);
    }

    pub(crate) fn of(&self, id: NodeId) -> Option<&Progress> {
        self.place(id).map(|place| &self.progress[place])
    }

    /// Returns where `id` stands in `progress`.
    pub(crate) fn place(&self, id: NodeId) -> Option<usize> {
        self.progress.iter().position(|progress| progress.id == id)
    }

    /// Lets a unit of time pass; returns whether this node still leads.
    pub(crate) fn tick<S: Storage>(&mut self, state: &mut State<S>) -> bool {
        self.heartbeat_elapsed += 1;
        self.reads.tick();
        self.doubt_snapshots(state.config.snapshot_ticks);
        if state.election_elapsed >= state.config.election_ticks {
            state.election_elapsed = 0;
            // A leader that cannot reach a majority cannot commit, but its heartbeats may keep the
            // followers it reaches from electing one that can. So it steps down (thesis 6.2).
            if state.config.check_quorum {
                let lost = !self.quorum_active(state) && !crate::mutant!("quorum_loss_ignored");
                for progress in &mut self.progress {
                    progress.recent_active = progress.id == state.id();
                }
                if lost {
                    crate::mark!("a leader steps down without a majority");
                    return false;
                }
            }
            // A target that did not win in time may be down.
            self.abort_transfer(state);
        }
        if self.heartbeat_elapsed >= state.config.heartbeat_ticks {
            self.heartbeat_elapsed = 0;
            self.broadcast_heartbeat(state);
        }
        true
    }

    /// Asks again where the logs match, where a snapshot has been on its way for too long.
    fn doubt_snapshots(&mut self, patience: u32) {
        for progress in &mut self.progress {
            if let ProgressState::Snapshot(_) = progress.state {
                progress.snapshot_age = progress.snapshot_age.saturating_add(1);
                if progress.snapshot_age >= patience && !crate::mutant!("lost_snapshot_unnoticed") {
                    progress.become_probe();
                }
            }
        }
    }

    fn quorum_active<S: Storage>(&self, state: &State<S>) -> bool {
        let active = |id| Some(self.of(id).is_some_and(|progress| progress.recent_active));
        state.membership.voters.vote_result(active) == VoteResult::Won
    }

    /// Begins a round of heartbeats.
    pub(crate) fn broadcast_heartbeat<S: Storage>(&mut self, state: &mut State<S>) {
        let round = self.reads.begin_round();
        for progress in &mut self.progress {
            if progress.id == state.id() {
                progress.round = round;
                continue;
            }
            // A follower may commit only what is known to match: its log may differ beyond.
            let mut commit = progress.matched.min(state.log.committed());
            if crate::mutant!("heartbeat_commit_unchecked") {
                commit = state.log.committed();
            }
            if crate::mutant!("lost_commit_never_repeated") {
                commit = Index(0);
            }
            state.send(progress.id, Body::Heartbeat { commit, round });
            progress.sent_commit = commit;
        }
    }

    pub(crate) fn on_heartbeat_response<S: Storage>(
        &mut self,
        state: &mut State<S>,
        from: NodeId,
        round: u64,
    ) {
        let Some(place) = self.place(from) else { return };
        let last = state.log.last().index;
        let progress = &mut self.progress[place];
        progress.recent_active = true;
        // Whatever was sent may have been lost, and a full window or a probe would then wait for
        // ever: one more message gets an answer.
        progress.paused = false;
        let behind = progress.matched < last || progress.state == ProgressState::Probe;
        if round <= self.reads.round() {
            progress.round = progress.round.max(round);
        }
        if behind && !crate::mutant!("heartbeat_answer_sends_nothing") {
            self.send_append(state, place, true);
        }
        self.confirm_reads(state);
    }
}
