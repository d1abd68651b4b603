//! The rules for all members (figure 2): which message counts, and when a role ends.
//!
//! A message first passes the **term gate**: an older term is answered or dropped, a newer one makes
//! this node a follower, and only then does the message reach its handler, where sender and receiver
//! are of one term. The handlers stand in the modules named after the paper's parts: `election`,
//! `replication`, `snapshot`, `transfer`, `read_index`, `proposal`, `reconfigure`.

use crate::error::{StepError, TransferError};
use crate::leader::Leader;
use crate::message::{Body, Message, Vote};
use crate::role::Role;
use crate::state::State;
use crate::storage::Storage;
use crate::types::{Index, NodeId, SoftState, Term};

use crate::election::Campaign;

/// A member: its state and its role.
#[derive(Debug)]
pub(crate) struct Raft<S> {
    pub(crate) state: State<S>,
    pub(crate) role: Role,
}

/// No log gets here: at a billion entries a second it would take 292 years. So a peer that names a
/// higher index is wrong, and counting on from any index that was let in cannot wrap.
const INDEX_MAX: Index = Index(u64::MAX / 2);

/// What the term of a message means.
enum Gate {
    /// Handle it.
    Pass,
    /// Nothing more to do.
    Done,
}

impl<S: Storage> Raft<S> {
    pub(crate) fn new(state: State<S>) -> Raft<S> {
        Raft { state, role: Role::Follower }
    }

    pub(crate) fn soft_state(&self) -> SoftState {
        SoftState { leader: self.state.leader, role: self.role.kind() }
    }

    /// Lets a unit of time pass.
    pub(crate) fn tick(&mut self) {
        self.state.election_elapsed = self.state.election_elapsed.saturating_add(1);
        self.state.leader_unheard = self.state.leader_unheard.saturating_add(1);
        if let Role::Leader(leader) = &mut self.role {
            if !leader.tick(&mut self.state) {
                self.become_follower(self.state.term, None);
            }
            return;
        }
        if self.state.election_elapsed < self.state.election_timeout
            || self.state.promotable().is_err()
        {
            return;
        }
        self.state.election_elapsed = 0;
        let campaign =
            if self.state.config.pre_vote { Campaign::PreVote } else { Campaign::Election };
        // What stands against a campaign now is tried again after another timeout.
        let _ = self.campaign(campaign);
    }

    /// Takes a message, from a peer or this node's own promise that has become durable.
    pub(crate) fn step(&mut self, message: Message) -> Result<(), StepError> {
        match self.gate(&message) {
            Gate::Done => return Ok(()),
            Gate::Pass => {}
        }
        let from = message.from;
        match message.body {
            Body::RequestPreVote { last } => self.on_vote_request(&message, last, false),
            Body::RequestVote { last, transfer } => self.on_vote_request(&message, last, transfer),
            Body::PreVoteResponse(vote) => self.on_vote_response(from, vote, true),
            Body::VoteResponse(vote) => self.on_vote_response(from, vote, false),
            Body::Append { prev, commit, entries } => {
                self.follow(from)?;
                return self.on_append(from, prev, commit, entries);
            }
            Body::Heartbeat { commit, round } => {
                self.follow(from)?;
                self.state.log.check_acknowledged(commit)?;
                self.on_heartbeat(from, commit, round);
            }
            Body::Commit { index } => {
                self.follow(from)?;
                self.state.log.check_acknowledged(index)?;
                self.state.log.commit_to(index);
            }
            Body::Snapshot(snapshot) => {
                self.follow(from)?;
                return self.on_snapshot(from, snapshot);
            }
            Body::AppendAccepted { index } => self.on_append_accepted(from, index)?,
            Body::AppendRejected { rejected, hint, damaged } => {
                if let Role::Leader(leader) = &mut self.role {
                    leader.on_append_rejected(&mut self.state, from, rejected, hint, damaged);
                }
            }
            Body::HeartbeatResponse { round } => {
                if let Role::Leader(leader) = &mut self.role {
                    leader.on_heartbeat_response(&mut self.state, from, round);
                }
            }
            Body::TimeoutNow => self.on_timeout_now(from)?,
            Body::TransferLeader { target } => {
                // Who asked cannot be told; it sees by the leader whether it worked.
                let _: Result<(), TransferError> = self.transfer_leader(target);
            }
            Body::Propose { payloads } => {
                self.propose(payloads)?;
            }
            Body::ReadIndex { token } => self.on_read_index(from, token)?,
            Body::ReadIndexResponse { token, index } => self.on_read_response(from, token, index),
        }
        Ok(())
    }

    /// Compares the message's term with ours (section 5.1).
    fn gate(&mut self, message: &Message) -> Gate {
        let state = &mut self.state;
        if message.body.is_termless() {
            return Gate::Pass;
        }
        if message.term < state.term {
            return self.answer_old_term(message);
        }
        if message.term == state.term {
            return Gate::Pass;
        }
        match message.body {
            // A node that lost its connection must not depose a leader that others still hear
            // (thesis 4.2.3). A transfer is the leader's own wish.
            Body::RequestPreVote { .. } | Body::RequestVote { transfer: false, .. }
                if state.in_lease() =>
            {
                Gate::Done
            }
            // A pre-vote is about a term that may never be.
            Body::RequestPreVote { .. } | Body::PreVoteResponse(Vote { granted: true, .. }) => {
                Gate::Pass
            }
            // A refused pre-vote teaches the term. Without it, a long log at a low term and a short
            // log at a high term would refuse each other for ever.
            Body::PreVoteResponse(_) if crate::mutant!("pre_vote_term_ignored") => Gate::Pass,
            _ if message.body.is_response() && crate::mutant!("response_term_ignored") => {
                Gate::Pass
            }
            _ => {
                let leader = message.body.is_from_leader().then_some(message.from);
                self.become_follower(message.term, leader);
                Gate::Pass
            }
        }
    }

