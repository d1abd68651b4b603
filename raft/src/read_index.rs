//! Linearizable reads without a log entry (thesis 6.4).
//!
//! A read notes the commit index, and may be served once that much is applied **and** a majority has
//! confirmed that this leader still led after the read began. Confirmations are heartbeat answers.
//! Each heartbeat carries the leader's own round number, so an answer confirms exactly the reads that
//! began before its round. (Were reads confirmed by a name that clients choose, a delayed answer to
//! an earlier use of the name would confirm a later read.)
//!
//! Two more conditions: an entry of this term must be committed, because before that the commit index
//! may be behind an earlier leader's; and a read whose confirmation can no longer come fails, and is
//! never dropped silently.
//!
//! With [`crate::ReadMode::Lease`] a majority's answer to a round sent at tick `t` stands for
//! confirmations until `t + election_ticks - 1`, since those followers elect nobody before.

use std::collections::VecDeque;

use crate::config::{ReadMode, SendPolicy};
use crate::error::ReadError;
use crate::leader::Leader;
use crate::message::Body;
use crate::raft::Raft;
use crate::role::Role;
use crate::state::State;
use crate::storage::Storage;
use crate::types::{Index, NodeId};

/// What became of a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadOutcome {
    /// The caller's name for the read.
    pub token: u64,
    /// The read may be served once this index is applied; or it must be asked again.
    pub result: Result<Index, ReadError>,
}

/// A read that waits at the leader.
#[derive(Clone, Copy, Debug)]
struct PendingRead {
    /// Who asked: a follower, or this node.
    from: NodeId,
    token: u64,
    index: Index,
    /// The first round that confirms it. Zero while no entry of this term is committed.
    round: u64,
}

/// The reads that wait, and the rounds that confirm them.
#[derive(Debug, Default)]
pub(crate) struct ReadQueue {
    /// Ascending by round.
    waiting: VecDeque<PendingRead>,
    /// The number of the latest round.
    round: u64,
    /// Ticks since the term began.
    now: u64,
    /// When rounds began that a majority has not answered, oldest first: (round, tick).
    begun: VecDeque<(u64, u64)>,
    /// When the latest round began that a majority has answered.
    lease_from: Option<u64>,
}

impl ReadQueue {
    pub(crate) fn tick(&mut self) {
        self.now += 1;
    }

    pub(crate) fn round(&self) -> u64 {
        self.round
    }

    /// Numbers a new round of heartbeats.
    pub(crate) fn begin_round(&mut self) -> u64 {
        self.round += 1;
        // Rounds that nobody answers must not pile up; the oldest is then taken as lost.
        if self.begun.len() >= 64 {
            self.begun.pop_front();
        }
        self.begun.push_back((self.round, self.now));
        self.round
    }

    /// Notes that a majority has answered `round`.
    fn confirmed(&mut self, round: u64) {
        while let Some((begun, tick)) = self.begun.front()
            && *begun <= round
        {
            self.lease_from = Some(*tick);
            self.begun.pop_front();
        }
    }
}

impl<S: Storage> Raft<S> {
    /// Starts a read that the application named `token`.
    pub(crate) fn read_index(&mut self, token: u64) -> Result<(), ReadError> {
        let id = self.state.id();
        match (&mut self.role, self.state.leader) {
            (Role::Leader(leader), _) => leader.read(&mut self.state, id, token),
            (_, Some(leader)) => {
                let max = self.state.config.reads_max;
                if self.state.forwarded_reads.len() >= max {
                    return Err(ReadError::TooMany { max });
                }
                self.state.forwarded_reads.push(token);
                self.state.send(leader, Body::ReadIndex { token });
                Ok(())
            }
            (_, None) => Err(ReadError::NoLeader),
        }
    }

    /// Takes a read that a follower forwarded. A node that does not lead stays silent: the asking
    /// node gives up when it hears of another leader.
    pub(crate) fn on_read_index(&mut self, from: NodeId, token: u64) -> Result<(), ReadError> {
        match &mut self.role {
            Role::Leader(leader) => leader.read(&mut self.state, from, token),
            _ => Err(ReadError::NoLeader),
        }
    }

