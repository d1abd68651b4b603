//! Leader election (section 5.2), its restriction (5.4.1), and pre-vote (thesis 9.6).

use crate::error::CampaignError;
use crate::message::{Body, Message, Vote};
use crate::quorum::VoteResult;
use crate::raft::Raft;
use crate::role::{Role, Votes};
use crate::storage::Storage;
use crate::types::{EntryId, NodeId};

/// Why and how a node campaigns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Campaign {
    /// Ask first, without a new term.
    PreVote,
    /// Ask for votes.
    Election,
    /// Ask for votes because the leader wishes it; nobody's lease stands against it.
    Transfer,
}

impl<S: Storage> Raft<S> {
    /// Starts an election because the application wants one.
    pub(crate) fn campaign_by_request(&mut self) -> Result<(), CampaignError> {
        let state = &self.state;
        let leads = matches!(self.role, Role::Leader(_));
        // A leader may read by this node's answer, and this node's vote for itself would break what
        // it promised, be it with pre-vote or without.
        if !leads && state.owes_lease() && !crate::mutant!("campaign_in_lease") {
            let ticks = state.config.election_ticks - state.leader_unheard;
            return Err(CampaignError::OwesLease { ticks });
        }
        let pre_vote = state.config.pre_vote;
        self.campaign(if pre_vote { Campaign::PreVote } else { Campaign::Election })
    }

    /// Starts an election, or asks whether one could be won.
    pub(crate) fn campaign(&mut self, campaign: Campaign) -> Result<(), CampaignError> {
        if matches!(self.role, Role::Leader(_)) {
            return Err(CampaignError::AlreadyLeader);
        }
        self.state.promotable()?;
        let told = match &self.role {
            Role::PreCandidate(votes) | Role::Candidate(votes) => votes.committed(),
            _ => EntryId::default(),
        };
        self.learn_committed_change(told);
        let log = &self.state.log;
        // With a committed change unapplied, this node would count a quorum that is no longer one:
        // of {1,2,3} with a committed removal of 3, node 1 could win with the vote of 3 while 2
        // wins alone with itself under {1,2} and a later {2}.
        if log.has_change(log.applied(), log.committed())
            && !crate::mutant!("campaign_with_unapplied_change")
        {
            crate::mark!("a committed change stands against a campaign");
            return Err(CampaignError::UnappliedChange { applied: log.applied() });
        }
        let term = self.state.term;
        let next = term.next().ok_or(CampaignError::TermExhausted { term })?;
        match campaign {
            Campaign::PreVote => self.become_pre_candidate(),
            Campaign::Election | Campaign::Transfer => self.become_candidate(next),
        }
        let last = self.state.log.last();
        for voter in self.state.membership.voters.ids().collect::<Vec<_>>() {
            let to_self = voter == self.state.id();
            // The own vote takes the same way as a peer's: it counts when it is durable.
            let body = match (campaign, to_self) {
                (Campaign::PreVote, true) => Body::PreVoteResponse(Vote::GRANTED),
                (Campaign::PreVote, false) => Body::RequestPreVote { last },
                (_, true) => Body::VoteResponse(Vote::GRANTED),
                (_, false) => Body::RequestVote {
                    last,
                    transfer: campaign == Campaign::Transfer
                        && !crate::mutant!("transfer_respects_lease"),
                },
            };
            self.state.send_in(next, voter, body);
        }
        Ok(())
    }

    fn become_pre_candidate(&mut self) {
        // A pre-candidate asks because it misses its leader, so it no longer believes in one. Did
        // it, it would refuse the pre-votes of others in the same situation.
        if !crate::mutant!("pre_candidate_keeps_leader") {
            self.state.set_leader(None);
        }
        self.leave_role();
        self.role = Role::PreCandidate(Votes::default());
    }

    fn become_candidate(&mut self, term: crate::types::Term) {
        self.reset(term);
        self.state.vote = Some(self.state.id());
        self.role = Role::Candidate(Votes::default());
    }

