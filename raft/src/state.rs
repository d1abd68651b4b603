//! What every member has, whatever its role: "state on all servers" of the paper's figure 2.

use rand::RngExt;
use rand::rngs::SmallRng;

use crate::config::{Config, ReadMode};
use crate::error::{CampaignError, ReadError};
use crate::membership::Membership;
use crate::message::{Body, Message, Vote};
use crate::raft_log::RaftLog;
use crate::read_index::ReadOutcome;
use crate::storage::Storage;
use crate::types::{EntryId, HardState, NodeId, Term};

/// The state of a member beside its role.
#[derive(Debug)]
pub(crate) struct State<S> {
    pub(crate) config: Config,
    rng: SmallRng,
    /// `currentTerm`. Changed only by [`State::enter_term`].
    pub(crate) term: Term,
    /// `votedFor` in `term`.
    pub(crate) vote: Option<NodeId>,
    /// Who leads `term`, if known. A leader is its own leader.
    pub(crate) leader: Option<NodeId>,
    pub(crate) log: RaftLog<S>,
    /// The membership as of the applied index.
    pub(crate) membership: Membership,
    /// Ticks since a leader was heard, a vote was given or an election began. For a leader: since
    /// the last check of its quorum.
    pub(crate) election_elapsed: u32,
    /// When an election begins, drawn from `[election_ticks, 2 * election_ticks)`.
    pub(crate) election_timeout: u32,
    /// Ticks since any leader was heard, of whatever term. Unlike `election_elapsed` and `leader`,
    /// nothing but time ends it: see [`State::owes_lease`]. Starts at zero in a node that restarts,
    /// which may have answered a leader and forgotten it.
    pub(crate) leader_unheard: u32,
    /// Messages that may leave at once.
    pub(crate) outbox: Vec<Message>,
    /// Messages that wait until what was written before them is durable: votes and acknowledgements,
    /// among them this node's own to itself.
    pub(crate) promises: Vec<Message>,
    /// Reads that were confirmed or failed.
    pub(crate) reads: Vec<ReadOutcome>,
    /// Reads that were forwarded to `leader` and are not answered.
    pub(crate) forwarded_reads: Vec<u64>,
}

impl<S: Storage> State<S> {
    pub(crate) fn new(
        config: Config,
        rng: SmallRng,
        hard_state: HardState,
        membership: Membership,
        log: RaftLog<S>,
    ) -> State<S> {
        let leader_unheard = if hard_state.term > Term(0) { 0 } else { u32::MAX };
        let mut state = State {
            config,
            rng,
            term: hard_state.term,
            vote: hard_state.vote,
            leader: None,
            log,
            membership,
            election_elapsed: 0,
            election_timeout: 0,
            leader_unheard,
            outbox: Vec::new(),
            promises: Vec::new(),
            reads: Vec::new(),
            forwarded_reads: Vec::new(),
        };
        state.draw_election_timeout();
        state
    }

    pub(crate) fn id(&self) -> NodeId {
        self.config.id
    }

    pub(crate) fn hard_state(&self) -> HardState {
        HardState { term: self.term, vote: self.vote, commit: self.log.committed() }
    }

    /// Goes to `term`, which is the present one or a later one. A new term begins without a vote.
    pub(crate) fn enter_term(&mut self, term: Term) {
        if term > self.term {
            self.term = term;
            if !crate::mutant!("vote_not_reset") {
                self.vote = None;
            }
        }
    }

    /// Forgets who leads. Reads that were sent to the leader are given up, since their answers may
    /// never come.
    pub(crate) fn set_leader(&mut self, leader: Option<NodeId>) {
        if leader != self.leader {
            let failed = self.forwarded_reads.drain(..);
            self.reads.extend(
                failed.map(|token| ReadOutcome { token, result: Err(ReadError::LeaderChanged) }),
            );
        }
        self.leader = leader;
    }

    /// Starts the election clock anew, with a new random timeout (section 5.2): equal timeouts
    /// would split votes again and again.
    pub(crate) fn draw_election_timeout(&mut self) {
        self.election_elapsed = 0;
        let ticks = self.config.election_ticks;
        self.election_timeout = match crate::mutant!("timeout_fixed") {
            true => ticks,
            false => self.rng.random_range(ticks..2 * ticks),
        };
    }

    /// Returns whether a leader was heard so lately that votes are refused (thesis 4.2.3).
    pub(crate) fn in_lease(&self) -> bool {
        let hears_leader =
            self.leader.is_some() && self.election_elapsed < self.config.election_ticks;
        self.config.check_quorum && hears_leader || self.owes_lease()
    }

    /// Returns whether a leader may read by this node's answer, which promised to elect nobody else
    /// for an election timeout.
    ///
    /// The promise must not end with the knowledge of the leader. Say node 2 answers leader 1, and
    /// then a late refusal of a pre-vote teaches it the term of candidate 3: it has no leader in that
    /// term, but were it to vote for 3 now, 1 would go on reading while 3 writes.
    pub(crate) fn owes_lease(&self) -> bool {
        let known = self.leader.is_some() || !crate::mutant!("lease_ends_with_leader");
        self.config.reads == ReadMode::Lease
            && self.leader_unheard < self.config.election_ticks
            && known
    }

    /// Returns whether this node may become the leader.
    pub(crate) fn promotable(&self) -> Result<(), CampaignError> {
        if !self.membership.is_voter(self.id()) {
            return Err(CampaignError::NotVoter);
        }
        if self.log.pending_snapshot().is_some() {
            return Err(CampaignError::Restoring);
        }
        match self.log.first_faulty() {
            // Its entry could be sent to nobody; a node that has it must lead.
            Some(index) if !crate::mutant!("faulty_campaigns") => {
                crate::mark!("a damaged log does not campaign");
                Err(CampaignError::Faulty { index })
            }
            _ => Ok(()),
        }
    }

    /// Makes an answer to a candidate.
    pub(crate) fn vote(&self, granted: bool) -> Vote {
        let index = self.log.committed();
        let term = self.log.term(index).unwrap_or(Term(0));
        Vote { granted, committed: EntryId { term, index } }
    }

    /// Sends in the present term.
    pub(crate) fn send(&mut self, to: NodeId, body: Body) {
        let term = if body.is_termless() { Term(0) } else { self.term };
        self.send_in(term, to, body);
    }

    /// Sends in another term: pre-votes and their answers.
    pub(crate) fn send_in(&mut self, term: Term, to: NodeId, body: Body) {
        let waits = body.is_promise() && !crate::mutant!("promise_before_durable");
        let message = Message { from: self.config.id, to, term, body };
        if waits || to == message.from {
            self.promises.push(message);
        } else {
            if self.outbox.capacity() == 0 {
                // Enough for the heartbeats of a group of three, which most groups are.
                self.outbox.reserve_exact(2);
            }
            self.outbox.push(message);
        }
    }
}