    /// Answers a message of an older term, where silence would do harm.
    fn answer_old_term(&mut self, message: &Message) -> Gate {
        let state = &mut self.state;
        // Would the leader hear of our term by our next campaign? Not with leases or pre-vote; and a
        // learner, say one that campaigned in vain when it was a voter, does not campaign. It answers
        // once it has missed a leader of its own term for as long as others wait for one.
        let stuck = state.election_elapsed >= state.election_timeout
            && state.promotable().is_err()
            && !crate::mutant!("bystander_unanswered");
        let heard = !state.config.check_quorum && !state.config.pre_vote && !stuck;
        match message.body {
            // This node may be stuck at a higher term, in which it cannot follow the leader. The
            // answer carries our term and makes the leader step down, so that all meet in a new term.
            Body::Append { .. } | Body::Heartbeat { .. } | Body::Commit { .. }
                if !heard && !crate::mutant!("old_leader_unanswered") =>
            {
                state.send(message.from, Body::AppendAccepted { index: Index(0) });
            }
            // A candidate without pre-vote may have a higher term and a shorter log; a refusal tells
            // the pre-candidate of it.
            Body::RequestPreVote { .. } => {
                let vote = state.vote(false);
                state.send(message.from, Body::PreVoteResponse(vote));
            }
            Body::AppendAccepted { .. } if crate::mutant!("stale_ack_counts") => return Gate::Pass,
            _ => {}
        }
        Gate::Done
    }

    /// Notes that a leader of our term was heard. Nobody else leads this term, so a candidate gives
    /// up (section 5.2), and a leader believes nobody who claims to lead it too.
    fn follow(&mut self, leader: NodeId) -> Result<(), StepError> {
        match self.role {
            Role::Leader(_) => {
                return Err(StepError::Malformed("this node leads the term of the message"));
            }
            Role::Follower => {
                self.state.election_elapsed = 0;
                self.state.set_leader(Some(leader));
            }
            _ if crate::mutant!("candidate_ignores_leader") => {}
            _ => self.become_follower(self.state.term, Some(leader)),
        }
        self.state.leader_unheard = 0;
        Ok(())
    }

    pub(crate) fn become_follower(&mut self, term: Term, leader: Option<NodeId>) {
        self.reset(term);
        self.state.set_leader(leader);
        self.role = Role::Follower;
    }

    pub(crate) fn become_leader(&mut self) {
        self.reset(self.state.term);
        let id = self.state.id();
        self.state.set_leader(Some(id));
        let mut leader = Leader::new(&self.state);
        leader.open_term(&mut self.state);
        self.role = Role::Leader(Box::new(leader));
    }

    /// Ends a role and, perhaps, a term.
    pub(crate) fn reset(&mut self, term: Term) {
        self.leave_role();
        self.state.enter_term(term);
        self.state.set_leader(None);
        self.state.draw_election_timeout();
    }

    /// Tells those who wait for something that only this role could do.
    pub(crate) fn leave_role(&mut self) {
        if let Role::Leader(leader) = &mut self.role {
            leader.fail_reads(&mut self.state);
        }
    }

    /// Records that entries up to `index` are applied.
    pub(crate) fn applied_to(&mut self, index: Index) {
        let freed = self.state.log.applied_to(index);
        if let Role::Leader(leader) = &mut self.role {
            leader.free_quota(freed);
            leader.leave_joint_if_due(&mut self.state);
        }
    }

    /// Checks that a message makes sense at all, before it can change anything.
    pub(crate) fn validate(&self, message: &Message) -> Result<(), StepError> {
        let malformed = |what| Err(StepError::Malformed(what));
        let id = self.state.id();
        if message.to != id {
            return Err(StepError::NotForUs { to: message.to });
        }
        if message.from == id || message.from == NodeId(0) {
            return malformed("a message cannot come from this node or from node 0");
        }
        if message.body.is_termless() != (message.term == Term(0)) {
            return malformed("term 0 is for proposals and reads only");
        }
        match &message.body {
            _ if crate::mutant!("message_unchecked") => {}
            Body::Append { prev, entries, .. } => {
                let joined = match entries.as_slice() {
                    [] => true,
                    all @ [first, ..] => {
                        prev.index.next() == first.index
                            && prev.term <= first.term
                            && all[all.len() - 1].term <= message.term
                            && entries.is_well_formed()
                    }
                };
                if !joined || prev.index > INDEX_MAX {
                    return malformed("entries do not follow each other");
                }
            }
            Body::Snapshot(snapshot)
                if snapshot.last.index == Index(0)
                    || snapshot.last.index > INDEX_MAX
                    || snapshot.last.term > message.term
                    || snapshot.membership.validate().is_err() =>
            {
                return malformed("a snapshot needs an index and a valid membership");
            }
            _ => {}
        }
        let response = message.body.is_response();
        if response && !self.state.membership.contains(message.from) {
            return Err(StepError::PeerNotFound);
        }
        Ok(())
    }
}