    pub(crate) fn on_read_response(&mut self, from: NodeId, token: u64, index: Index) {
        // Only what is waited for, from whom it is waited for: the answer may come twice, or late.
        let waiting = &mut self.state.forwarded_reads;
        if let Some(place) = waiting.iter().position(|waited| *waited == token)
            && self.state.leader == Some(from)
        {
            waiting.swap_remove(place);
            self.state.reads.push(ReadOutcome { token, result: Ok(index) });
        }
    }
}

impl Leader {
    fn read<S: Storage>(
        &mut self,
        state: &mut State<S>,
        from: NodeId,
        token: u64,
    ) -> Result<(), ReadError> {
        let index = state.log.committed();
        let opened = index >= self.opened || crate::mutant!("read_before_commit");
        if opened && self.has_lease(state) {
            deliver(state, PendingRead { from, token, index, round: 0 });
            return Ok(());
        }
        let max = state.config.reads_max;
        if self.reads.waiting.len() >= max {
            return Err(ReadError::TooMany { max });
        }
        let round = if opened { self.round_for_reads(state) } else { 0 };
        self.reads.waiting.push_back(PendingRead { from, token, index, round });
        self.confirm_reads(state);
        Ok(())
    }

    /// Returns a round that begins after now. With coalescing, all reads until the next output share
    /// one.
    fn round_for_reads<S: Storage>(&mut self, state: &mut State<S>) -> u64 {
        match state.config.send {
            SendPolicy::Immediate => self.broadcast_heartbeat(state),
            SendPolicy::Coalesce if crate::mutant!("read_round_reused") => {}
            SendPolicy::Coalesce => return self.reads.round + 1,
        }
        self.reads.round
    }

    /// Returns whether reads wait for a round that has not begun.
    pub(crate) fn has_round_due(&self) -> bool {
        self.reads.waiting.back().is_some_and(|read| read.round > self.reads.round)
    }

    /// Gives the reads that came before this term's first commit their index and their round.
    pub(crate) fn open_reads<S: Storage>(&mut self, state: &mut State<S>) {
        let index = state.log.committed();
        if index < self.opened || self.reads.waiting.iter().all(|read| read.round > 0) {
            return;
        }
        let round = self.round_for_reads(state);
        for read in &mut self.reads.waiting {
            if read.round == 0 {
                (read.index, read.round) = (index, round);
            }
        }
        self.confirm_reads(state);
    }

    /// Serves the reads whose round a majority has answered.
    pub(crate) fn confirm_reads<S: Storage>(&mut self, state: &mut State<S>) {
        let voters = &state.membership.voters;
        let own = self.reads.round;
        let answered = voters.committed_index(|id| {
            let own_round = (id == state.config.id).then_some(own);
            own_round.or_else(|| self.of(id).map(|progress| progress.round)).map(Index)
        });
        let mut answered = answered.0.min(own);
        if crate::mutant!("read_without_quorum") {
            answered = own;
        }
        self.reads.confirmed(answered);
        while let Some(read) = self.reads.waiting.front().copied()
            && (1..=answered).contains(&read.round)
        {
            self.reads.waiting.pop_front();
            deliver(state, read);
        }
    }

    /// Returns whether a majority's answer is so fresh that nobody else can have been elected.
    fn has_lease<S: Storage>(&self, state: &State<S>) -> bool {
        let fresh = |from: u64| {
            crate::mutant!("lease_never_ends")
                || self.reads.now - from < u64::from(state.config.election_ticks - 1)
        };
        state.config.reads == ReadMode::Lease
            && !self.lease_given_up
            && self.reads.lease_from.is_some_and(fresh)
    }

    /// Fails the reads that wait, because this leadership ends.
    pub(crate) fn fail_reads<S: Storage>(&mut self, state: &mut State<S>) {
        for read in self.reads.waiting.drain(..) {
            if read.from == state.config.id && !crate::mutant!("reads_dropped") {
                let result = Err(ReadError::LeaderChanged);
                state.reads.push(ReadOutcome { token: read.token, result });
            }
        }
    }
}

/// Tells whoever asked.
fn deliver<S: Storage>(state: &mut State<S>, read: PendingRead) {
    let PendingRead { from, token, index, .. } = read;
    if from == state.id() {
        state.reads.push(ReadOutcome { token, result: Ok(index) });
    } else {
        state.send(from, Body::ReadIndexResponse { token, index });
    }
}