    /// Answers a request for a vote or for a pre-vote. The term gate has let it pass: its term is
    /// ours, or it is a pre-vote for a later one.
    pub(crate) fn on_vote_request(&mut self, message: &Message, last: EntryId, transfer: bool) {
        let state = &mut self.state;
        let candidate = message.from;
        let pre_vote = matches!(message.body, Body::RequestPreVote { .. });
        // A repeated request gets the same answer: the first answer may have been lost.
        let repeated = state.vote == Some(candidate) && !crate::mutant!("repeated_vote_refused");
        let owes_lease = state.owes_lease() && !transfer;
        let free = state.vote.is_none() && state.leader.is_none() && !owes_lease
            || crate::mutant!("vote_twice");
        let future = pre_vote && message.term > state.term;
        // A learner votes too: the candidate may know a newer membership in which it is a voter.
        // If it refused, a group whose promoted learner has not heard of it could stay leaderless.
        let barred =
            crate::mutant!("learner_refuses_vote") && !state.membership.is_voter(state.id());
        let granted = (repeated || free || future) && state.log.is_up_to_date(last) && !barred;
        if (repeated || free || future) && !granted {
            crate::mark!("a vote is refused to a log that lacks entries");
        }
        if owes_lease && !granted {
            crate::mark!("a vote is refused because of a lease");
        }
        let vote = state.vote(granted);
        let body = match pre_vote {
            true => Body::PreVoteResponse(vote),
            false => Body::VoteResponse(vote),
        };
        // A refusal carries our own term, from which a candidate of an older one learns.
        let term = if granted { message.term } else { state.term };
        if granted && !pre_vote {
            state.election_elapsed = 0;
            state.vote = Some(candidate);
        }
        state.send_in(term, candidate, body);
    }

    /// Counts an answer to our own candidacy.
    pub(crate) fn on_vote_response(&mut self, voter: NodeId, vote: Vote, pre_vote: bool) {
        let votes = match (&mut self.role, pre_vote) {
            (Role::PreCandidate(votes), true) | (Role::Candidate(votes), false) => votes,
            // A late pre-vote must not start a second campaign, nor a late vote a second term.
            (Role::Candidate(_) | Role::Leader(_), true)
                if crate::mutant!("late_pre_vote_campaigns") && vote.granted =>
            {
                self.become_follower(self.state.term, None);
                let _ = self.campaign(Campaign::Election);
                return;
            }
            _ => {
                self.learn_committed_change(vote.committed);
                return;
            }
        };
        votes.record(voter, vote.granted);
        match (votes.result(&self.state.membership), pre_vote) {
            (VoteResult::Won, true) => {
                *votes = Votes::default();
                // If a change applied meanwhile stands against it, this node waits like before.
                let _ = self.campaign(Campaign::Election);
            }
            (VoteResult::Won, false) => self.become_leader(),
            // Further votes may win it yet; if not, the next campaign begins with what this one told.
            (VoteResult::Pending, _) if vote.granted => votes.note_committed(vote.committed),
            _ if self.learn_committed_change(vote.committed) => {}
            (VoteResult::Pending, _) => {}
            (VoteResult::Lost, _) => self.become_follower(self.state.term, None),
        }
    }

    /// Learns from an answer that a membership change of our log is committed; returns whether so.
    ///
    /// Changes take effect when applied, so the last leader may have left the group by a change that
    /// the others hold but do not know to be committed. They then ask a quorum that is no longer one.
    /// Of {1,2}, node 1 removes itself, commits, and knows it alone; node 2 needs the vote of 1, whose
    /// log may be longer and which is no candidate any more. The answer tells 2 what is committed, and
    /// it goes on alone.
    fn learn_committed_change(&mut self, committed: EntryId) -> bool {
        let log = &mut self.state.log;
        let known = log.committed();
        let news = committed.index > known
            && log.matches(committed)
            && log.has_change(known, committed.index)
            // A leader commits by what its followers acknowledge.
            && !matches!(self.role, Role::Leader(_))
            && !crate::mutant!("vote_teaches_nothing");
        if news {
            log.commit_to(committed.index);
            // Who holds a committed, unapplied change does not campaign.
            if !matches!(self.role, Role::Follower) {
                self.become_follower(self.state.term, None);
            }
        }
        news
    }
}
